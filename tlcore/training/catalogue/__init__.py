"""Every model that can be asked for, with what is known of it."""

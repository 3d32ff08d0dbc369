"""The phases of a run, step by step."""

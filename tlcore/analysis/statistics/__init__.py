"""Means, differences and tests with what they cover: over seeds, over test images, over splits."""

"""Stored features of a frozen backbone, and the classifiers fitted on them."""

"""Pretrained weights: found, read, matched and loaded."""

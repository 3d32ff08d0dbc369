"""Decoded images, and the batches that training and evaluation get of them."""

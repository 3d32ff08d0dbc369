"""Augmented views of images for stored features: each image's crop and flip follow from (seed, view, image) alone."""

import torch
from torch import Tensor

from tlcore.training.images.augmentation import random_boxes, random_sides
from tlcore.training.images.batches import Images, ImageSource, Rows, view_batch

VIEW_VERSION = 1  # raise it when the same seed would draw other crops


def view_images(source: ImageSource, number: int, seed: int) -> Images:
    """How rows become images of one view. number: images of the dataset. seed: of the view, as of `stream.view_seed`.

    The draws of all images of the dataset are made at once, on the CPU, so that neither the batch size, the device
    nor the other images asked for change what is seen of one.
    """
    generator = torch.Generator().manual_seed(seed)
    boxes = random_boxes(source.aspect[:number], generator)
    flip = random_sides(number, generator)

    def images(place: ImageSource, rows: Rows) -> Tensor:
        chosen = torch.from_numpy(rows)
        return view_batch(place, rows, boxes[chosen], flip[chosen])

    return images

"""The endless shuffled stream of training images: which come in which step follows from the seed alone."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

_ORDER, _STEP, _START = 1, 2, 3  # what a seed is for, so that no two uses draw the same numbers


def batch_positions(seed: int, step: int, batch_size: int, num_images: int) -> npt.NDArray[np.int64]:
    """Positions [batch_size] in the training part of the images of one step, counted from 0.

    Every batch is full: each epoch's order follows the one before it, and a batch may span several.
    """
    begin = step * batch_size
    epochs = range(begin // num_images, (begin + batch_size - 1) // num_images + 1)
    orders = np.concatenate([epoch_order(seed, epoch, num_images) for epoch in epochs])
    offset = begin - epochs[0] * num_images
    return orders[offset : offset + batch_size]


@lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, num_images: int) -> npt.NDArray[np.int64]:
    """The order of the images in one epoch, a permutation of 0…num_images-1 that follows from (seed, epoch)."""
    order = np.random.default_rng([_ORDER, seed, epoch]).permutation(num_images)
    order.setflags(write=False)
    return order


def step_seed(seed: int, step: int) -> int:
    """What all generators are set to before a step."""
    return _mixed(_STEP, seed, step)


def start_seed(seed: int) -> int:
    """What all generators are set to before a network gets its random weights."""
    return _mixed(_START, seed, 0)


def _mixed(purpose: int, seed: int, number: int) -> int:
    return int(np.random.SeedSequence([purpose, seed, number]).generate_state(1, np.uint64)[0] >> np.uint64(1))

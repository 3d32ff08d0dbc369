"""The endless shuffled stream of training images: which come in which step follows from the seed alone."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

# What a seed is for, so that no two uses draw the same numbers.
_ORDER, _STEP, _START, _VIEW, _ROUND, _CLASS = 1, 2, 3, 4, 5, 6


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


def balanced_positions(
    seed: int, step: int, batch_size: int, members: tuple[npt.NDArray[np.int64], ...]
) -> npt.NDArray[np.int64]:
    """As `batch_positions`, with classes drawn equally: rounds in random order, in which each class comes once.

    members: positions in the training part of each class that has any. Each class has an endless shuffled stream of
    its own, so that round r takes its r-th image.
    """
    chosen = []
    for place in range(step * batch_size, (step + 1) * batch_size):
        around = place // len(members)
        number = int(_round_order(seed, around, len(members))[place % len(members)])
        mine = members[number]
        chosen.append(mine[_class_order(seed, number, around // len(mine), len(mine))[around % len(mine)]])
    return np.array(chosen, dtype=np.int64)


@lru_cache(maxsize=16)
def _round_order(seed: int, around: int, num_classes: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng([_ROUND, seed, around]).permutation(num_classes)


@lru_cache(maxsize=4096)
def _class_order(seed: int, number: int, epoch: int, num_images: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng([_CLASS, seed, number, epoch]).permutation(num_images)


def step_seed(seed: int, step: int) -> int:
    """What all generators are set to before a step."""
    return _mixed(_STEP, seed, step)


def start_seed(seed: int) -> int:
    """What all generators are set to before a network gets its random weights."""
    return _mixed(_START, seed, 0)


def view_seed(seed: int, view: int) -> int:
    """What the crops of one stored view of the training images are drawn from."""
    return _mixed(_VIEW, seed, view)


def _mixed(purpose: int, seed: int, number: int) -> int:
    return int(np.random.SeedSequence([purpose, seed, number]).generate_state(1, np.uint64)[0] >> np.uint64(1))

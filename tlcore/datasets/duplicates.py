"""Copies and near duplicates among many pictures: the same photograph again, smaller, brighter or saved anew.

Perceptual hashes find candidates; the correlation of tiny grey copies decides, as flat pictures (open sea, blank
pages) have hashes of mere noise; and the mean colour must agree, as things of one shape in two colours differ.
The limits are measured by `tests/benchmarks/bench_near_duplicates.py`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tlcore.datasets.files import Progress, Stop, check_stop

MAX_DISTANCE = 8  # of the hash's 64 bits that may differ
MIN_CORRELATION = 0.95  # of the 16×16 grey copies
MAX_CHROMA = 0.02  # by which the red and the green part of the mean colour may differ, of 1
MIN_CONTRAST = 1.0  # standard deviation of grey 0…255 below which a picture shows nothing that could be compared
MIN_SIDE = 32  # pixels: all sixes of 8 or 28 px look alike, and are not the same picture
_EVERY = 500  # pictures between two looks at whether to go on
Places = NDArray[np.intp]
Reals = NDArray[np.float64]


def near_groups(images: pd.DataFrame, look_up: Callable[[float], None] | None = None) -> list[str]:
    """For each row, the sha256 that names its group: the copies and near duplicates of one picture, the group's first.

    images: columns sha256, width, height, phash, look and colour. In the order of sha256, a picture that is in no
    group yet founds one, and takes in all later ones that are like it: each member is like the founder, so that
    groups do not chain from one picture to quite another. Pictures smaller than `MIN_SIDE` are only copies or not.
    look_up: called with the part done, 0…1, now and then; what it raises ends the work.
    """
    if images.empty:
        return []
    distinct, first, place = np.unique(images["sha256"].to_numpy(str), return_index=True, return_inverse=True)
    founders = _founders(images.iloc[first], look_up)
    return [str(key) for key in distinct[founders[place]]]


def comparing(tell: Progress, should_stop: Stop) -> Callable[[float], None]:
    """What `near_groups` calls, so that people see how far it is and can end it with RunCancelledError."""

    def look_up(done: float) -> None:
        check_stop(should_stop)
        tell(done, "Looking for near duplicates")

    return look_up


def _founders(images: pd.DataFrame, look_up: Callable[[float], None] | None) -> Places:
    """The position of the founder of each row's group. images: different files, in the order of sha256."""
    hashes = _bytes(images["phash"]).view(np.uint64).ravel()
    looks, chroma = _bytes(images["look"]), _chroma(_bytes(images["colour"]))
    contrast = looks.std(axis=1)
    founders = np.arange(len(hashes))
    shows = (contrast >= MIN_CONTRAST) & (images[["width", "height"]].min(axis=1).to_numpy() >= MIN_SIDE)
    free = np.flatnonzero(shows)
    for done, founder in enumerate(free.tolist()):
        if look_up and done % _EVERY == 0:
            look_up(1 - (1 - done / len(free)) ** 2)  # later ones have fewer to be compared with
        if founders[founder] != founder:
            continue
        later = free[done + 1 :]
        later = later[np.bitwise_count(hashes[later] ^ hashes[founder]) <= MAX_DISTANCE]
        later = later[founders[later] == later]
        later = later[np.abs(chroma[later] - chroma[founder]).max(axis=1, initial=0) <= MAX_CHROMA]
        if len(later):
            founders[later[_correlations(looks, contrast, founder, later) >= MIN_CORRELATION]] = founder
    return founders


def _bytes(column: "pd.Series[Any]") -> NDArray[np.uint8]:
    """Hexadecimal texts of one length as bytes [N,B]."""
    return np.frombuffer(bytes.fromhex("".join(column)), dtype=np.uint8).reshape(len(column), -1)


def _chroma(colours: NDArray[np.uint8]) -> Reals:
    """The red and the green part of mean colours [N,3] -> [N,2]; one is added so that black has a colour."""
    light = colours.astype(np.float64) + 1
    shares: Reals = light[:, :2] / light.sum(axis=1, keepdims=True)
    return shares


def _correlations(looks: NDArray[np.uint8], contrast: Reals, one: int, others: Places) -> Reals:
    """Pearson's correlation of one grey copy with others; all of them show something."""
    own, theirs = looks[one].astype(np.float32), looks[others].astype(np.float32)
    shared = ((theirs - theirs.mean(axis=1, keepdims=True)) * (own - own.mean())).mean(axis=1)
    correlations: Reals = shared / (contrast[others] * contrast[one])
    return correlations

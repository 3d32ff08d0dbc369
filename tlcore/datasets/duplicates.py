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

MAX_DISTANCE = 8  # of the hash's 64 bits that may differ
MIN_CORRELATION = 0.88  # of the 16×16 grey copies
MAX_CHROMA = 0.02  # by which the red and the green part of the mean colour may differ, of 1
MIN_CONTRAST = 1.0  # standard deviation of grey 0…255 below which a picture shows nothing that could be compared
_BLOCK_BYTES = 16 * 1024 * 1024  # of hash differences held at a time
_PAIRS = 65_536  # compared at a time
Places = NDArray[np.intp]
Reals = NDArray[np.float64]


def near_groups(images: pd.DataFrame, look_up: Callable[[float], None] | None = None) -> list[str]:
    """For each row, the smallest sha256 in its group: the copies and near duplicates of the picture.

    images: columns sha256, phash, look and colour. Groups are connected: A and C are in one where both are like B.
    look_up: called with the part done, 0…1, now and then; what it raises ends the work.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if images.empty:
        return []
    distinct, first, place = np.unique(images["sha256"].to_numpy(str), return_index=True, return_inverse=True)
    one, other = near_pairs(images.iloc[first], look_up)
    links = coo_array((np.ones(len(one), dtype=bool), (one, other)), shape=(len(distinct), len(distinct)))
    _, component = connected_components(links, directed=False)
    _, smallest = np.unique(component, return_index=True)  # `distinct` is sorted
    return [str(key) for key in distinct[smallest[component[place]]]]


def near_pairs(images: pd.DataFrame, look_up: Callable[[float], None] | None = None) -> tuple[Places, Places]:
    """Positions of the rows of each pair of near duplicates, the smaller first. As for `near_groups`."""
    hashes = _bytes(images["phash"]).view(np.uint64).ravel()
    looks, chroma = _bytes(images["look"]), _chroma(_bytes(images["colour"]))
    contrast = np.array([look.std() for look in looks])
    found: list[tuple[Places, Places]] = []
    step = max(1, _BLOCK_BYTES // (8 * len(hashes)))
    for start in range(0, len(hashes), step):
        if look_up:
            look_up(1 - (1 - start / len(hashes)) ** 2)  # later rows have fewer to be compared with
        distances = np.bitwise_count(hashes[start : start + step, None] ^ hashes[None, start:])
        rows, columns = np.nonzero(distances <= MAX_DISTANCE)
        one, other = rows[columns > rows] + start, columns[columns > rows] + start
        alike = np.abs(chroma[one] - chroma[other]).max(axis=1, initial=0) <= MAX_CHROMA
        one, other = one[alike], other[alike]
        alike = _correlations(looks, contrast, one, other) >= MIN_CORRELATION
        found.append((one[alike], other[alike]))
    return np.concatenate([one for one, _ in found]), np.concatenate([other for _, other in found])


def _bytes(column: "pd.Series[Any]") -> NDArray[np.uint8]:
    """Hexadecimal texts of one length as bytes [N,B]."""
    return np.frombuffer(bytes.fromhex("".join(column)), dtype=np.uint8).reshape(len(column), -1)


def _chroma(colours: NDArray[np.uint8]) -> Reals:
    """The red and the green part of mean colours [N,3] -> [N,2]; one is added so that black has a colour."""
    light = colours.astype(np.float64) + 1
    shares: Reals = light[:, :2] / light.sum(axis=1, keepdims=True)
    return shares


def _correlations(looks: NDArray[np.uint8], contrast: Reals, one: Places, other: Places) -> Reals:
    """Pearson's correlation of the grey copies of each pair; 0 where one of them shows nothing."""
    told = np.zeros(len(one))
    for at in range(0, len(one), _PAIRS):
        pair = slice(at, at + _PAIRS)
        a, b = looks[one[pair]].astype(np.float64), looks[other[pair]].astype(np.float64)
        shared = ((a - a.mean(axis=1, keepdims=True)) * (b - b.mean(axis=1, keepdims=True))).mean(axis=1)
        flattest = np.minimum(contrast[one[pair]], contrast[other[pair]])
        spread = np.where(flattest >= MIN_CONTRAST, contrast[one[pair]] * contrast[other[pair]], np.inf)
        told[pair] = shared / spread
    return told

"""Copies and near duplicates among many pictures: the same photograph again, smaller, brighter or saved anew.

Perceptual hashes find candidates; the correlation of tiny grey copies decides, as flat pictures (open sea, blank
pages) have hashes of mere noise; and the mean colour must agree, as things of one shape in two colours differ.
The limits are measured by `tests/benchmarks/bench_near_duplicates.py`.
"""

from collections.abc import Callable, Iterator, Sequence
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
MAX_CHAIN = 50  # different files in a group, beyond which it is cut where its pictures are least alike
# Distance and correlation of pairs that hold a group together: the usual ones, then those that cut longer chains.
LEVELS = ((MAX_DISTANCE, MIN_CORRELATION), (5, 0.97), (3, 0.985), (1, 0.995))
_STRICTEST = np.array([sum(d <= most for most, _ in LEVELS) - 1 for d in range(MAX_DISTANCE + 1)])  # by distance
_EVERY = 16  # pictures that are compared with all others between two looks at whether to go on
_PAIRS = 1 << 16  # whose grey copies are correlated at once
Places = NDArray[np.intp]
Reals = NDArray[np.float64]
Distances = NDArray[np.uint8]
Wanted = Callable[[Places, Places, Distances], NDArray[np.bool_]]
LookUp = Callable[[float], None]


def near_groups(images: pd.DataFrame, look_up: LookUp | None = None) -> list[str]:
    """For each row, the sha256 that names its group: the smallest among the copies and near duplicates of a picture.

    images: columns sha256, width, height, phash, look and colour. Whatever is like any picture of a group belongs to
    it, so that no two pictures that are alike ever part. Where that chains more than `MAX_CHAIN` different files, only
    pairs that are more alike hold them together, see `LEVELS`; files that are almost the same stay one group, however
    many they are. Pictures smaller than `MIN_SIDE` are only copies or not.
    look_up: called with the part done, 0…1, now and then; what it raises ends the work.
    """
    if images.empty:
        return []
    distinct, first, place = np.unique(images["sha256"].to_numpy(str), return_index=True, return_inverse=True)
    joined = np.tile(np.arange(len(distinct)), (len(LEVELS), 1))  # [levels, N]: the first place of each one's group

    def wanted(one: Places, other: Places, distance: Distances) -> NDArray[np.bool_]:
        """Not those that are together at the strictest level that their distance lets them be, so at all before."""
        level = _STRICTEST[distance]
        return np.asarray(joined[level, one] != joined[level, other])

    for one, other, distance, correlation in _near(images.iloc[first], wanted, look_up):
        for level, (most, least) in enumerate(LEVELS):
            close = (distance <= most) & (correlation >= least)
            joined[level] = _joined(joined[level], one[close], other[close])
    return [str(key) for key in distinct[_cut(joined)[place]]]


def near_across(images: pd.DataFrame, values: Sequence[object]) -> list[str]:
    """For each row, what names the group of pictures with another of `values` that it is in; else "".

    Every pair of copies or near duplicates with two values is in one group, and each row of a group is in such a pair.
    images: as for `near_groups`; the groups are named in the same way. values: one for each row.
    """
    if images.empty:
        return []
    table = images.assign(value=pd.factorize(pd.Series(values, dtype=object), use_na_sentinel=False)[0])
    units = table.drop_duplicates(["sha256", "value"]).sort_values(["sha256", "value"], ignore_index=True)
    value, sha256 = units["value"].to_numpy(), units["sha256"].to_numpy(str)
    same = np.flatnonzero(sha256[1:] == sha256[:-1])
    joined = _joined(np.arange(len(units)), same, same + 1)

    def wanted(one: Places, other: Places, distance: Distances) -> NDArray[np.bool_]:
        return np.asarray((value[one] != value[other]) & (joined[one] != joined[other]))

    for one, other, *_ in _near(units, wanted, None):
        joined = _joined(joined, one, other)
    alone = np.bincount(joined, minlength=len(units))[joined] == 1
    names = dict(zip(zip(sha256, value, strict=True), np.where(alone, "", sha256[joined]), strict=True))
    return [str(names[key]) for key in zip(table["sha256"], table["value"], strict=True)]


def known_looks(images: pd.DataFrame) -> bool:
    """Whether these rows can be compared; those of a dataset that an early version imported cannot."""
    return {"phash", "look", "colour", "width", "height"}.issubset(images.columns)


def comparing(tell: Progress, should_stop: Stop) -> LookUp:
    """What `near_groups` calls, so that people see how far it is and can end it with RunCancelledError."""

    def look_up(done: float) -> None:
        check_stop(should_stop)
        tell(done, "Looking for near duplicates")

    return look_up


def _near(
    images: pd.DataFrame, wanted: Wanted, look_up: LookUp | None
) -> Iterator[tuple[Places, Places, Distances, Reals]]:
    """Pairs of rows that are alike, each once, with distance and correlation. wanted: asked for pairs just before."""
    hashes = _bytes(images["phash"]).view(np.uint64).ravel()
    looks, chroma = _bytes(images["look"]), _chroma(_bytes(images["colour"]))
    large = images[["width", "height"]].min(axis=1).to_numpy() >= MIN_SIDE
    rows = np.flatnonzero((looks.std(axis=1) >= MIN_CONTRAST) & large)
    hashes, chroma, unit = hashes[rows], chroma[rows], _unit(looks[rows])
    for start in range(0, len(rows), _EVERY):
        if look_up:
            look_up(1 - (1 - start / len(rows)) ** 2)  # later ones have fewer to be compared with
        distances = np.bitwise_count(hashes[start : start + _EVERY, None] ^ hashes[None, start:])
        close = np.flatnonzero(distances <= MAX_DISTANCE)
        ones, others = np.divmod(close, distances.shape[1])
        for begin in range(0, len(close), _PAIRS):
            part = slice(begin, begin + _PAIRS)
            a, b, distance = start + ones[part], start + others[part], distances.ravel()[close[part]]
            left = (b > a) & wanted(rows[a], rows[b], distance)
            a, b, distance = a[left], b[left], distance[left]
            left = np.abs(chroma[a] - chroma[b]).max(axis=1, initial=0) <= MAX_CHROMA
            a, b, distance = a[left], b[left], distance[left]
            correlations = np.einsum("ij,ij->i", unit[a], unit[b]).astype(np.float64)
            alike = correlations >= MIN_CORRELATION
            if alike.any():
                yield rows[a[alike]], rows[b[alike]], distance[alike], correlations[alike]


def _joined(groups: Places, ones: Places, others: Places) -> Places:
    """Groups, each known by its first place, after the two of every pair have become one."""
    apart = groups[ones] != groups[others]
    parent: dict[int, int] = {}

    def root(place: int) -> int:
        while place in parent:
            parent[place] = parent.get(parent[place], parent[place])  # paths halve as they are walked
            place = parent[place]
        return place

    for one, other in zip(groups[ones[apart]].tolist(), groups[others[apart]].tolist(), strict=True):
        low, high = sorted((root(one), root(other)))
        if low != high:
            parent[high] = low
    if not parent:
        return groups
    named = np.arange(len(groups))
    for place in parent:
        named[place] = root(place)
    joined: Places = named[groups]
    return joined


def _cut(joined: Places) -> Places:
    """Of each place the first level's group that is no longer than `MAX_CHAIN`, else the last level's."""
    groups = joined[-1]
    for level in joined[-2::-1]:
        groups = np.where(np.bincount(level, minlength=len(level))[level] <= MAX_CHAIN, level, groups)
    cut: Places = groups
    return cut


def _bytes(column: "pd.Series[Any]") -> NDArray[np.uint8]:
    """Hexadecimal texts of one length as bytes [N,B]."""
    return np.frombuffer(bytes.fromhex("".join(column)), dtype=np.uint8).reshape(len(column), -1)


def _chroma(colours: NDArray[np.uint8]) -> Reals:
    """The red and the green part of mean colours [N,3] -> [N,2]; one is added so that black has a colour."""
    light = colours.astype(np.float64) + 1
    shares: Reals = light[:, :2] / light.sum(axis=1, keepdims=True)
    return shares


def _unit(looks: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Grey copies [N,B] of mean 0 and length 1: their product is Pearson's correlation. All of them show something."""
    values = looks.astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return values

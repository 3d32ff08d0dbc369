"""Images drawn by lot, class by class: near duplicates together, by content and never by name or position."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from tlcore.datasets.fingerprints import rank


@dataclass(frozen=True)
class Unit:
    """Images of one class that are drawn as one: a near-duplicate group, or a single image.

    key: of the group, a content hash. rows: row numbers, by content. mixed: the group has images of other classes
    too, so no answer to them could be right, and they are never drawn.
    """

    key: str
    rows: tuple[int, ...]
    mixed: bool


Units = list[Unit]


def drawable(units: Iterable[Unit]) -> Units:
    """Those that may leave the training part."""
    return [unit for unit in units if not unit.mixed]


def count(units: Iterable[Unit]) -> int:
    """How many images."""
    return sum(len(unit.rows) for unit in units)


def without(classes: Sequence[Units], taken: Sequence[Units]) -> list[Units]:
    """Each class without the units that were taken of it."""
    gone = [{unit.key for unit in units} for units in taken]
    return [[u for u in units if u.key not in keys] for units, keys in zip(classes, gone, strict=True)]


def take_share(
    classes: Sequence[Units], totals: Sequence[int], share: float, purpose: str, leave: int
) -> tuple[list[Units], list[Units]]:
    """Split every class into (taken, rest). share: of `totals`, images per class. purpose: another one, another lot.

    leave: how many units must stay, all but one of them drawable.
    """
    taken = [
        _take(units, max(1, rounded(share * total)), purpose, leave)
        for units, total in zip(classes, totals, strict=True)
    ]
    return taken, without(classes, taken)


def deal(classes: Sequence[Units], folds: int, purpose: str) -> list[list[Units]]:
    """Every drawable unit dealt to one fold: per fold, the units of each class.

    The largest units of a class come first and equal ones by lot, each to the fold with the fewest images of the
    class; of those, with the fewest images. So folds differ in a class by no more than its largest unit, and each
    leaves enough of it to train and validate on, where `fits` says so.
    """
    dealt: list[list[Units]] = [[] for _ in range(folds)]
    totals = [0] * folds
    for units in classes:
        hands: list[Units] = [[] for _ in range(folds)]
        most = _most_in_a_fold(units)
        heap = [(0, totals[fold], fold) for fold in range(folds)]
        heapify(heap)
        for unit in sorted(drawable(units), key=lambda u: (-len(u.rows), rank(purpose, u.key))):
            images, total, fold = heappop(heap)
            hands[fold].append(unit)
            totals[fold] = total + len(unit.rows)
            if len(hands[fold]) < most:
                heappush(heap, (images + len(unit.rows), totals[fold], fold))
        for fold, hand in enumerate(hands):
            dealt[fold].append(hand)
    return dealt


def fits(units: Units, folds: int) -> bool:
    """Whether each of so many folds can have a unit of this class, and leave two, one of them drawable."""
    number = len(drawable(units))
    return number >= folds and folds * _most_in_a_fold(units) >= number


def first(units: Units, number: int, purpose: str) -> Units:
    """The first images of a class in an order by lot; fewer are the beginning of more."""
    ordered = sorted(units, key=lambda u: rank(purpose, u.key))
    singles = [Unit(u.key, (row,), u.mixed) for u in ordered for row in u.rows]
    return singles[:number]


def rounded(value: float) -> int:
    """To the nearest whole number, halves up; the small term absorbs what binary fractions miss."""
    return int(value + 0.5 + 1e-9)


def _take(units: Units, target: int, purpose: str, leave: int) -> Units:
    """Draw units of one class by lot until there are `target` images, never beyond it.

    At least one is drawn: the smallest unit, if none fits.
    """
    candidates = sorted(drawable(units), key=lambda u: rank(purpose, u.key))
    most = min(len(units) - leave, len(candidates) - leave + 1)
    taken: Units = []
    images = 0
    for candidate in candidates:
        if images + len(candidate.rows) <= target and len(taken) < most:
            taken.append(candidate)
            images += len(candidate.rows)
    return taken or [min(candidates, key=lambda u: len(u.rows))]


def _most_in_a_fold(units: Units) -> int:
    """How many units of a class one fold may have: two must be left, one of them drawable."""
    number = len(drawable(units))
    return min(number - 1, len(units) - 2)

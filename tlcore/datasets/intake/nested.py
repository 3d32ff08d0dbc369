"""Tables below the top: one in each of the train, validation and test folders, or one per class or batch of images."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tlcore.datasets.dataset import LeftOut
from tlcore.datasets.files import Files, Limits, Listing
from tlcore.datasets.intake.matching import Entry, Index, match, outside, relative_to
from tlcore.datasets.intake.tables import Row, is_table, read_table
from tlcore.datasets.names import part_of
from tlcore.errors import DatasetError

_LAST = "\U0010ffff"  # sorts after every name
Below = tuple[str, ...]


@dataclass
class Nested:
    """What tables in folders say. tables: those that name a file. images: the entries that are images.

    problem: why the first of the other tables cannot be used. notes: for people, where the folders do without it.
    """

    tables: list[Below] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    images: list[Entry] = field(default_factory=list)
    problem: DatasetError | None = None
    notes: list[str] = field(default_factory=list)


def read_nested(listing: Listing, limits: Limits, root: Path | None = None) -> Nested:
    """The images that tables in folders name, each relative to its own folder, else to one above.

    A table without a column for the part stands for the part that its folder means. An image that two tables name
    differently is left out. root: of the listing; absolute paths below it are taken as relative.
    """
    found = Nested()
    nearby = _Nearby(listing.images | listing.others)
    said: dict[Below, set[Entry]] = {}
    num_rows = 0
    for below, file in listing.others.items():
        if not is_table(below[-1]):
            continue
        try:
            rows = read_table(file, "/".join(below), limits.num_files - num_rows, _part_above(below[:-1]))
        except DatasetError as problem:
            found.problem = found.problem or problem
            continue
        rows = relative_to(rows or (), root) if root else rows or []
        num_rows += len(rows)
        entries, left_out = _match_nearby(rows, below[:-1], nearby)
        if entries:
            found.tables.append(below)
            found.left_out += left_out
            for entry in entries:
                said.setdefault(entry.below, set()).add(entry)
        elif absolute := outside(rows):
            words = f"{'/'.join(below)} names {absolute}, which is not inside {root or 'this archive'}"
            found.problem = found.problem or DatasetError(f"{words}: write paths relative to the table")
            found.notes.append(f"{words}: it was not used.")
    _agree(found, said, listing)
    return found


def parts_by_folder(entries: list[Entry]) -> tuple[list[Entry], list[str]]:
    """The parts that folders mean, with a note that says so, where tables name no part and all images lie in such
    folders; else the entries as they are.
    """
    if any(entry.part for entry in entries):
        return entries, []
    depth = shared_depth([entry.below[:-1] for entry in entries])
    parts = {entry.below[:-1][depth : depth + 1] for entry in entries}
    if not all(folder and part_of(folder[0]) for folder in parts):
        return entries, []
    folders = " and ".join(sorted(folder[0] for folder in parts))
    parted = [replace(entry, part=part_of(entry.below[depth]) or "") for entry in entries]
    return parted, [f"The parts are those of the folders {folders}."] if parted else []


def _part_above(folders: Below) -> str:
    """The part that the nearest of the folders means, or `""`."""
    return next((part for folder in reversed(folders) if (part := part_of(folder))), "")


def _match_nearby(rows: Sequence[Row], folder: Below, nearby: "_Nearby") -> tuple[list[Entry], list[LeftOut]]:
    """Match below the table's folder, or below the nearest one above it where at least half of the rows name a file.

    Where there is none, below the one where most do.
    """
    best: tuple[list[Entry], list[LeftOut]] = ([], [])
    for depth in range(len(folder), -1, -1) if rows else ():
        above = folder[:depth]
        entries, left_out = match(rows, nearby.inside(above))
        if len(entries) > len(best[0]):
            best = _from_the_top(above, entries, left_out)
        if 2 * len(best[0]) >= len(rows):
            break
    return best


def _from_the_top(
    above: Below, entries: Iterable[Entry], left_out: Iterable[LeftOut]
) -> tuple[list[Entry], list[LeftOut]]:
    return (
        [replace(entry, below=(*above, *entry.below)) for entry in entries],
        [left.model_copy(update={"path": "/".join((*above, left.path))}) for left in left_out],
    )


class _Nearby:
    """The files inside each folder, by their path below it."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._order = sorted(files)
        self._indexes: dict[Below, Index] = {}

    def inside(self, folder: Below) -> Index:
        if folder not in self._indexes:
            start, end = bisect_left(self._order, (*folder, "")), bisect_left(self._order, (*folder, _LAST))
            paths = self._order[start:end]
            self._indexes[folder] = Index({path[len(folder) :]: self._files[path] for path in paths})
        return self._indexes[folder]


def shared_depth(folders: Sequence[Below]) -> int:
    """How many folders all paths have in common from the top."""
    first, last = min(folders, default=()), max(folders, default=())
    return next((i for i, names in enumerate(zip(first, last, strict=False)) if names[0] != names[1]), len(first))


def _agree(found: Nested, said: dict[Below, set[Entry]], listing: Listing) -> None:
    for below, entries in sorted(said.items()):
        if len(entries) == 1:
            found.entries += entries
        else:
            reason = "named in several tables, with different labels or parts"
            found.left_out.append(LeftOut(path="/".join(below), reason=reason))
    parts = {entry.part for entry in found.entries} - {""}
    if len(parts) > 1:
        outside = [entry for entry in found.entries if not entry.part]
        reason = "its table says no part (train, val or test), as others do"
        found.left_out += [LeftOut(path="/".join(entry.below), reason=reason) for entry in outside]
        found.entries = [entry for entry in found.entries if entry.part]
    found.images = [entry for entry in found.entries if entry.below in listing.images]

"""Tables below the top: one in each of the train, validation and test folders, or one per class or batch of images."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tlcore.datasets.dataset import LeftOut
from tlcore.datasets.files import Limits, Listing, Stop, never
from tlcore.datasets.intake.matching import Entry, Index, match, outside, relative_to
from tlcore.datasets.intake.tables import Row, is_table, read_table
from tlcore.datasets.names import part_of
from tlcore.errors import DatasetError

Below = tuple[str, ...]


@dataclass
class Nested:
    """What tables in folders say. tables: those that name a file. images: the entries that are images.

    problem: why the first of the other tables cannot be used. notes: for people, where the folders do without it.
    used: for people, where the tables are used.
    """

    tables: list[Below] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    images: list[Entry] = field(default_factory=list)
    problem: DatasetError | None = None
    notes: list[str] = field(default_factory=list)
    used: list[str] = field(default_factory=list)


def read_nested(
    listing: Listing, index: Index, limits: Limits, root: Path | None = None, should_stop: Stop = never
) -> Nested:
    """The images that tables in folders name, each relative to its own folder, else to one above.

    A table without a column for the part stands for the part that its folder means. An image that two tables name
    differently is left out. index: of all files. root: of the listing; absolute paths below it are taken as relative.
    Raises: RunCancelledError.
    """
    found = Nested()
    said: dict[Below, set[Entry]] = {}
    num_rows = 0
    for below, file in listing.others.items():
        if not is_table(below[-1]):
            continue
        try:
            left = limits.num_files - num_rows
            table = read_table(file, "/".join(below), left, _part_above(below[:-1]), should_stop)
        except DatasetError as problem:
            found.problem = found.problem or problem
            continue
        if table is None:
            continue
        rows = relative_to(table.rows, root) if root else table.rows
        num_rows += len(rows)
        entries, left_out = _match_nearby(rows, below[:-1], index, should_stop)
        if entries:
            found.tables.append(below)
            found.used += table.notes
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


def _match_nearby(
    rows: Sequence[Row], folder: Below, index: Index, should_stop: Stop
) -> tuple[list[Entry], list[LeftOut]]:
    """Match below the table's folder, or below the nearest one above it where at least half of the rows name a file.

    Where there is none, below the one where most do.
    """
    best: tuple[list[Entry], list[LeftOut]] = ([], [])
    for depth in range(len(folder), -1, -1) if rows else ():
        matched = match(rows, index, folder[:depth], should_stop)
        best = matched if len(matched[0]) > len(best[0]) else best
        if 2 * len(best[0]) >= len(rows):
            break
    return best


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

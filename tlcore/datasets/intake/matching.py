"""Which file each row of a table names."""

import os
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath

from tlcore.datasets.dataset import LeftOut
from tlcore.datasets.files import Files, Stop, check_stop, is_regular, never
from tlcore.datasets.intake.tables import Row
from tlcore.datasets.names import readable

Below = tuple[str, ...]
_Named = tuple[str, Below]  # the last name of a path, with or without its extension, and the path
_LAST = "\U0010ffff"  # sorts after every name
_DRIVE = re.compile(r"[A-Za-z]:/")  # as Windows begins its paths; tables are read with / for \


@dataclass(frozen=True)
class Entry:
    """One image of a source: where it is below the source, its bytes, its class and its part."""

    below: Below
    file: Path
    label: str
    part: str


MAX_ALIKE = 1_000  # files of one name that are compared without case: a table of as many rows would take for ever


class Index:
    """Files by the end of their path, with and without the extension, anywhere or inside one folder.

    Its memory grows with the number of files, however deep they lie: the two orders hold the same pairs.
    """

    def __init__(self, files: Files) -> None:
        self.files = files

    @cached_property
    def _by_folder(self) -> list[_Named]:
        return sorted((last, below) for below in self.files for last in {below[-1], PurePosixPath(below[-1]).stem})

    @cached_property
    def _by_end(self) -> list[_Named]:
        return sorted(self._by_folder, key=_backwards)

    def ending_with(self, parts: Below, folder: Below = ()) -> list[Below]:
        """Files inside the folder whose path below it ends with these names."""
        end, last = parts[::-1], parts[-1]
        low = bisect_left(self._by_end, end, key=_backwards)
        high = bisect_left(self._by_end, (*end, _LAST), low, key=_backwards)
        found = self._by_end, low, high
        if folder and high - low > 1:  # names may repeat in many folders
            low = bisect_left(self._by_folder, (last, folder))
            high = bisect_left(self._by_folder, (last, (*folder, _LAST)), low)
            found = min(found, (self._by_folder, low, high), key=lambda part: part[2] - part[1])
        order, low, high = found
        depth, above = len(folder), parts[:-1]
        return [
            below
            for _, below in islice(order, low, high)
            if below[:depth] == folder and len(below) >= depth + len(parts) and below[-len(parts) : -1] == above
        ]

    def ending_alike(self, parts: Below, folder: Below = ()) -> list[Below]:
        """The same for names that differ from these by upper and lower case alone; none of very many of one name."""
        *above, last = _folded(parts)
        alike = self._by_name.get(last, [])
        depth = len(folder)
        return [
            below
            for below in (alike if len(alike) <= MAX_ALIKE else [])
            if below[:depth] == folder
            and len(below) >= depth + len(parts)
            and _folded(below[-len(parts) : -1]) == tuple(above)
        ]

    @cached_property
    def _by_name(self) -> dict[str, list[Below]]:
        found: dict[str, list[Below]] = defaultdict(list)
        for last, below in self._by_folder:
            found[last.casefold()].append(below)
        return found


def _folded(parts: Below) -> Below:
    return tuple(part.casefold() for part in parts)


def _backwards(named: _Named) -> Below:
    last, below = named
    return last, *below[-2::-1]


def match(
    rows: Sequence[Row], index: Index, folder: Below = (), should_stop: Stop = never
) -> tuple[list[Entry], list[LeftOut]]:
    """The file inside the folder that each row names: by its path below it, else by the end of it, with or without
    the extension.

    Rows that name no file, several files, a place outside, or contradict another row are left out with the reason.
    Raises: RunCancelledError.
    """
    labels: dict[Below, set[tuple[str, str]]] = defaultdict(set)
    left_out: list[LeftOut] = []
    seen: dict[str, tuple[Below | None, str]] = {}
    for row in rows:
        check_stop(should_stop)
        if row.path not in seen:
            seen[row.path] = _find(row.path, index, folder)
        found, reason = seen[row.path] if row.label else (None, "has no label in the table")
        if found is None:
            left_out.append(LeftOut(path="/".join((*folder, readable(row.path))), reason=reason))
        else:
            labels[found].add((row.label, row.part))
    entries = []
    for below, named in sorted(labels.items()):
        if len(named) > 1:
            left_out.append(
                LeftOut(path="/".join(below), reason="named twice in the table, with different labels or parts")
            )
        else:
            ((label, part),) = named
            entries.append(Entry(below, index.files[below], label, part))
    return entries, left_out


def beside(rows: Iterable[Row], folder: Path) -> Files:
    """The files that rows name relative to the table's folder (or by an absolute path below it)."""
    files: Files = {}
    for row in rows:
        parts = _components(row.path, folder)
        if parts and is_regular(folder.joinpath(*parts)):
            file = folder.joinpath(*parts).resolve()  # a folder in between may be a link to another one in here
            if file.is_relative_to(folder):
                files[parts] = file
    return files


def relative_to(rows: Iterable[Row], folder: Path) -> list[Row]:
    """Rows whose absolute paths below the folder, which is resolved, are made relative to it.

    A path may also lead there by another name, through a link above the folder.
    """
    resolved: dict[PurePosixPath, PurePosixPath] = {}
    return [Row("/".join(_below(row.path, folder, resolved)), row.label, row.part) for row in rows]


def outside(rows: Iterable[Row]) -> str | None:
    """The first path that is absolute, of any system."""
    return next((row.path for row in rows if row.path.startswith("/") or _DRIVE.match(row.path)), None)


def _below(path: str, folder: Path, resolved: dict[PurePosixPath, PurePosixPath]) -> Below:
    """The path's names below the folder; of one that points elsewhere, the path as it is."""
    pure = PurePosixPath(path)
    if pure.is_absolute() and "\0" not in path and not pure.is_relative_to(folder.as_posix()):
        if pure.parent not in resolved:
            resolved[pure.parent] = PurePosixPath(os.path.realpath(pure.parent))
        path = str(resolved[pure.parent] / pure.name)
    return _components(path, folder) or (str(pure),)


def _components(path: str, folder: Path) -> Below | None:
    """The path below the folder; None if it is empty or points outside."""
    pure = PurePosixPath(path)
    if pure.is_absolute():
        if not pure.is_relative_to(folder.as_posix()):
            return None
        pure = pure.relative_to(folder.as_posix())
    return None if ".." in pure.parts or "\0" in path or not pure.parts else pure.parts


def _find(path: str, index: Index, folder: Below) -> tuple[Below | None, str]:
    parts = tuple(readable(part) for part in PurePosixPath(path).parts)
    if not parts or parts[0] == "/" or ".." in parts:
        return None, "its path points outside the folder of the table: write paths relative to the table"
    if (*folder, *parts) in index.files:
        return (*folder, *parts), ""
    ends = index.ending_with(parts, folder)
    if not ends:
        ends = index.ending_alike(parts, folder)
        if len(ends) > 1:
            return None, f"names {len(ends)} files that differ from it by upper and lower case"
    if len(ends) == 1:
        return ends[0], ""
    return None, f"names {len(ends)} files" if ends else "named in the table, but not there"

"""Which file each row of a table names."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tlcore.datasets.dataset import LeftOut
from tlcore.datasets.files import Files, is_regular
from tlcore.datasets.intake.tables import Row
from tlcore.datasets.names import readable

Below = tuple[str, ...]
_DRIVE = re.compile(r"[A-Za-z]:/")  # as Windows begins its paths; tables are read with / for \


@dataclass(frozen=True)
class Entry:
    """One image of a source: where it is below the source, its bytes, its class and its part."""

    below: Below
    file: Path
    label: str
    part: str


class Index:
    """Files by the end of their path, with and without the extension; an end of n names is looked up in one step."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self._deepest = max(map(len, files), default=0)
        self._ends: dict[int, dict[Below, list[Below]]] = {}

    def ending_with(self, parts: Below) -> list[Below]:
        """Files whose path ends with these names."""
        if len(parts) > self._deepest:
            return []
        if len(parts) not in self._ends:
            self._ends[len(parts)] = self._index(len(parts))
        return self._ends[len(parts)].get(parts, [])

    def _index(self, length: int) -> dict[Below, list[Below]]:
        index: dict[Below, list[Below]] = defaultdict(list)
        for below in self.files:
            if len(below) >= length:
                *above, name = below[len(below) - length :]
                for last in {name, PurePosixPath(name).stem}:
                    index[(*above, last)].append(below)
        return index


def match(rows: Sequence[Row], index: Index) -> tuple[list[Entry], list[LeftOut]]:
    """The file that each row names: by its path, else by the end of it, with or without the extension.

    Rows that name no file, several files, a place outside, or contradict another row are left out with the reason.
    """
    labels: dict[Below, set[tuple[str, str]]] = defaultdict(set)
    left_out: list[LeftOut] = []
    for row in rows:
        found, reason = _find(row, index)
        if found is None:
            left_out.append(LeftOut(path=readable(row.path), reason=reason))
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


def _find(row: Row, index: Index) -> tuple[Below | None, str]:
    parts = tuple(readable(part) for part in PurePosixPath(row.path).parts)
    if not row.label:
        return None, "has no label in the table"
    if not parts or parts[0] == "/" or ".." in parts:
        return None, "its path points outside the folder of the table: write paths relative to the table"
    if parts in index.files:
        return parts, ""
    ends = index.ending_with(parts)
    if len(ends) == 1:
        return ends[0], ""
    return None, f"names {len(ends)} files" if ends else "named in the table, but not there"

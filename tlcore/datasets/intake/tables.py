"""Tables of paths and labels: CSV files as people write them."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tlcore.datasets.content import head_of, is_text
from tlcore.datasets.dataset import LeftOut
from tlcore.datasets.files import Files, is_regular
from tlcore.datasets.names import part_of, readable
from tlcore.errors import DatasetError

SUFFIXES = (".csv", ".tsv", ".txt")
_PATH_HEADERS = (
    "path",
    "filepath",
    "filename",
    "file",
    "imagepath",
    "image",
    "imagename",
    "imagefile",
    "imageid",
    "img",
    "imgpath",
    "name",
    "id",
)
_LABEL_HEADERS = ("label", "labels", "class", "classname", "target", "category", "species", "diagnosis", "dx", "y")
_SPLIT_HEADERS = ("split", "set", "part", "partition", "subset", "dataset", "fold")


@dataclass(frozen=True)
class Row:
    """One line of a table. part: `train`, `val`, `test` or `""`."""

    path: str
    label: str
    part: str


@dataclass(frozen=True)
class Entry:
    """One image of a source: where it is below the source, its bytes, its class and its part."""

    below: tuple[str, ...]
    file: Path
    label: str
    part: str


def read_table(table: Path, name: str, limit: int) -> list[Row] | None:
    """The rows of a table, or None if it has no columns for path and label. `name`: for messages and its part.

    Raises: DatasetError for a table that names columns but cannot be used.
    """
    head = head_of(table)
    if not is_text(head):
        return None
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, delimiter=_delimiter(head))
            header = next(reader, [])
            columns = _columns(header)
            return None if columns is None else _rows(reader, columns, name, limit)
    except UnicodeDecodeError as error:
        raise DatasetError(f"{name} is not UTF-8 text (byte {error.start:,}): save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise DatasetError(f"{name} is no valid CSV ({error}): save it again as CSV") from error


def header_of(table: Path) -> str:
    """The first line of a table, for messages."""
    return head_of(table).decode("utf-8-sig", "replace").splitlines()[0][:200]


def match(rows: Sequence[Row], files: Files) -> tuple[list[Entry], list[LeftOut]]:
    """The file that each row names: by its path, else by the end of it, with or without the extension.

    Rows that name no file, several files, a place outside, or contradict another row are left out with the reason.
    """
    index = _index(files)
    labels: dict[tuple[str, ...], set[tuple[str, str]]] = defaultdict(set)
    left_out: list[LeftOut] = []
    for row in rows:
        found, reason = _find(row, files, index)
        if found is None:
            left_out.append(LeftOut(path=row.path, reason=reason))
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
            entries.append(Entry(below, files[below], label, part))
    return entries, left_out


def beside(rows: Iterable[Row], folder: Path) -> Files:
    """The files that rows name relative to the table's folder (or by an absolute path below it)."""
    files: Files = {}
    for row in rows:
        parts = _components(row.path, folder)
        if parts and is_regular(folder.joinpath(*parts)) and folder.joinpath(*parts).resolve().is_relative_to(folder):
            files[parts] = folder.joinpath(*parts)
    return files


def relative_to(rows: Iterable[Row], folder: Path) -> list[Row]:
    """Rows whose absolute paths below the folder are made relative to it."""
    return [Row("/".join(_components(row.path, folder) or (row.path,)), row.label, row.part) for row in rows]


def _delimiter(head: bytes) -> str:
    first = head.decode("utf-8-sig", "replace").splitlines()[0]
    return max(",;\t", key=first.count)


def _columns(header: Sequence[str]) -> tuple[int, int, int | None] | None:
    plain = ["".join(c for c in name.casefold() if c.isalnum()) for name in header]

    def column(names: Sequence[str]) -> int | None:
        return next((plain.index(name) for name in names if name in plain), None)

    path, label = column(_PATH_HEADERS), column(_LABEL_HEADERS)
    return None if path is None or label is None else (path, label, column(_SPLIT_HEADERS))


def _rows(reader: Iterable[list[str]], columns: tuple[int, int, int | None], name: str, limit: int) -> list[Row]:
    path, label, split = columns
    rows = []
    default = part_of(PurePosixPath(name).stem) or ""
    for number, cells in enumerate(reader, start=2):
        if number > limit + 1:
            raise DatasetError(f"{name} has more than {limit:,} rows: split it, or raise TLCORE_MAX_DATASET_FILES")
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) <= max(path, label, split or 0):
            raise DatasetError(
                f"{name}, line {number}, has {len(cells)} columns, fewer than the header: mend that line"
            )
        part = default if split is None else part_of(cells[split])
        if part is None:
            raise DatasetError(f"{name}, line {number}: {cells[split or 0]!r} is no part: use train, val or test")
        rows.append(Row(cells[path].strip().replace("\\", "/"), readable(cells[label].strip()), part))
    return rows


def _components(path: str, folder: Path) -> tuple[str, ...] | None:
    """The path below the folder; None if it is empty or points outside."""
    pure = PurePosixPath(path)
    if pure.is_absolute():
        if not pure.is_relative_to(folder.as_posix()):
            return None
        pure = pure.relative_to(folder.as_posix())
    return None if ".." in pure.parts or "\0" in path or not pure.parts else pure.parts


def _index(files: Files) -> dict[str, list[tuple[str, ...]]]:
    """Files by name and by name without extension."""
    index: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for below in files:
        for name in {below[-1], PurePosixPath(below[-1]).stem}:
            index[name].append(below)
    return index


def _find(row: Row, files: Files, index: dict[str, list[tuple[str, ...]]]) -> tuple[tuple[str, ...] | None, str]:
    parts = tuple(readable(part) for part in PurePosixPath(row.path).parts)
    if not row.label:
        return None, "has no label in the table"
    if not parts or parts[0] == "/" or ".." in parts:
        return None, "its path points outside the folder of the table: write paths relative to the table"
    if parts in files:
        return parts, ""
    ends = [b for b in index.get(parts[-1], []) if b[:-1][len(b) - len(parts) :] == parts[:-1]]
    if len(ends) == 1:
        return ends[0], ""
    return None, f"names {len(ends)} files" if ends else "named in the table, but not there"

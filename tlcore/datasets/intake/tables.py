"""Tables of paths and labels as people write them: CSV, TSV, or one JSON object per line."""

import codecs
import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tlcore.datasets.content import head_of, is_text
from tlcore.datasets.files import Stop, check_stop, never
from tlcore.datasets.names import part_of, readable
from tlcore.errors import DatasetError

SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl")
_MAX_SHOWN = 100  # characters of a value in a note
_MAX_LINE = 1024 * 1024  # characters; bounds the memory that a file without line ends takes
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
class Table:
    """The rows of a table, and remarks for people: columns of parts that were not used."""

    rows: list[Row]
    notes: list[str]


@dataclass(frozen=True)
class _Columns:
    """Which columns hold what, by position in the header. splits: those that may say the part, the likeliest first."""

    path: int
    label: int
    splits: list["_Splits"]

    @property
    def last(self) -> int:
        return max(self.path, self.label)


@dataclass
class _Splits:
    """A column that may say the part of each row; it does where all that it says are parts.

    parts: of each row, `""` where the cell is empty. stray: the first value that is no part.
    """

    header: str
    position: int
    parts: list[str] = field(default_factory=list)
    stray: str = ""

    def take(self, row: Sequence[str]) -> None:
        said = row[self.position].strip() if self.position < len(row) else ""
        part = part_of(said) if said else ""
        if part is None and not self.stray:
            self.stray = readable(said)[:_MAX_SHOWN]
            self.parts.clear()
        if not self.stray:
            self.parts.append(part or "")


def is_table(name: str) -> bool:
    """Whether a file may be a table, by its name."""
    return name.lower().endswith(SUFFIXES)


def read_table(table: Path, name: str, limit: int, part: str = "", should_stop: Stop = never) -> Table | None:
    """The rows of a table, or None if it has no columns for path and label.

    name: for messages; where it says a part, and no column does, all rows are of that part, else of `part`.
    Raises: DatasetError for a table that names columns but cannot be used, RunCancelledError.
    """
    head = head_of(table)
    encoding = _encoding(head)
    if encoding == "utf-16":  # Excel's "Unicode text"
        head = head[: len(head) // 2 * 2].decode(encoding, "replace").encode()
    if not is_text(head):
        return None
    try:
        with table.open(newline="", encoding=encoding) as file:
            lines = _lines(file, name, should_stop)
            cells = _json_cells(lines, name) if name.lower().endswith(".jsonl") else _csv_cells(lines, head)
            columns = _columns(next(cells, []))
            return None if columns is None else _rows(cells, columns, name, limit, part)
    except UnicodeError as error:
        if encoding == "utf-16" or not isinstance(error, UnicodeDecodeError):
            raise DatasetError(f"{name} is damaged UTF-16 text: save it as CSV in UTF-8") from error
        raise DatasetError(f"{name} is not UTF-8 text (byte {error.start:,}): save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise DatasetError(f"{name} is no valid CSV ({error}): save it again as CSV") from error


def _encoding(head: bytes) -> str:
    return "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


def header_of(table: Path) -> str:
    """The first line of a table, for messages."""
    head = head_of(table)
    return _first_line(head.decode(_encoding(head), "replace").encode())[:200]


def _first_line(head: bytes) -> str:
    return next(iter(head.decode("utf-8-sig", "replace").splitlines()), "")


def _lines(file: IO[str], name: str, should_stop: Stop) -> Iterator[str]:
    while line := file.readline(_MAX_LINE):
        check_stop(should_stop)
        if len(line) == _MAX_LINE:
            raise DatasetError(f"{name} has a line beyond {_MAX_LINE:,} characters: write one line per image")
        yield line


def _csv_cells(lines: Iterable[str], head: bytes) -> Iterator[list[str]]:
    first = _first_line(head)
    yield from csv.reader(lines, delimiter=max(",;\t", key=first.count))


def _json_cells(lines: Iterable[str], name: str) -> Iterator[list[str]]:
    """The keys of the first object, then the values of each under these keys; nothing where the first is no object."""
    keys: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        found = _json_object(line)
        if found is None and not keys:
            return
        if found is None:
            raise DatasetError(f"{name}, line {number}, is no JSON object: write one per image")
        if not keys:
            keys = list(found)
            yield keys
        yield [_json_cell(found.get(key)) for key in keys]


def _json_object(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _json_cell(value: object) -> str:
    """A list with one value stands for that value; other lists and objects are no label."""
    while isinstance(value, list) and len(value) == 1:
        (value,) = value
    return "" if value is None or isinstance(value, list | dict) else str(value)


def _columns(header: Sequence[str]) -> _Columns | None:
    plain = ["".join(c for c in name.casefold() if c.isalnum()) for name in header]

    def column(names: Sequence[str]) -> int | None:
        return next((plain.index(name) for name in names if name in plain), None)

    path, label = column(_PATH_HEADERS), column(_LABEL_HEADERS)
    if path is None or label is None:
        return None
    splits = [plain.index(name) for name in _SPLIT_HEADERS if name in plain]
    return _Columns(path, label, [_Splits(readable(header[place])[:_MAX_SHOWN], place) for place in splits])


def _rows(cells: Iterable[list[str]], columns: _Columns, name: str, limit: int, part: str) -> Table:
    rows: list[tuple[str, str]] = []
    first = 1 if name.lower().endswith(".jsonl") else 2
    for number, row in enumerate(cells, start=first):
        if len(rows) == limit:
            raise DatasetError(
                f"{name} has more than {limit:,} rows: split it, or raise the limit with the environment's "
                "TLCORE_MAX_DATASET_FILES"
            )
        if not any(cell.strip() for cell in row):
            continue
        if len(row) <= columns.last:
            raise DatasetError(f"{name}, line {number}, has {len(row)} columns, fewer than the header: mend that line")
        rows.append((row[columns.path].strip().replace("\\", "/"), readable(row[columns.label].strip())))
        for splits in columns.splits:
            splits.take(row)
    parts, notes = _parts(columns.splits, name)
    default = part_of(PurePosixPath(name).stem) or part
    return Table([Row(*row, said) for row, said in zip(rows, parts or [default] * len(rows), strict=True)], notes)


def _parts(columns: Sequence[_Splits], name: str) -> tuple[list[str], list[str]]:
    """The part of each row by the first column that says parts, empty where none does; and notes on those before."""
    notes = []
    for column in columns:
        if column.stray:
            notes.append(
                f"The column {column.header!r} of {name} was not taken for the split, as {column.stray!r} is no part "
                "(train, val or test)."
            )
        elif any(column.parts):
            return column.parts, notes
    return [], notes

"""Edits done to a table of images: which images stay, under which class and part, and where their files will be."""

import difflib
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import pandas as pd

from tlcore.datasets.dataset import Dataset
from tlcore.datasets.names import MAX_CLASS_CHARACTERS, UniquePaths, class_name, readable
from tlcore.datasets.versions.edits import Edit, LeaveOut, Move, Relabel, RenameClass
from tlcore.errors import DatasetError

_MOST_COMPARED = 5_000  # paths that are compared with a misspelt one
_OFFERED = 3


@dataclass(frozen=True)
class Edited:
    """What the edits leave.

    images: the rows that stay, in their old order, with the columns of `Dataset.images` but `label`; beside them
    `class` (its name) and `old_path` (where the file is now); path and part are the new ones. left_out: the paths
    that do not stay, sorted. changes: a sentence per edit.
    """

    images: pd.DataFrame
    left_out: tuple[str, ...]
    changes: tuple[str, ...]


@dataclass
class _Draft:
    """The table while it is edited; lists by row."""

    rows: dict[str, int]
    labels: list[str]
    parts: list[str]
    known_parts: tuple[str, ...]
    out: set[int] = field(default_factory=set)
    changes: list[str] = field(default_factory=list)

    def classes(self) -> set[str]:
        return {label for row, label in enumerate(self.labels) if row not in self.out}


def edited(dataset: Dataset, edits: Sequence[Edit]) -> Edited:
    """The edits, done in order. Raises: DatasetError for unknown paths, classes and parts, with the near names."""
    if not edits:
        raise DatasetError(f"no edit of {dataset.info.id} is given: name at least one")
    images = dataset.images
    draft = _Draft(
        rows={path: row for row, path in enumerate(images["path"])},
        labels=[dataset.info.classes[label] for label in images["label"]],
        parts=images["part"].tolist(),
        known_parts=tuple(sorted(set(images["part"]) - {""})),
    )
    for edit in edits:
        _do(draft, edit)
    rows = [row for row in range(len(images)) if row not in draft.out]
    kept = images.iloc[rows].drop(columns="label").rename(columns={"path": "old_path"}).reset_index(drop=True)
    kept["class"] = [draft.labels[row] for row in rows]
    kept["part"] = [draft.parts[row] for row in rows]
    kept["path"] = _new_paths(kept, _folders(dataset))
    left_out = tuple(sorted(images["path"].iloc[sorted(draft.out)]))
    return Edited(kept, left_out, tuple(draft.changes))


def tidy_label(label: str) -> str:
    """The name of a class as an import would have it. Raises: DatasetError for one that cannot be a name."""
    clean = readable(label).strip()
    if clean != class_name(label) or any(unicodedata.category(character) == "Cc" for character in label):
        raise DatasetError(
            f"{label[:MAX_CLASS_CHARACTERS]!r} is no name for a class, which is a folder's in the zip: use 1 to "
            f"{MAX_CLASS_CHARACTERS} characters without /, \\ and control characters, and neither . nor .."
        )
    return clean


def near(name: str, known: Collection[str]) -> str:
    """`: did you mean a or b?`, of the known names."""
    close = difflib.get_close_matches(name, list(known)[:_MOST_COMPARED], n=_OFFERED, cutoff=0.5)
    close = close or sorted(known)[:_OFFERED]
    return f": did you mean {' or '.join(close)}?" if close else ""


def _do(draft: _Draft, edit: Edit) -> None:
    words = edit.words
    if not isinstance(edit, RenameClass) and not edit.paths:
        raise DatasetError("an edit names no image: name at least one by its path")
    if isinstance(edit, LeaveOut):
        draft.out.update(_row(draft, path) for path in edit.paths)
    elif isinstance(edit, Move):
        _require_part(draft, edit.part)
        for row in _rows_there(draft, edit.paths):
            draft.parts[row] = edit.part
    elif isinstance(edit, Relabel):
        label = tidy_label(edit.label)
        for row in _rows_there(draft, edit.paths):
            draft.labels[row] = label
    elif _rename(draft, edit):
        words = edit.merging_words
    draft.changes.append(words)


def _rename(draft: _Draft, edit: RenameClass) -> bool:
    """Whether the class was merged into another."""
    classes, new = draft.classes(), tidy_label(edit.new)
    if edit.old not in classes:
        raise DatasetError(f"there is no class {edit.old!r} to rename{near(edit.old, classes)}")
    draft.labels = [new if label == edit.old else label for label in draft.labels]
    return new in classes and new != edit.old


def _rows_there(draft: _Draft, paths: Sequence[str]) -> list[int]:
    rows = [_row(draft, path) for path in paths]
    for path, row in zip(paths, rows, strict=True):
        if row in draft.out:
            raise DatasetError(f"{path} is left out by an edit before: change it or leave it out, not both")
    return rows


def _row(draft: _Draft, path: str) -> int:
    row = draft.rows.get(path)
    if row is None:
        name = PurePosixPath(path).name
        alike = [known for known in draft.rows if PurePosixPath(known).name == name]
        raise DatasetError(f"there is no image {path!r} in this version{near(path, alike or draft.rows)}")
    return row


def _require_part(draft: _Draft, part: str) -> None:
    if not draft.known_parts:
        raise DatasetError(
            f"images cannot be moved to {part!r}: the dataset brings no parts, so they are drawn by lot; import it "
            "with train, val and test folders to choose them"
        )
    if part not in draft.known_parts:
        raise DatasetError(f"there is no part {part!r}: this dataset has {' and '.join(draft.known_parts)}")


def _folders(dataset: Dataset) -> dict[str, str]:
    """The folder of each class, where its images lie in one."""
    firsts = dataset.images.drop_duplicates("label")
    above = {dataset.info.classes[row.label]: PurePosixPath(str(row.path)).parent.name for row in firsts.itertuples()}
    return {label: folder for label, folder in above.items() if folder}


def _new_paths(images: pd.DataFrame, folders: dict[str, str]) -> list[str]:
    """Part, class and file name, as an import lays them out. Images that change neither part nor class come first, so
    that they keep their paths."""
    names = UniquePaths()
    classes = sorted(set(images["class"]), key=lambda label: (label not in folders, label))
    folder_of = {label: names.take([folders.get(label, label)]) for label in classes}
    columns = images["part"], images["class"], images["old_path"]
    wanted = [
        [*([part] if part else []), folder_of[label], PurePosixPath(old).name]
        for part, label, old in zip(*columns, strict=True)
    ]
    olds = images["old_path"].tolist()
    order = sorted(range(len(images)), key=lambda row: ("/".join(wanted[row]) != olds[row], olds[row]))
    paths, taken = UniquePaths(), {}
    for row in order:
        taken[row] = paths.take(wanted[row])
    return [taken[row] for row in range(len(images))]

"""A checked, versioned dataset: what it holds, where its files are, and how it splits."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tlcore.errors import DatasetError
from tlcore.results import Value

PARTS = ("train", "val", "test")
_GIVEN = {
    frozenset({"train", "val"}): "train_val",
    frozenset({"train", "test"}): "train_test",
    frozenset({"train", "val", "test"}): "train_val_test",
}


class LeftOut(Value):
    """A file that did not become part of the dataset, and why."""

    path: str
    reason: str


class DatasetInfo(Value):
    """All that is known of a dataset without opening its images: `dataset.json`.

    id: its name as a slug and the first characters of the fingerprint. classes: in sorted order; a label is an
    index into it. class_counts: images per class. part_counts: images per given part (`""` where none is given).
    given: `none` (no folders), `train_val`, `train_test` or `train_val_test`. short_side: median, in pixels.
    version: 1 for an import, its parent's + 1 for one that was made from another by edits. parent: the id of that
    one. ancestors: all ids that it descends from, the import first and the parent last, deleted ones too. changes:
    the edits that made it, one sentence each.
    """

    id: str
    name: str
    fingerprint: str
    classes: tuple[str, ...]
    num_images: int
    class_counts: dict[str, int]
    part_counts: dict[str, int]
    given: str
    short_side: int
    total_bytes: int
    created_ms: int
    source: str
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    parent: str | None = None
    version: int = 1
    changes: tuple[str, ...] = ()
    ancestors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """A dataset on disk.

    images: one row per image, with columns path (relative to `root`, posix), label (int), part (`train`, `val`,
    `test` or `""`), sha256, width, height (after EXIF orientation), mode, format, num_bytes, brightness, contrast,
    colour, phash and look (as of `pictures.likeness.Look`), and group: as of `duplicates.near_groups`, the smallest
    sha256 among the image's copies and near duplicates. Sorted by label, sha256 and path, so that datasets of equal
    fingerprint have equal pixels row by row, whatever the files are called: caches need it.
    root: the folder of the files, `<home>/datasets/<id>/files`; thumbnails lie beside it.
    """

    info: DatasetInfo
    images: pd.DataFrame
    root: Path


@dataclass(frozen=True)
class Split:
    """Row numbers of `Dataset.images` for each part, ascending; `train` is already reduced to the fraction.

    num_train_full: size of the whole training part. fingerprint: content hashes per part. test_fingerprint: of
    the test part alone.
    """

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]
    num_train_full: int
    fingerprint: str
    test_fingerprint: str


def given_of(parts: Iterable[str]) -> str:
    """`DatasetInfo.given` of these parts of images; one part alone is none. Raises: DatasetError without train."""
    found = frozenset(parts) - {""}
    if len(found) <= 1:
        return "none"
    if found not in _GIVEN:
        there = " and ".join(part for part in PARTS if part in found)
        raise DatasetError(f"there are {there} images but none to train on: keep a train part, or give no parts")
    return _GIVEN[found]

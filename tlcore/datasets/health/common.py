"""What several checks need: groups, suggestions and numbers in words."""

from collections.abc import Iterable

import pandas as pd

from tlcore.datasets.dataset import Dataset
from tlcore.datasets.health.findings import Group, Suggestion
from tlcore.datasets.versions.edits import LeaveOut


def singles(paths: Iterable[str]) -> tuple[Group, ...]:
    """Each path as a group of its own, sorted."""
    return tuple((path,) for path in sorted(paths))


def leave_out_where(label: str, images: pd.DataFrame, which: "pd.Series[bool]") -> Suggestion:
    """A suggestion to leave the chosen images out."""
    return Suggestion(label=label, edits=(LeaveOut(paths=tuple(sorted(images["path"][which]))),))


def labels(dataset: Dataset) -> "pd.Series[str]":
    """The class of each image by name."""
    return dataset.images["label"].map(dict(enumerate(dataset.info.classes)))


def counted(count: int, noun: str) -> str:
    """`1 image`, `2 images`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"

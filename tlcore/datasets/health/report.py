"""The health report of a dataset: every check of the table, and what the images are like."""

from collections import Counter

import pandas as pd

from tlcore.datasets.dataset import Dataset
from tlcore.datasets.health.checks import CHECKS
from tlcore.datasets.health.findings import Finding, Health, Suggestion
from tlcore.datasets.versions.edits import LeaveOut

_ORDER = ("error", "warning", "note")


def health_of(dataset: Dataset) -> Health:
    """What the import saw of the images, judged; no image is opened."""
    found = [_sound(finding, dataset) for check in CHECKS for finding in check(dataset)]
    images = dataset.images
    sizes = Counter(zip(images["width"].tolist(), images["height"].tolist(), strict=True))
    return Health(
        findings=tuple(sorted(found, key=_severity)),
        modes=_counts(images, "mode"),
        formats=_counts(images, "format"),
        sizes=tuple((width, height, count) for (width, height), count in sorted(sizes.items())),
    )


def copies(dataset: Dataset) -> list[str]:
    """Paths of all but the first of each group of copies and near duplicates within a class, sorted."""
    report = health_of(dataset)
    found = [report.of(kind) for kind in ("exact_duplicates", "near_duplicates")]
    return sorted({path for finding in found if finding for group in finding.groups for path in group[1:]})


def _sound(finding: Finding, dataset: Dataset) -> Finding:
    """The finding without suggestions that would take away half of the images, or a whole class where none is small.

    A single click must not empty a dataset: such findings say something of all of it.
    """
    kept = tuple(s for s in finding.suggestions if finding.kind == "too_small" or not _takes_much(s, dataset))
    return finding.model_copy(update={"suggestions": kept})


def _takes_much(suggestion: Suggestion, dataset: Dataset) -> bool:
    images = dataset.images
    out = {path for edit in suggestion.edits if isinstance(edit, LeaveOut) for path in edit.paths}
    left = images[~images["path"].isin(out)] if out else images
    return 2 * len(left) < len(images) or left["label"].nunique() < images["label"].nunique()


def _severity(finding: Finding) -> int:
    return _ORDER.index(finding.severity)


def _counts(images: pd.DataFrame, column: str) -> dict[str, int]:
    return dict(Counter(images[column].tolist()).most_common()) if column in images else {}

"""The health report of a dataset: every check of the table, and what the images are like."""

from collections import Counter

import pandas as pd

from tlcore.datasets.dataset import Dataset
from tlcore.datasets.health.checks import CHECKS
from tlcore.datasets.health.findings import Finding, Health

_ORDER = ("error", "warning", "note")


def health_of(dataset: Dataset) -> Health:
    """What the import saw of the images, judged; no image is opened."""
    found = [finding for check in CHECKS for finding in check(dataset)]
    images = dataset.images
    sizes = Counter(zip(images["width"].tolist(), images["height"].tolist(), strict=True))
    return Health(
        findings=tuple(sorted(found, key=_severity)),
        modes=_counts(images, "mode"),
        formats=_counts(images, "format"),
        sizes=tuple((width, height, count) for (width, height), count in sorted(sizes.items())),
    )


def _severity(finding: Finding) -> int:
    return _ORDER.index(finding.severity)


def _counts(images: pd.DataFrame, column: str) -> dict[str, int]:
    return dict(Counter(images[column].tolist()).most_common()) if column in images else {}

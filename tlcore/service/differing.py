"""Where the strategies of a comparison differ: its predictions, read once, and the pictures behind them."""

from collections.abc import Iterable
from functools import lru_cache

import pandas as pd

from tlcore.analysis.groups import Group
from tlcore.analysis.images import answers, calibration, changes, disagreement, pairs
from tlcore.errors import NotFoundError
from tlcore.results import ComparisonRecord
from tlcore.service import comparisons, pictures
from tlcore.settings import get_settings

__all__ = [
    "Group",
    "answers",
    "calibration",
    "changes",
    "disagreement",
    "pairs",
    "predictions",
    "thumbnails",
]
_KEPT = 2  # comparisons in memory: 50 runs that tell 100 probabilities of 10,000 images take 0.2 GB


def predictions(record: ComparisonRecord) -> dict[str, pd.DataFrame]:
    """The predictions of every finished run, by run id: read once, as they never change; not to be changed.

    Raises: NotFoundError, StorageError.
    """
    settings = get_settings()
    finished = tuple(run.run_id for run in record.runs if run.status == "FINISHED")
    return _predictions(f"{settings.root} {settings.tracking_uri}", finished)


def thumbnails(record: ComparisonRecord, paths: Iterable[str]) -> dict[str, str]:
    """The files of small pictures by image path; none where the dataset is not here, or not any more."""
    try:
        return {found.path: found.thumbnail for found in pictures.pictures_of(record.dataset.id, paths)}
    except NotFoundError:
        return {}


@lru_cache(maxsize=_KEPT)
def _predictions(home: str, run_ids: tuple[str, ...]) -> dict[str, pd.DataFrame]:
    """home: tells one store from another in the cache's key."""
    return {run_id: comparisons.predictions(run_id) for run_id in run_ids}

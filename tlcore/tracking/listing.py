"""What there is in MLflow: comparisons for lists, and the states of runs, without their files."""

import json
from collections import Counter
from typing import Any

from tlcore.errors import NotFoundError
from tlcore.results import ENDED, ComparisonSummary, Status
from tlcore.settings import Settings
from tlcore.tracking import tags
from tlcore.tracking.store import Store, connect, translated
from tlcore.tracking.writing import children_of


def list_comparisons(
    settings: Settings, limit: int = 20, offset: int = 0, purpose: str = "", dataset_id: str = ""
) -> list[ComparisonSummary]:
    """Comparisons, newest first. purpose, dataset_id: only those made for it, on it. Raises: StorageError."""
    store = connect(settings)
    query = f"tags.`{tags.KIND}` = 'comparison'"
    if purpose:
        query += f" and tags.`{tags.PURPOSE}` = '{purpose}'"
    if dataset_id:
        query += f" and tags.`{tags.DATASET_ID}` = '{dataset_id}'"
    with translated(settings):
        found = store.client.search_runs(
            [store.experiment_id], query, max_results=limit + offset, order_by=["attributes.start_time DESC"]
        )
        return [_summary(store, run) for run in found[offset:]]


def run_status(settings: Settings, run_id: str) -> Status | None:
    """What MLflow says of a run, None where it is gone. Raises: StorageError."""
    client = connect(settings).client
    try:
        with translated(settings):
            status: Status = client.get_run(run_id).info.status
            return status
    except NotFoundError:
        return None


def run_statuses(settings: Settings, statuses: tuple[str, ...]) -> dict[str, tuple[str, int]]:
    """Runs of this home in one of these statuses: id -> (id of its comparison, time it was made in Unix ms)."""
    store = connect(settings)
    found: dict[str, tuple[str, int]] = {}
    with translated(settings):
        for status in statuses:
            query = f"tags.`{tags.HOME}` = '{store.home_id}' and tags.`{tags.KIND}` = 'run' and status = '{status}'"
            for run in store.client.search_runs([store.experiment_id], query, max_results=5_000):
                found[run.info.run_id] = (run.data.tags.get(tags.PARENT, ""), run.info.start_time)
    return found


def open_comparisons(settings: Settings) -> dict[str, int]:
    """Comparisons of this home that are not closed: id -> time it was made in Unix ms."""
    store = connect(settings)
    query = f"tags.`{tags.HOME}` = '{store.home_id}' and tags.`{tags.KIND}` = 'comparison' and status = 'RUNNING'"
    with translated(settings):
        found = store.client.search_runs([store.experiment_id], query, max_results=5_000)
        return {run.info.run_id: run.info.start_time for run in found}


def _summary(store: Store, run: Any) -> ComparisonSummary:
    own = run.data.tags
    if run.info.status in ENDED and tags.COUNTS in own:
        counts = json.loads(own[tags.COUNTS])
    else:
        counts = Counter(child.info.status for child in children_of(store.client, store.experiment_id, run.info.run_id))
    return ComparisonSummary(
        comparison_id=run.info.run_id,
        title=own.get(tags.TITLE, ""),
        dataset_id=own.get(tags.DATASET_ID, ""),
        dataset_name=own.get(tags.DATASET_NAME, ""),
        models=tuple(json.loads(own.get(tags.MODELS, "[]"))),
        strategies=tuple(json.loads(own.get(tags.STRATEGIES, "[]"))),
        counts=counts,
        status=run.info.status,
        owner=own.get(tags.OWNER, ""),
        created_ms=run.info.start_time,
    )

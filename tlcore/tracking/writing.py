"""The life of a run in MLflow: its states, curve, resolved settings, final metrics and files."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tlcore.results import ENDED, EvaluationPoint, PartMetrics, Resolved, RunOutcome, Status
from tlcore.settings import Settings
from tlcore.tracking import tags
from tlcore.tracking.creating import now_ms
from tlcore.tracking.pyfunc import save_pyfunc
from tlcore.tracking.store import connect, translated

_BATCH = 1_000  # metrics in one log_batch, MLflow's limit


def start_run(settings: Settings, run_id: str) -> None:
    """Set a run, and its comparison, to RUNNING. The first start is the one that counts. Raises: NotFoundError."""
    client = connect(settings).client
    with translated(settings):
        run = client.get_run(run_id)
        if tags.STARTED_MS not in run.data.tags:
            client.set_tag(run_id, tags.STARTED_MS, str(now_ms()))
        _reopen(client, run, "RUNNING")


def _reopen(client: Any, run: Any, status: Status) -> None:
    if tags.ERROR in run.data.tags:
        client.delete_tag(run.info.run_id, tags.ERROR)
    client.update_run(run.info.run_id, status=status)
    parent = run.data.tags.get(tags.PARENT)
    if parent is not None:
        client.update_run(parent, status="RUNNING")


def reschedule_run(settings: Settings, run_id: str) -> None:
    """Set a run back to SCHEDULED: it waits for a worker again, so its comparison is open. Raises: NotFoundError."""
    client = connect(settings).client
    with translated(settings):
        _reopen(client, client.get_run(run_id), "SCHEDULED")


def forget_curve(settings: Settings, run_id: str) -> None:
    """Empty the curve of a run that begins anew; MLflow keeps the points that it has. Raises: NotFoundError."""
    with translated(settings):
        connect(settings).client.log_text(run_id, "[]", tags.HISTORY_FILE)


def end_run(settings: Settings, run_id: str, status: Status, error: str | None = None) -> None:
    """Set a run's last state and its end time, which a reopened run would otherwise keep from before.

    error: what went wrong, for people. Raises: NotFoundError, StorageError.
    """
    client = connect(settings).client
    with translated(settings):
        if error is not None:
            client.set_tag(run_id, tags.ERROR, error[: tags.MAX_ERROR])
        client.set_terminated(run_id, status=status, end_time=now_ms())


def close_comparison(settings: Settings, comparison_id: str) -> Status | None:
    """End a comparison whose runs have all ended; returns its status, None while a run is still open.

    FINISHED if all finished, KILLED if any was cancelled, else FAILED; a comparison without runs is FAILED.
    """
    store = connect(settings)
    with translated(settings):
        children = children_of(store.client, store.experiment_id, comparison_id)
        counts = Counter(run.info.status for run in children)
        if not set(counts) <= ENDED:
            return None
        status = _parent_status(counts)
        store.client.set_tag(comparison_id, tags.COUNTS, json.dumps(counts))
        store.client.set_terminated(comparison_id, status=status, end_time=now_ms())
    return status


def _parent_status(counts: Counter[str]) -> Status:
    if counts and set(counts) == {"FINISHED"}:
        return "FINISHED"
    return "KILLED" if counts["KILLED"] else "FAILED"


def children_of(client: Any, experiment_id: str, comparison_id: str) -> list[Any]:
    """A comparison's runs, in the order in which they were made."""
    query = f"tags.`{tags.PARENT}` = '{comparison_id}' and tags.`{tags.KIND}` = 'run'"
    found: list[Any] = []
    token = None
    while True:
        page = client.search_runs(
            [experiment_id], query, max_results=500, order_by=["attributes.start_time ASC"], page_token=token
        )
        found.extend(page)
        token = page.token
        if not token:
            return found


def log_points(settings: Settings, run_id: str, history: tuple[EvaluationPoint, ...], newest: int) -> None:
    """Keep the whole of a curve as a file, and send its newest points.

    The file comes first: whoever sees a point finds the file that has it. The points carry their own time, so that
    sending them again after a resume makes no duplicates.
    """
    from mlflow.entities import Metric

    client = connect(settings).client
    points = history[len(history) - newest :]
    metrics = [Metric(k, v, p.timestamp_ms, p.step) for p in points for k, v in point_metrics(p).items()]
    with translated(settings):
        client.log_text(run_id, json.dumps([p.model_dump(mode="json") for p in history]), tags.HISTORY_FILE)
        for first in range(0, len(metrics), _BATCH):
            client.log_batch(run_id, metrics=metrics[first : first + _BATCH])


def point_metrics(point: EvaluationPoint) -> dict[str, float]:
    """One point's MLflow metrics; what does not exist is left out."""
    values = {
        "epoch": point.epoch,
        "images_seen": point.images_seen,
        "train_seconds": point.train_seconds,
        "train/loss": point.train_loss,
        "train/accuracy": point.train_accuracy,
        "val/loss": point.val_loss,
        "val/accuracy": point.val_accuracy,
        **{f"lr/{group}": rate for group, rate in point.learning_rates.items()},
    }
    return {name: float(value) for name, value in values.items() if value is not None}


def log_resolved(settings: Settings, run_id: str, resolved: Resolved) -> None:
    """Keep what a run really uses as `resolved.json` and, flat, as tags to filter by."""
    from mlflow.entities import RunTag

    client = connect(settings).client
    values = resolved.model_dump(mode="json")
    flat = {tags.RESOLVED + name: value for name, value in _flatten(values).items()}
    with translated(settings):
        client.log_text(run_id, json.dumps(values), tags.RESOLVED_FILE)
        client.log_batch(run_id, tags=[RunTag(name, value[: tags.MAX_TAG]) for name, value in flat.items()][:100])


def _flatten(values: Any, prefix: str = "") -> dict[str, str]:
    if isinstance(values, list):
        values = {str(i): value for i, value in enumerate(values)}
    if not isinstance(values, dict):
        return {} if values is None else {prefix.removesuffix("."): str(values)}
    return {k: v for name, value in values.items() for k, v in _flatten(value, f"{prefix}{name}.").items()}


def log_outcome(settings: Settings, run_id: str, outcome: RunOutcome, timestamp_ms: int, step: int) -> None:
    """Send a run's final metrics. timestamp_ms: a stored time, so that a repeated end makes no duplicates."""
    from mlflow.entities import Metric

    client = connect(settings).client
    metrics = [Metric(name, value, timestamp_ms, step) for name, value in outcome_metrics(outcome).items()]
    with translated(settings):
        client.log_batch(run_id, metrics=metrics)


def outcome_metrics(outcome: RunOutcome) -> dict[str, float]:
    """The final metrics of a finished run; what does not exist is left out. `best/…` are of the chosen step."""
    values: dict[str, float | None] = {
        **_part("test", outcome.test),
        **_part("best/val", outcome.val, "_"),
        **_part("best/train", outcome.train, "_"),
        **_part("last/val", outcome.last_val, "_"),
        "best/step": outcome.best_step,
        "best/epoch": outcome.best_epoch,
        "cost/train_seconds": outcome.train_seconds,
        "cost/total_seconds": outcome.total_seconds,
        "cost/tuning_seconds": outcome.tuning_seconds if outcome.trials else None,
        "cost/images_seen": outcome.images_seen,
        "cost/images_per_second": outcome.images_per_second,
        "cost/peak_memory_bytes": outcome.peak_memory_bytes,
        "cost/model_bytes": outcome.model_bytes,
        "cost/latency_ms": outcome.latency_ms,
        **{f"time/{part}_seconds": seconds for part, seconds in outcome.seconds_by_part.items()},
        **{f"floor/{floor.name}_test_accuracy": floor.test.accuracy for floor in outcome.floors},
        "num_parameters": outcome.num_parameters,
        "num_trainable_parameters": outcome.num_trainable_parameters,
    }
    return {name: float(value) for name, value in values.items() if value is not None}


def _part(name: str, metrics: PartMetrics, joint: str = "/") -> dict[str, float | None]:
    return {
        f"{name}{joint}{field}": getattr(metrics, field) for field in ("accuracy", "balanced_accuracy", "loss", "ece")
    }


def upload_artifacts(settings: Settings, run_id: str, work_dir: Path) -> None:
    """Upload what a finished run left in `work_dir`: `artifacts/` as they are, `model/` as a pyfunc."""
    client = connect(settings).client
    with translated(settings):
        client.log_artifacts(run_id, str(work_dir / "artifacts"))
        folder = save_pyfunc(work_dir / "model", work_dir / "pyfunc")
        client.log_artifacts(run_id, str(folder), "model")

"""Comparisons and runs as records, read back from MLflow a page at a time."""

import json
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from tlcore.errors import NotFoundError
from tlcore.results import (
    ENDED,
    ClassMetrics,
    ComparisonRecord,
    ConfusionMatrix,
    DatasetSummary,
    EvaluationPoint,
    Resolved,
    RunOutcome,
    RunRecord,
)
from tlcore.settings import Settings
from tlcore.spec import ComparisonSpec, RunSpec
from tlcore.tracking import tags
from tlcore.tracking.store import DISK_FULL, Store, connect, translated
from tlcore.tracking.writing import children_of

if TYPE_CHECKING:
    import pandas as pd

LOCAL_UI = "http://127.0.0.1:5000"
_log = logging.getLogger("tlcore.tracking")
_HISTORY = TypeAdapter(tuple[EvaluationPoint, ...])
_CONFUSION = TypeAdapter(dict[str, ConfusionMatrix])
_PER_CLASS = TypeAdapter(dict[str, tuple[ClassMetrics, ...]])


def load_comparison(settings: Settings, comparison_id: str, with_history: bool = True) -> ComparisonRecord:
    """A comparison with all its runs. with_history: also curves, matrices and per-class tables.

    A run whose files cannot be read counts as failed here, with the reason as its error.
    Raises: NotFoundError, StorageError.
    """
    store = connect(settings)
    with translated(settings):
        parent = _get(store, comparison_id, "comparison")
        children = children_of(store.client, store.experiment_id, comparison_id)
        whole = json.loads(_text(store, parent, tags.COMPARISON_FILE))
        runs = tuple(_record_or_failure(store, run, with_history) for run in children)
    own = parent.data.tags
    return ComparisonRecord(
        comparison_id=comparison_id,
        spec=ComparisonSpec.model_validate(whole["spec"]),
        status=parent.info.status,
        owner=own.get(tags.OWNER, ""),
        created_ms=parent.info.start_time,
        dataset=DatasetSummary.model_validate(whole["dataset"]),
        runs=runs,
        looks=whole.get("looks", 1),  # comparisons of an earlier version had none
    )


def load_run(settings: Settings, run_id: str) -> RunRecord:
    """One run with everything. Raises: NotFoundError, StorageError."""
    store = connect(settings)
    with translated(settings):
        return _record(store, _get(store, run_id, "run"), True)


def load_predictions(settings: Settings, run_id: str) -> "pd.DataFrame":
    """A finished run's predictions per image.

    Columns: split (`val` or `test`), path, label (int), predicted (int), prob_0 … prob_{K-1} (float32, null where
    the classifier has no probabilities). Raises: NotFoundError, StorageError.
    """
    import pandas as pd

    store = connect(settings)
    with translated(settings), tempfile.TemporaryDirectory() as folder:
        run = _finished(store, run_id)
        return pd.read_parquet(_fetch(store, run, "predictions.parquet", Path(folder)))


def download_model(settings: Settings, run_id: str, to: Path) -> Path:
    """Fetch a finished run's model files; returns the folder in `to` that holds `weights.safetensors` and the rest.

    Raises: NotFoundError, StorageError.
    """
    store = connect(settings)
    with translated(settings):
        to.mkdir(parents=True, exist_ok=True)
        return _fetch(store, _finished(store, run_id), "model/artifacts", to)


def page_of(settings: Settings, run_id: str) -> str:
    """Address of a run in MLflow's own pages: on the tracking server, else where `mlflow ui` serves by default."""
    store = connect(settings)
    base = settings.tracking_uri.rstrip("/") if settings.tracking_uri.startswith("http") else LOCAL_UI
    return f"{base}/#/experiments/{store.experiment_id}/runs/{run_id}?workflowType=machine_learning"


def _record_or_failure(store: Store, run: Any, with_files: bool) -> RunRecord:
    """The run's record; without what its files hold, and FAILED, where one of them is gone or damaged."""
    from mlflow.exceptions import MlflowException

    try:
        return _record(store, run, with_files)
    except (MlflowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise
        _log.warning("the files of run %s cannot be read", run.info.run_id, exc_info=True)
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        bare = _bare(run)
        message = bare.error or f"the run is {bare.status}, but its files in MLflow cannot be read: {reason}"
        return bare.model_copy(update={"status": "FAILED", "error": message})


def _record(store: Store, run: Any, with_files: bool) -> RunRecord:
    finished = run.info.status == "FINISHED"
    outcome = _text(store, run, "outcome.json") if finished else None
    resolved = _text(store, run, tags.RESOLVED_FILE) if f"{tags.RESOLVED}device" in run.data.tags else None
    files = with_files and finished
    found = {
        "resolved": Resolved.model_validate_json(resolved) if resolved else None,
        "outcome": RunOutcome.model_validate_json(outcome) if outcome else None,
        "history": _history(store, run) if with_files and "epoch" in run.data.metrics else (),
        "confusion": _CONFUSION.validate_json(_text(store, run, "confusion_matrix.json")) if files else {},
        "per_class": _PER_CLASS.validate_json(_text(store, run, "per_class.json")) if files else {},
    }
    return _bare(run).model_copy(update=found)


def _bare(run: Any) -> RunRecord:
    """What a run's tags and status say, without its files."""
    own, status = run.data.tags, run.info.status
    started = own.get(tags.STARTED_MS)
    return RunRecord(
        run_id=run.info.run_id,
        comparison_id=own.get(tags.PARENT, ""),
        spec=RunSpec.model_validate_json(own[tags.SPEC]),
        status=status,
        error=own.get(tags.ERROR),
        started_ms=int(started) if started else None,
        ended_ms=run.info.end_time if status in ENDED else None,
    )


def _history(store: Store, run: Any) -> tuple[EvaluationPoint, ...]:
    """A run's curve; empty where the run is not finished and the file is absent or half written: more will come."""
    from mlflow.exceptions import MlflowException

    try:
        return _HISTORY.validate_json(_text(store, run, tags.HISTORY_FILE))
    except (MlflowException, OSError, ValueError):
        if run.info.status == "FINISHED":
            raise
        _log.info("run %s has no readable curve yet", run.info.run_id)
        return ()


def _get(store: Store, run_id: str, kind: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        run = store.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            raise NotFoundError(f"there is no {kind} {run_id!r} in this store") from error
        raise
    if run.data.tags.get(tags.KIND) != kind:
        raise NotFoundError(f"{run_id!r} is not a {kind} of Transfer Lab: give the id of a {kind}")
    return run


def _finished(store: Store, run_id: str) -> Any:
    run = _get(store, run_id, "run")
    if run.info.status != "FINISHED":
        raise NotFoundError(f"run {run_id} is {run.info.status}: only a finished run has a model and predictions")
    return run


def _text(store: Store, run: Any, name: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return _fetch(store, run, name, Path(folder)).read_text(encoding="utf-8")


def _fetch(store: Store, run: Any, path: str, to: Path) -> Path:
    from mlflow.artifacts import download_artifacts

    uri = f"{run.info.artifact_uri}/{path}"
    return Path(download_artifacts(artifact_uri=uri, dst_path=str(to), tracking_uri=store.uri))

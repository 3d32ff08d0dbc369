"""Comparisons and runs as records, read back from MLflow a page at a time."""

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlcore.errors import NotFoundError
from tlcore.results import ENDED, ComparisonRecord, DatasetSummary, RunRecord, Value
from tlcore.settings import Settings
from tlcore.spec import ComparisonSpec, RunSpec
from tlcore.tracking import kept, tags
from tlcore.tracking.files import RunFiles, fetch, fetched, is_here, read_files, text
from tlcore.tracking.store import DISK_FULL, Store, connect, translated
from tlcore.tracking.writing import children_of

if TYPE_CHECKING:
    import pandas as pd

PREDICTIONS = "predictions.parquet"
READERS = 8  # runs at once whose files come from another machine
LOCAL_UI = "http://127.0.0.1:5000"
_log = logging.getLogger("tlcore.tracking")


class _Bare(Value):
    """The runs of a finished comparison without their files."""

    runs: tuple[RunRecord, ...]


def load_comparison(settings: Settings, comparison_id: str, with_history: bool = True) -> ComparisonRecord:
    """A comparison with all its runs. with_history: also curves, matrices and per-class tables.

    A run whose files cannot be read counts as failed here, with the reason as its error. What was read of finished
    runs is kept, so that only the others are read again. Raises: NotFoundError, StorageError.
    """
    store = connect(settings)
    with translated(settings):
        parent = _get(store, comparison_id, "comparison")
        whole = json.loads(text(store, parent, tags.COMPARISON_FILE))
        runs = _kept_runs(settings, parent)
        if runs is None:
            runs = _read_runs(settings, store, parent, with_history)
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


def _kept_runs(settings: Settings, parent: Any) -> tuple[RunRecord, ...] | None:
    """All runs of a finished comparison as they were read before; None where one of them has to be read."""
    if parent.info.status != "FINISHED":
        return None
    bare = kept.recall(settings, parent.info.run_id, parent.info.end_time, _Bare)
    runs = []
    for run in bare.runs if bare else ():
        files = kept.recall(settings, run.run_id, run.ended_ms or 0, RunFiles)
        if files is None:
            return None
        runs.append(_joined(run, files))
    return tuple(runs) or None


def _read_runs(settings: Settings, store: Store, parent: Any, with_history: bool) -> tuple[RunRecord, ...]:
    children = children_of(store.client, store.experiment_id, parent.info.run_id)
    remote = any(not is_here(run) for run in children)
    # Of files on this machine, threads make nothing faster: reading them is work for the processor.
    with ThreadPoolExecutor(READERS if remote else 1) as pool:
        runs = tuple(pool.map(lambda run: _record_or_failure(settings, store, run, with_history), children))
    if parent.info.status == "FINISHED" and with_history and all(run.status == "FINISHED" for run in runs):
        bare = _Bare(runs=tuple(_joined(run, RunFiles()) for run in runs))
        kept.keep(settings, parent.info.run_id, parent.info.end_time, bare)
    return runs


def _joined(bare: RunRecord, files: RunFiles) -> RunRecord:
    return bare.model_copy(update={name: getattr(files, name) for name in RunFiles.model_fields})


def load_run(settings: Settings, run_id: str) -> RunRecord:
    """One run with everything. Raises: NotFoundError, StorageError."""
    store = connect(settings)
    with translated(settings):
        return _record(settings, store, _get(store, run_id, "run"), True)


def load_predictions(settings: Settings, run_id: str) -> "pd.DataFrame":
    """A finished run's predictions per image.

    Columns: split (`val` or `test`), path, label (int), predicted (int), prob_0 … prob_{K-1} (float32, null where
    the classifier has no probabilities). Raises: NotFoundError, StorageError.
    """
    store = connect(settings)
    with translated(settings):
        found = _predictions(settings, store, _finished(store, run_id))
    kept.prune(settings)
    return found


def load_all_predictions(settings: Settings, whole: ComparisonRecord) -> "dict[str, pd.DataFrame]":
    """Those of every finished run of a comparison, by run id, as of `load_predictions`. Raises: as that."""
    ended = {run.run_id: run.ended_ms or 0 for run in whole.runs if run.status == "FINISHED"}
    found = {run_id: kept.recall_frame(settings, run_id, moment) for run_id, moment in ended.items()}
    kept.prune(settings)
    missing = [run_id for run_id, frame in found.items() if frame is None]
    if missing:
        store = connect(settings)
        with translated(settings):
            children = {r.info.run_id: r for r in children_of(store.client, store.experiment_id, whole.comparison_id)}
            found |= {run_id: _predictions(settings, store, children[run_id]) for run_id in missing}
    return {run_id: frame for run_id, frame in found.items() if frame is not None}


def _keep_predictions(store: Store, settings: Settings, run: Any) -> None:
    """Fetch them with the other files; where there are none, whoever asks for them is told."""
    from mlflow.exceptions import MlflowException

    try:
        with fetched(store, run, PREDICTIONS) as file:
            kept.keep_frame(settings, run.info.run_id, run.info.end_time, file)
    except (MlflowException, OSError):
        _log.warning("run %s has no predictions that can be kept", run.info.run_id, exc_info=True)


def _predictions(settings: Settings, store: Store, run: Any) -> "pd.DataFrame":
    import pandas as pd

    known = kept.recall_frame(settings, run.info.run_id, run.info.end_time)
    if known is not None:
        return known
    with fetched(store, run, PREDICTIONS) as file:
        frame = pd.read_parquet(file)
        kept.keep_frame(settings, run.info.run_id, run.info.end_time, file)
    return frame


def download_model(settings: Settings, run_id: str, to: Path) -> Path:
    """Fetch a finished run's model files; returns the folder in `to` that holds `weights.safetensors` and the rest.

    Raises: NotFoundError, StorageError.
    """
    store = connect(settings)
    with translated(settings):
        to.mkdir(parents=True, exist_ok=True)
        return fetch(store, _finished(store, run_id), "model/artifacts", to)


def page_of(settings: Settings, run_id: str) -> str:
    """Address of a run in MLflow's own pages: on the tracking server, else where `mlflow ui` serves by default."""
    store = connect(settings)
    base = settings.tracking_uri.rstrip("/") if settings.tracking_uri.startswith("http") else LOCAL_UI
    return f"{base}/#/experiments/{store.experiment_id}/runs/{run_id}?workflowType=machine_learning"


def _record_or_failure(settings: Settings, store: Store, run: Any, with_files: bool) -> RunRecord:
    """The run's record; without what its files hold, and FAILED, where one of them is gone or damaged."""
    from mlflow.exceptions import MlflowException

    try:
        return _record(settings, store, run, with_files)
    except (MlflowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise
        _log.warning("the files of run %s cannot be read", run.info.run_id, exc_info=True)
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        bare = _bare(run)
        message = bare.error or f"the run is {bare.status}, but its files in MLflow cannot be read: {reason}"
        return bare.model_copy(update={"status": "FAILED", "error": message})


def _record(settings: Settings, store: Store, run: Any, with_files: bool) -> RunRecord:
    if run.info.status != "FINISHED":
        return _joined(_bare(run), read_files(store, run, with_files))
    files = kept.recall(settings, run.info.run_id, run.info.end_time, RunFiles)
    if files is None:
        files = read_files(store, run, with_files)
        if with_files:
            kept.keep(settings, run.info.run_id, run.info.end_time, files)
            _keep_predictions(store, settings, run)
    return _joined(_bare(run), files)


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

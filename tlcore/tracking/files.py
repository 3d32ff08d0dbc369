"""The files of a run, through the MLflow client."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import Field, TypeAdapter

from tlcore.results import ClassMetrics, ConfusionMatrix, EvaluationPoint, Resolved, RunOutcome, Value
from tlcore.tracking import tags
from tlcore.tracking.store import Store

_log = logging.getLogger("tlcore.tracking")
_HISTORY = TypeAdapter(tuple[EvaluationPoint, ...])
_CONFUSION = TypeAdapter(dict[str, ConfusionMatrix])
_PER_CLASS = TypeAdapter(dict[str, tuple[ClassMetrics, ...]])


class RunFiles(Value):
    """What the files of a run say, under the names of `RunRecord`."""

    resolved: Resolved | None = None
    outcome: RunOutcome | None = None
    history: tuple[EvaluationPoint, ...] = ()
    confusion: dict[str, ConfusionMatrix] = Field(default_factory=dict)
    per_class: dict[str, tuple[ClassMetrics, ...]] = Field(default_factory=dict)


def read_files(store: Store, run: Any, whole: bool) -> RunFiles:
    """What there is of a run. whole: also curve, matrices and per-class tables.

    Raises: MlflowException, OSError, ValueError for a file that is absent or damaged.
    """
    finished = run.info.status == "FINISHED"
    outcome = text(store, run, "outcome.json") if finished else None
    resolved = text(store, run, tags.RESOLVED_FILE) if f"{tags.RESOLVED}device" in run.data.tags else None
    tables = whole and finished
    return RunFiles(
        resolved=Resolved.model_validate_json(resolved) if resolved else None,
        outcome=RunOutcome.model_validate_json(outcome) if outcome else None,
        history=_history(store, run) if whole and "epoch" in run.data.metrics else (),
        confusion=_CONFUSION.validate_json(text(store, run, "confusion_matrix.json")) if tables else {},
        per_class=_PER_CLASS.validate_json(text(store, run, "per_class.json")) if tables else {},
    )


def _history(store: Store, run: Any) -> tuple[EvaluationPoint, ...]:
    """A run's curve; empty where the run is not finished and the file is absent or half written: more will come."""
    from mlflow.exceptions import MlflowException

    try:
        return _HISTORY.validate_json(text(store, run, tags.HISTORY_FILE))
    except (MlflowException, OSError, ValueError):
        if run.info.status == "FINISHED":
            raise
        _log.info("run %s has no readable curve yet", run.info.run_id)
        return ()


def text(store: Store, run: Any, name: str) -> str:
    """A text file of a run."""
    with fetched(store, run, name) as path:
        return path.read_text(encoding="utf-8")


@contextmanager
def fetched(store: Store, run: Any, name: str) -> Iterator[Path]:
    """A file of a run, to be read and left alone: the client copies it only where it is not on this machine."""
    if is_here(run):
        yield fetch(store, run, name, None)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield fetch(store, run, name, Path(folder))


def is_here(run: Any) -> bool:
    """Whether the client gives the files of a run from a disk of this machine."""
    return str(run.info.artifact_uri).startswith(("file:", "/"))


def fetch(store: Store, run: Any, path: str, to: Path | None) -> Path:
    """Download a file or folder of a run into `to`; None: the client says where it is on this machine."""
    from mlflow.artifacts import download_artifacts

    uri = f"{run.info.artifact_uri}/{path}"
    return Path(download_artifacts(artifact_uri=uri, dst_path=None if to is None else str(to), tracking_uri=store.uri))

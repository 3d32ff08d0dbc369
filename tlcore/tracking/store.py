"""The MLflow store: opened once per process, its schema made under a lock, its complaints turned into ours."""

import errno
import logging
import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tlcore.errors import NotFoundError, StorageError, TlcoreError
from tlcore.settings import Settings
from tlcore.tracking.sqlite import make_store

EXPERIMENT = "transfer-lab"
LOCK_SECONDS = 120  # a first opening takes about 1.5 s, longer on a busy machine
BUSY_SECONDS = 20  # how long our own statements wait for another writer; MLflow's wait as long
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Store:
    """An open store. client: an MlflowClient. home_id: tells this home's runs from others on a shared server."""

    client: Any
    uri: str
    experiment_id: str
    home_id: str


def connect(settings: Settings) -> Store:
    """The store of these settings, made if need be. Raises: StorageError when it is locked, damaged or was moved."""
    with translated(settings):
        return _connect(settings)


def is_connected() -> bool:
    """Whether this process has opened a store, for which MLflow was loaded."""
    return _connect.cache_info().currsize > 0


@lru_cache(maxsize=8)
def _connect(settings: Settings) -> Store:
    from mlflow.tracking import MlflowClient

    settings.root.mkdir(parents=True, exist_ok=True)
    with store_lock(settings):
        path = database_path(settings)
        if path is not None and not path.exists():
            make_store(path)
        elif path is not None:
            _use_wal(path)
        client = MlflowClient(settings.tracking_uri)
        return Store(client, settings.tracking_uri, _experiment_id(settings, client), _home_id(settings))


@contextmanager
def store_lock(settings: Settings) -> Iterator[None]:
    """Held while the schema is made or rewritten: five of six processes that open a new database at once crash."""
    with _lock(settings, "mlflow.lock", "opening the store"):
        yield


@contextmanager
def growing_lock(settings: Settings) -> Iterator[None]:
    """Held from reading which runs a comparison has until those that it lacks are made: MLflow takes any run twice.

    Raises: StorageError.
    """
    with _lock(settings, "growing.lock", "adding runs to a comparison"):
        yield


@contextmanager
def _lock(settings: Settings, name: str, doing: str) -> Iterator[None]:
    try:
        with FileLock(settings.root / name, timeout=LOCK_SECONDS):
            yield
    except Timeout as error:
        raise StorageError(
            f"{settings.root / name} has been held for {LOCK_SECONDS} s: another process is {doing}; wait for it or "
            "end it, then try again"
        ) from error


def database_path(settings: Settings) -> Path | None:
    """The store's SQLite file, None where the store is something else."""
    uri = settings.tracking_uri
    name = uri.removeprefix(_SQLITE).partition("?")[0] if uri.startswith(_SQLITE) else ""
    return None if name in ("", ":memory:") else Path(name)


def artifact_root(settings: Settings) -> str | None:
    """Where a new experiment keeps artifacts: in the home for a database; None lets a server choose."""
    return settings.artifacts.as_uri() if settings.tracking_uri.startswith(_SQLITE) else None


def quieten() -> None:
    """Keep MLflow from phoning home, drawing progress bars and printing tracebacks of errors that we translate."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _use_wal(path: Path) -> None:
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _experiment_id(settings: Settings, client: Any) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    location = artifact_root(settings)
    if found is None:
        return str(client.create_experiment(EXPERIMENT, artifact_location=location))
    if found.lifecycle_stage != "active":
        remedy = f"mlflow experiments restore --experiment-id {found.experiment_id}"
        raise StorageError(f"the MLflow experiment {EXPERIMENT!r} was deleted: bring it back with `{remedy}`")
    if settings.mlflow_tracking_uri is None and found.artifact_location != location:
        raise StorageError(
            f"this home was moved: its database keeps artifacts at {found.artifact_location}, but the home is now "
            f"{settings.root}. Run `python -m tlcore doctor --relocate`, or move the folder back"
        )
    return str(found.experiment_id)


def _home_id(settings: Settings) -> str:
    path, part = (settings.root / name for name in ("home_id", "home_id.new"))
    known = path.read_text().strip() if path.exists() else ""
    if known:
        return known
    part.write_text(uuid.uuid4().hex)
    part.replace(path)
    return path.read_text()


@contextmanager
def translated(settings: Settings) -> Iterator[None]:
    """Turn what MLflow, its database and the disk raise into StorageError or NotFoundError."""
    quieten()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error) as error:
        raise _ours(settings, error) from error
    except OSError as error:
        if error.errno in DISK_FULL:
            raise disk_full(settings) from error
        raise StorageError(f"the store {settings.tracking_uri} cannot be used: {error}") from error


def disk_full(settings: Settings) -> StorageError:
    """The error for a full disk, with its remedy."""
    return StorageError(f"the disk is full: free some space on the disk of {settings.root}, then try again")


def _ours(settings: Settings, error: Exception) -> TlcoreError:
    text = str(error)
    first = text.splitlines()[0] if text else type(error).__name__
    where = settings.tracking_uri
    if getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST":
        return NotFoundError(f"MLflow has nothing of this id: {first}")
    if "database is locked" in text:
        return StorageError(f"{where} is locked by another program: close what holds it open, then try again")
    if "disk is full" in text or "No space left" in text:
        return disk_full(settings)
    if "readonly database" in text:
        return StorageError(f"{where} cannot be written: give this user the right to write to it and to its folder")
    damaged = ("unable to open", "no such table", "not a database", "malformed", "disk I/O error")
    if any(sign in text for sign in damaged):
        return StorageError(f"{where} cannot be read ({first}): it was moved or is damaged; restore it")
    return StorageError(f"MLflow at {where} refused: {first}")

"""SQLite files that are made beside their place, whole, and moved there: whoever is killed meanwhile leaves none."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_LOGS = ("-wal", "-shm", "-journal")  # how the names end of what SQLite keeps beside a database


def make_store(path: Path) -> None:
    """A new database with MLflow's schema where none is.

    MLflow makes its schema in some 270 commits. They do not wait for the disk; what is moved is a copy, which does.
    """
    from mlflow.tracking import MlflowClient

    with TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        scratch, whole = (Path(folder).resolve() / name for name in ("scratch.db", "whole.db"))
        with _without_waiting(scratch):
            MlflowClient(f"sqlite:///{scratch}").search_experiments(max_results=1)
        with closing(sqlite3.connect(scratch)) as made, closing(sqlite3.connect(whole)) as copy:
            made.backup(copy)
            copy.execute("PRAGMA journal_mode=WAL")
        move_in(whole, path)


def move_in(whole: Path, path: Path) -> None:
    """Put a database that nobody has open where none is, and see that the disk has it there.

    The log of one that was removed would else be taken for its own.
    """
    for end in _LOGS:
        path.with_name(path.name + end).unlink(missing_ok=True)
    whole.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _without_waiting(path: Path) -> Iterator[None]:
    """Inside it, new connections to this database wait for no disk. path: resolved."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def after(connection: Any, _: Any) -> None:
        if isinstance(connection, sqlite3.Connection) and _file_of(connection) == str(path):
            connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", after)
    try:
        yield
    finally:
        event.remove(Engine, "connect", after)


def _file_of(connection: sqlite3.Connection) -> str:
    return str(connection.execute("PRAGMA database_list").fetchone()[2])

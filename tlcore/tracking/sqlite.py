"""SQLite files that are made beside their place and moved there: who is killed meanwhile leaves no half of one."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_LOGS = ("-wal", "-shm", "-journal")  # how the names end of what SQLite keeps beside a database


def make_store(path: Path) -> None:
    """A new database with MLflow's schema where none is.

    MLflow makes its schema in some 270 commits. They do not wait for the disk; what is moved is a copy, which does.
    """
    from mlflow.tracking import MlflowClient

    path = path.resolve()  # where a link leads
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

    The log of one that was removed would else be taken for its own. One that others put there meanwhile stays.
    """
    if not path.exists():
        for end in _LOGS:
            path.with_name(path.name + end).unlink(missing_ok=True)
        try:
            os.link(whole, path)  # unlike a move, it writes over nothing
        except FileExistsError:
            pass
        except OSError:  # some file systems have no such links
            whole.replace(path)
    whole.unlink(missing_ok=True)
    with suppress(OSError):  # some file systems do not sync folders
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def _without_waiting(path: Path) -> Iterator[None]:
    """Inside it, new connections to this database wait for no disk; all are closed as it ends. path: resolved."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def after(connection: Any, _: Any) -> None:
        if isinstance(connection, sqlite3.Connection) and _file_of(connection) == str(path):
            connection.execute("PRAGMA synchronous=OFF")

    def used(connection: Any, *_: Any) -> None:
        if connection.engine.url.database == str(path):
            engines.add(connection.engine)

    engines: set[Any] = set()
    listeners = (("connect", after), ("engine_connect", used))
    for name, listener in listeners:
        event.listen(Engine, name, listener)
    try:
        yield
    finally:
        for name, listener in listeners:
            event.remove(Engine, name, listener)
        for engine in engines:
            engine.dispose()


def _file_of(connection: sqlite3.Connection) -> str:
    return str(connection.execute("PRAGMA database_list").fetchone()[2])

"""Pointing the store to its home again after the folder was moved: MLflow keeps artifact paths absolute."""

import sqlite3

from tlcore.errors import StorageError
from tlcore.settings import Settings
from tlcore.tracking.store import BUSY_SECONDS, EXPERIMENT, artifact_root, database_path, store_lock, translated


def relocate(settings: Settings) -> int:
    """Rewrite the artifact paths of the experiment and its runs to this home; returns how many changed.

    Raises: StorageError where the store is no SQLite database, is missing, or is locked.
    """
    path = database_path(settings)
    if path is None:
        raise StorageError(f"{settings.tracking_uri} is no SQLite database: only those can be relocated")
    if not path.is_file():
        raise StorageError(f"there is no database at {path}: set TLCORE_HOME to the folder that holds mlflow.db")
    with translated(settings), store_lock(settings):
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS)
        try:
            with connection:
                return _rewrite(connection, artifact_root(settings) or "")
        finally:
            connection.close()


def _rewrite(connection: sqlite3.Connection, new: str) -> int:
    query = "SELECT experiment_id, artifact_location FROM experiments WHERE name = ?"
    row = connection.execute(query, (EXPERIMENT,)).fetchone()
    if row is None or row[1] == new:
        return 0
    experiment, old = row
    connection.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (new, experiment))
    changed = connection.execute(
        "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?)"
        " WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
        (new, len(old) + 1, experiment, len(old) + 1, f"{old}/"),
    )
    return changed.rowcount

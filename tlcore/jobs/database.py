"""The queue's own SQLite file: opened per call, every change one transaction.

The supervisor keeps it open as well, not workers: SQLite's locks belong to a process and go as soon as that process
closes the file in any other way, as an import does that reads whatever it is given.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tlcore.errors import StorageError
from tlcore.settings import Settings
from tlcore.tracking.sqlite import move_in

BUSY_SECONDS = 30.0  # how long a statement waits for another writer
_VERSION = 1

_SCHEMA = """
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    title TEXT NOT NULL,
    slot TEXT NOT NULL,
    payload TEXT NOT NULL,
    comparison_id TEXT,
    code_version TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'QUEUED',
    settled INTEGER NOT NULL DEFAULT 1,
    attempts INTEGER NOT NULL DEFAULT 0,
    worker TEXT,
    progress REAL NOT NULL DEFAULT 0,
    message TEXT NOT NULL DEFAULT '',
    error TEXT,
    result TEXT,
    created_ms INTEGER NOT NULL,
    started_ms INTEGER,
    attempt_ms INTEGER,
    attempt_progress REAL,
    cancel_ms INTEGER,
    ended_ms INTEGER
);
CREATE INDEX jobs_by_status ON jobs (status, slot, seq);
CREATE INDEX jobs_by_comparison ON jobs (comparison_id, seq);
CREATE TABLE workers (
    id TEXT PRIMARY KEY,
    slot TEXT NOT NULL,
    pid INTEGER NOT NULL,
    create_time REAL NOT NULL,
    code_version TEXT NOT NULL,
    stop INTEGER NOT NULL DEFAULT 0
);
"""


def queue_path(settings: Settings) -> Path:
    """Where the queue is kept."""
    return settings.jobs / "queue.db"


def written(settings: Settings) -> tuple[tuple[int, int] | None, ...]:
    """What its files say of the queue's last change: other after each one, and cheap to ask a hundred times a second.

    Only as fine as the disk's clock, so not the only way to find out.
    """
    path = queue_path(settings)
    return tuple(_stamp(file) for file in (path, path.with_name(f"{path.name}-wal")))


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def prepare(settings: Settings) -> None:
    """Make the queue if it is not there yet. Raises: StorageError."""
    if queue_path(settings).exists():
        return
    try:
        (settings.jobs / "logs").mkdir(parents=True, exist_ok=True)
        with FileLock(settings.jobs / "queue.lock", timeout=BUSY_SECONDS):
            if not queue_path(settings).exists():
                _create(settings)
    except (OSError, Timeout) as error:
        raise StorageError(f"the queue in {settings.jobs} cannot be made: {error}") from error


def _create(settings: Settings) -> None:
    """Build the file beside its place and move it there, so that nobody ever sees half of it."""
    part = queue_path(settings).with_suffix(".new")
    part.unlink(missing_ok=True)
    with closing(sqlite3.connect(part)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(f"{_SCHEMA} PRAGMA user_version={_VERSION};")
    move_in(part, queue_path(settings))


@contextmanager
def reading(settings: Settings) -> Iterator[sqlite3.Connection]:
    """A connection to the queue that exists. Raises: StorageError when it is gone, locked, damaged or full."""
    path = queue_path(settings)
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS)) as connection:
            connection.isolation_level = None
            connection.row_factory = sqlite3.Row
            yield connection
    except sqlite3.Error as error:
        raise _ours(path, error) from error


@contextmanager
def kept_open(settings: Settings) -> Iterator[None]:
    """Inside it, no other connection is the last one to close, whichever process it belongs to.

    SQLite would move the log of changes into the file then: a transaction waits for the disk four or five times
    without this, and with it twice where it is lasting, else only where the log is full. Raises: StorageError.
    """
    with reading(settings) as connection:
        connection.execute("SELECT 1 FROM jobs LIMIT 1").fetchall()
        yield


@contextmanager
def writing(settings: Settings, lasting: bool = True) -> Iterator[sqlite3.Connection]:
    """A connection within one transaction that is kept whole or not at all. Raises: StorageError.

    lasting: whether it has to outlive a loss of power; to make sure of it, the disk is waited for.
    """
    with reading(settings) as connection:
        connection.execute(f"PRAGMA synchronous={'FULL' if lasting else 'NORMAL'}")
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def _ours(path: Path, error: sqlite3.Error) -> StorageError:
    text = str(error)
    if "locked" in text:
        return StorageError(f"the queue {path} is locked by another program: close what holds it open, then try again")
    if "disk is full" in text or "full" in text:
        return StorageError(f"the disk is full: free some space on the disk of {path.parent}, then try again")
    if "readonly" in text:
        return StorageError(f"the queue {path} cannot be written: give this user the right to write to its folder")
    return StorageError(f"the queue {path} cannot be used ({text}): it was moved or removed, or is damaged")

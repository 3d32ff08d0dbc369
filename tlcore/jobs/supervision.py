"""Whether the supervisor of a home lives, and how it is brought to life."""

import fcntl
import subprocess
from pathlib import Path

from tlcore.jobs.database import prepare
from tlcore.jobs.processes import start_detached
from tlcore.settings import Settings

_started: "dict[Path, subprocess.Popen[bytes]]" = {}  # by home: the supervisor that this process started last


def is_supervised(settings: Settings) -> bool:
    """Whether a supervisor of this home lives: it alone holds the lock for itself, who only looks shares it.

    So nobody who looks takes another one who looks for a supervisor, and nobody waits.
    """
    path = settings.jobs / "supervisor.lock"
    if not path.exists():
        return False
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def ensure_supervisor(settings: Settings) -> None:
    """Start the supervisor of this home unless it lives. Raises: StorageError."""
    prepare(settings)
    if not is_supervised(settings):
        log = settings.jobs / "logs" / "supervisor.log"
        _started[settings.root] = start_detached(settings, ["tlcore.jobs.supervisor"], log)


def is_starting(settings: Settings) -> bool:
    """Whether the supervisor that this process started last still runs, if only on its way to the lock."""
    process = _started.get(settings.root)
    return process is not None and process.poll() is None

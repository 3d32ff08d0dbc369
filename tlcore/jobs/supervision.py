"""Whether the supervisor of a home lives, and how it is brought to life."""

from filelock import FileLock, Timeout

from tlcore.jobs.database import prepare
from tlcore.jobs.processes import start_detached
from tlcore.settings import Settings


def is_supervised(settings: Settings) -> bool:
    """Whether a supervisor of this home lives: it holds the lock."""
    path = settings.jobs / "supervisor.lock"
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def ensure_supervisor(settings: Settings) -> None:
    """Start the supervisor of this home unless it lives. Raises: StorageError."""
    prepare(settings)
    if not is_supervised(settings):
        start_detached(settings, ["tlcore.jobs.supervisor"], settings.jobs / "logs" / "supervisor.log")

"""What a page has done while it goes on: in threads that no exit waits for."""

import logging
import time
from collections.abc import Callable
from threading import Lock, Thread

from tlcore.errors import TlcoreError

AGAIN_SECONDS = 60.0  # after which what was done is done again
_log = logging.getLogger("tlcore.background")
_begun: dict[tuple[str, str], tuple[Thread, float]] = {}  # by what is done and home: when, on the monotonic clock
_beginning = Lock()


def begin(work: Callable[[str], None], home: str) -> None:
    """Do it in a thread, unless that goes on, or was begun a short while ago. An error is told in the log alone."""
    key, now = (work.__name__, home), time.monotonic()
    with _beginning:
        thread, at = _begun.get(key, (None, now - AGAIN_SECONDS))
        if (thread is not None and thread.is_alive()) or now - at < AGAIN_SECONDS:
            return
        thread = Thread(target=_told, args=(work, home), name=work.__name__, daemon=True)
        _begun[key] = thread, now
        thread.start()


def begun() -> list[Thread]:
    """The thread of each thing that was begun last."""
    return [thread for thread, _ in _begun.values()]


def await_all() -> None:
    """Wait for what was begun, and forget that it was."""
    while _begun:
        _begun.popitem()[1][0].join()


def _told(work: Callable[[str], None], home: str) -> None:
    try:
        work(home)
    except TlcoreError as error:
        _log.warning("in the background: %s", error)

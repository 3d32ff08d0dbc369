"""A worker's life on its slot: claim a job, do it, say how it ended. What doing means is handed in; no torch here."""

import faulthandler
import logging
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tlcore import tracking
from tlcore.errors import RunCancelledError, StorageError, TlcoreError
from tlcore.jobs import queue, roster, settling
from tlcore.jobs.caretaking import clear_work
from tlcore.jobs.database import queue_path
from tlcore.jobs.processes import code_version, create_time
from tlcore.jobs.queue import Job, Kind, State
from tlcore.jobs.roster import Worker
from tlcore.settings import Settings
from tlcore.tracking.store import DISK_FULL

POLL_SECONDS = 0.3
REPORT_SECONDS = 0.5
LOOK_SECONDS = 0.2
_log = logging.getLogger("tlcore.worker")


@dataclass
class Assignment:
    """A job in a worker's hands. terminated: set when the process was asked to end (SIGTERM)."""

    settings: Settings
    job: Job
    terminated: threading.Event
    last_report: float = float("-inf")
    last_look: float = float("-inf")
    stopping: bool = False

    def progress(self, done: float, message: str) -> None:
        """Say how far the job is, 0…1; at most twice a second reaches the queue."""
        now = time.monotonic()
        if now - self.last_report >= REPORT_SECONDS:
            self.last_report = now
            queue.report(self.settings, self.job, min(1.0, max(0.0, done)), message)

    def should_stop(self) -> bool:
        """Whether to end now: cancelled, terminated, or given to somebody else. Cheap, for every batch."""
        now = time.monotonic()
        if not self.stopping and now - self.last_look >= LOOK_SECONDS:
            self.last_look = now
            self.stopping = not queue.is_wanted(self.settings, self.job)
        return self.stopping or self.terminated.is_set()


Handler = Callable[[Assignment], Any]


@dataclass
class Post:
    """A worker at its slot. poisoned: an unforeseen error may have left the process (a CUDA context) unusable."""

    settings: Settings
    me: Worker
    handlers: Mapping[Kind, Handler]
    terminated: threading.Event = field(default_factory=threading.Event)
    poisoned: bool = False


def serve(settings: Settings, slot: str, handlers: Mapping[Kind, Handler]) -> None:
    """Do the slot's jobs until there is a reason to end; leaves at once where the slot has a worker already.

    The slot's file lock is held for life, so two workers never share a slot, whoever started them.
    SIGTERM ends the job at its next batch and puts it back into the queue without counting the attempt.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    faulthandler.enable()
    lock = settings.jobs / "slots" / f"{slot.replace(':', '-')}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=0):
            me = Worker(uuid.uuid4().hex, slot, os.getpid(), create_time(os.getpid()), code_version(), stop=False)
            post = Post(settings, me, handlers)
            signal.signal(signal.SIGTERM, lambda signum, frame: post.terminated.set())
            roster.register(settings, me)
            try:
                _work(post)
            finally:
                if queue_path(settings).exists():
                    roster.unregister(settings, me.id)
    except Timeout:
        _log.info("%s has a worker already", slot)


def _work(post: Post) -> None:
    idle_since = time.monotonic()
    while (reason := _reason_to_end(post, idle_since)) is None:
        job = _next_job(post)
        if job is None:
            time.sleep(POLL_SECONDS)
            continue
        _do(post, job)
        idle_since = time.monotonic()
    _log.info("%s ends: %s", post.me.slot, reason)


def _reason_to_end(post: Post, idle_since: float) -> str | None:
    if post.terminated.is_set():
        return "terminated"
    if not queue_path(post.settings).exists():
        return "the home is gone"
    if post.poisoned:
        return "an unforeseen error"
    if roster.must_stop(post.settings, post.me.id):
        return "asked to end"
    if time.monotonic() - idle_since > post.settings.worker_idle_seconds:
        return "nothing to do"
    waiting = queue.waiting(post.settings, post.me.slot, tuple(post.handlers))
    if waiting not in {None, post.me.code_version} and code_version() != post.me.code_version:
        return "the code has changed"
    return None


def _next_job(post: Post) -> Job | None:
    """Claims take a write lock, so look first."""
    accepts = tuple(post.handlers)
    if queue.waiting(post.settings, post.me.slot, accepts) is None:
        return None
    return queue.claim(post.settings, post.me, accepts)


def _do(post: Post, job: Job) -> None:
    with printing_to(post.settings.jobs / "logs" / f"{job.id}.log"):
        _log.info("attempt %d at %s on %s (pid %d)", job.attempts, job.title, post.me.slot, post.me.pid)
        state, error, result = _attempt(post, Assignment(post.settings, job, post.terminated))
        _conclude(post, job, state, error, result)
        _log.info("%s", state)


def _attempt(post: Post, assignment: Assignment) -> tuple[State, str | None, Any]:
    """How the job ended: its state, what went wrong, what came out."""
    try:
        return "FINISHED", None, post.handlers[assignment.job.kind](assignment)
    except RunCancelledError:
        return "CANCELLED", None, None
    except TlcoreError as problem:
        _log.exception("failed")
        return "FAILED", str(problem), None
    except Exception as problem:  # noqa: BLE001 - the worker's boundary: it ends this job and is shown, not hidden
        _log.exception("failed")
        post.poisoned = True
        return "FAILED", _message(post.settings, problem), None


def _message(settings: Settings, problem: Exception) -> str:
    if isinstance(problem, OSError) and problem.errno in DISK_FULL:
        return str(tracking.disk_full(settings))
    return f"{type(problem).__name__}: {problem}"


def _conclude(post: Post, job: Job, state: State, error: str | None, result: Any) -> None:
    """MLflow first, then the queue: who sees a job ended finds its run in its true state."""
    settings = post.settings
    if not queue_path(settings).exists():
        return
    now = queue.held(settings, job)
    if now is None:
        return  # taken for dead: the job is somebody else's
    if state == "CANCELLED" and now.cancel_ms is None:
        _put_back(settings, job)
        return
    settled = True
    if job.kind == "run":
        try:
            settling.conclude(settings, job, state, error)
        except StorageError as problem:
            _log.info("MLflow could not be told, the reconciler will: %s", problem)
            settled = False
    if queue.end(settings, job, state, error=error, result=result, settled=settled):
        clear_work(settings, job)


def _put_back(settings: Settings, job: Job) -> None:
    """Terminated, not cancelled: the job waits for the next worker, which goes on from the checkpoint."""
    if job.kind == "run":
        tracking.reschedule_run(settings, job.id)
    queue.release(settings, job, counts=False)


@contextmanager
def printing_to(path: Path) -> Iterator[None]:
    """Send everything that this process prints, from C libraries too, to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = [os.dup(1), os.dup(2)]
    with path.open("ab") as file:
        _flush()
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        _flush()
        for target, source in zip((1, 2), kept, strict=True):
            os.dup2(source, target)
            os.close(source)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()

"""A worker's life on its slot: claim a job, do it, say how it ended. What doing means is handed in; no torch here."""

import faulthandler
import logging
import os
import re
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tlcore import heap, tracking
from tlcore.errors import RunCancelledError, StorageError, TlcoreError
from tlcore.jobs import queue, roster, settling
from tlcore.jobs.caretaking import clear_work, work_folder
from tlcore.jobs.database import queue_path, written
from tlcore.jobs.processes import code_version, create_time
from tlcore.jobs.queue import Job, Kind, State
from tlcore.jobs.roster import Worker
from tlcore.settings import Settings
from tlcore.tracking.store import DISK_FULL

POLL_SECONDS = 0.1  # between looks at the queue, which take a millisecond
GLANCE_SECONDS = 0.01  # between looks at whether it was written since
REPORT_SECONDS = 0.5
LOOK_SECONDS = 0.2
NUMBER = re.compile(r"\d")
_log = logging.getLogger("tlcore.worker")


@dataclass
class Assignment:
    """A job in a worker's hands. terminated: set when the process was asked to end (SIGTERM)."""

    settings: Settings
    job: Job
    terminated: threading.Event
    last_report: float = float("-inf")
    last_look: float = float("-inf")
    stage: str = ""
    stopping: bool = False

    def progress(self, done: float, message: str) -> None:
        """Say how far the job is, 0…1; of one stage at most twice a second reaches the queue.

        The stage is what a message says before its first number. News is no reason to lose a job: when the queue
        refuses it, the log says so and the next one is tried.
        """
        now, stage = time.monotonic(), NUMBER.split(message, maxsplit=1)[0]
        if stage == self.stage and now - self.last_report < REPORT_SECONDS:
            return
        self.last_report, self.stage = now, stage
        try:
            queue.report(self.settings, self.job, min(1.0, max(0.0, done)), message)
        except StorageError as problem:
            if not queue_path(self.settings).exists():
                raise
            _log.warning("the queue could not be told: %s", problem)

    def should_stop(self) -> bool:
        """Whether to end now: cancelled, terminated, or given to somebody else. Cheap, for every batch."""
        now = time.monotonic()
        if not self.stopping and now - self.last_look >= LOOK_SECONDS:
            self.last_look = now
            self.stopping = not queue.is_wanted(self.settings, self.job)
        return self.stopping or self.terminated.is_set()


Handler = Callable[[Assignment], Any]


@dataclass(frozen=True)
class Ending:
    """How an attempt ended.

    kept: what lies in its folder stays: a run's checkpoint, as what failed is the disk or MLflow, or a finished zip.
    """

    state: State
    error: str | None = None
    result: Any = None
    kept: bool = False


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
        before = written(post.settings)
        job = _next_job(post)
        if job is None:
            _await_news(post.settings, before)
            continue
        _do(post, job)
        heap.give_back()
        idle_since = time.monotonic()
    _log.info("%s ends: %s", post.me.slot, reason)


def _await_news(settings: Settings, before: object) -> None:
    """Until the queue is written, or it is time to look in any case. before: as of `database.written`."""
    until = time.monotonic() + POLL_SECONDS
    while written(settings) == before and time.monotonic() < until:
        time.sleep(GLANCE_SECONDS)


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
    """A question prints to the worker's own log: nobody looks for a log of it, and there are many."""
    own_log = post.settings.jobs / "logs" / f"{job.id}.log"
    with nullcontext() if job.kind == "question" else printing_to(own_log):
        _log.info("attempt %d at %s on %s (pid %d)", job.attempts, job.title, post.me.slot, post.me.pid)
        ending = _attempt(post, Assignment(post.settings, job, post.terminated))
        _conclude(post, job, ending)
        _log.info("%s", ending.state)


def _attempt(post: Post, assignment: Assignment) -> Ending:
    job = assignment.job
    try:
        return Ending("FINISHED", result=post.handlers[job.kind](assignment), kept=job.kind == "zip")
    except RunCancelledError:
        return Ending("CANCELLED")
    except StorageError as problem:
        _log.exception("failed")
        return _refused(post.settings, job, problem)
    except TlcoreError as problem:
        _log.exception("failed")
        return Ending("FAILED", str(problem))
    except Exception as problem:  # noqa: BLE001 - the worker's boundary: it ends this job and is shown, not hidden
        _log.exception("failed")
        post.poisoned = True
        if isinstance(problem, OSError) and problem.errno in DISK_FULL:
            return _refused(post.settings, job, tracking.disk_full(post.settings))
        return Ending("FAILED", f"{type(problem).__name__}: {problem}")


def _refused(settings: Settings, job: Job, problem: StorageError) -> Ending:
    """A disk or a store that refuses is mended by people; until then a run's work folder waits for `jobs.retry`."""
    kept = job.kind == "run" and work_folder(settings, job.id).exists()
    remedy = " (what was trained so far is kept: retry the run, and it goes on from there)" if kept else ""
    return Ending("FAILED", f"{problem}{remedy}", kept=kept)


def _conclude(post: Post, job: Job, ending: Ending) -> None:
    """MLflow first, then the queue: who sees a job ended finds its run in its true state."""
    settings = post.settings
    if not queue_path(settings).exists():
        return
    now = queue.held(settings, job)
    if now is None:
        return  # taken for dead: the job is somebody else's
    if ending.state == "CANCELLED" and now.cancel_ms is None:
        _put_back(settings, job)
        return
    settled = True
    if job.kind == "run":
        try:
            settling.conclude(settings, job, ending.state, ending.error)
        except StorageError as problem:
            _log.info("MLflow could not be told, the reconciler will: %s", problem)
            settled = False
    ended = queue.end(settings, job, ending.state, error=ending.error, result=ending.result, settled=settled)
    if ended and not ending.kept:
        clear_work(settings, job)


def _put_back(settings: Settings, job: Job) -> None:
    """Terminated, not cancelled: the job waits for the next worker, which goes on from the checkpoint."""
    if job.kind == "run":
        try:
            tracking.reschedule_run(settings, job.id)
        except StorageError as problem:
            _log.warning("MLflow could not be told that the run waits, the next start tells it: %s", problem)
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

"""`python -m tlcore.jobs.supervisor`: the one process of a home that looks after its workers. No torch, no MLflow.

It starts one worker per slot with waiting jobs, takes jobs back from dead workers, ends stubborn ones, and calls the
reconciler where MLflow has to be told. It leaves when there has been nothing to do for a minute. Workers outlive it:
killed at any moment, the next one finds everything in the queue.
"""

import logging
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Literal

from filelock import FileLock, Timeout

from tlcore.errors import StorageError
from tlcore.jobs import queue, roster
from tlcore.jobs.caretaking import Crew, end_stubborn, forget_old, recover_dead, staff
from tlcore.jobs.database import kept_open, prepare, queue_path
from tlcore.jobs.processes import code_version, start_detached
from tlcore.jobs.supervision import ensure_supervisor
from tlcore.settings import Settings, get_settings

POLL_SECONDS = 0.4
IDLE_POLL_SECONDS = 1.0
IDLE_SECONDS = 60.0  # with nothing to do and no worker, it leaves
RECONCILE_SECONDS = 5.0  # between calls of the reconciler
LOCK_SECONDS = 3.0  # whoever asks whether a supervisor lives holds the lock for an instant
_log = logging.getLogger("tlcore.supervisor")
Ending = Literal["idle", "outdated", "homeless"]


def main() -> int:
    """Hold the lock and serve; a second supervisor leaves at once."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    settings = get_settings()
    prepare(settings)
    while True:
        try:
            with FileLock(settings.jobs / "supervisor.lock", timeout=LOCK_SECONDS):
                ending = serve(settings)
        except Timeout:
            return 0
        if ending == "outdated":
            ensure_supervisor(settings)
        # Somebody may have submitted between the last look and the release of the lock, and found us alive.
        if ending != "idle" or not queue.open_jobs(settings):
            return 0


@dataclass
class Shift:
    """One supervisor's time at work. reconciler: a process that brings MLflow into line, while it runs."""

    crew: Crew
    version: str
    last_busy: float
    last_reconciled: float = float("-inf")
    reconciler: "subprocess.Popen[bytes] | None" = None


def serve(settings: Settings) -> Ending:
    """Look after the workers until there is nothing to do, the code has changed, or the home is gone."""
    shift = Shift(Crew(settings), code_version(), time.monotonic())
    _log.info("looking after %s", settings.jobs)
    while queue_path(settings).exists():
        try:
            with kept_open(settings):
                ending = _rounds(shift)
        except StorageError as error:  # locked for a while, or full: all state is on disk, so try again
            _log.info("%s", error)
            time.sleep(IDLE_POLL_SECONDS)
        else:
            _log.info("leaving: %s", ending)
            return ending
    return "homeless"


def _rounds(shift: Shift) -> Ending:
    """Rounds until there is a reason to leave. Raises: StorageError, after which there may be more."""
    while queue_path(shift.crew.settings).exists():
        ending, pause = _round(shift)
        if ending is not None:
            return ending
        time.sleep(pause)
    return "homeless"


def _round(shift: Shift) -> tuple[Ending | None, float]:
    settings, now = shift.crew.settings, time.monotonic()
    recover_dead(shift.crew)
    end_stubborn(shift.crew)
    staff(shift.crew)
    forget_old(shift.crew)
    versions = queue.open_versions(settings)
    if versions - {shift.version} and code_version() != shift.version:
        return "outdated", 0
    if versions or shift.crew.starting or roster.workers(settings):
        shift.last_busy = now
    _reconcile(shift, now)
    idle = now - shift.last_busy
    if idle > IDLE_SECONDS and shift.reconciler is None:
        return "idle", 0
    return None, POLL_SECONDS if versions else IDLE_POLL_SECONDS


def _reconcile(shift: Shift, now: float) -> None:
    """Bring MLflow into line where a run ended without its worker, where one died, and once before leaving."""
    if shift.reconciler is not None and shift.reconciler.poll() is None:
        return
    shift.reconciler = None
    crew = shift.crew
    sweeping = crew.shaken and now - shift.last_busy > IDLE_SECONDS / 2
    if now - shift.last_reconciled < RECONCILE_SECONDS or not (sweeping or queue.unsettled(crew.settings)):
        return
    log = crew.settings.jobs / "logs" / "reconcile.log"
    shift.reconciler = start_detached(crew.settings, ["tlcore.jobs.reconcile"], log)
    shift.last_reconciled, crew.shaken = now, False


if __name__ == "__main__":
    sys.exit(main())

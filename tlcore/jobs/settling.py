"""Where queue and MLflow disagree, MLflow is written."""

import logging
from collections.abc import Iterable

from tlcore import tracking
from tlcore.errors import NotFoundError
from tlcore.jobs import queue
from tlcore.jobs.database import now_ms
from tlcore.results import Status
from tlcore.settings import Settings

STATUS: dict[queue.State, Status] = {
    "QUEUED": "SCHEDULED",
    "RUNNING": "RUNNING",
    "FINISHED": "FINISHED",
    "FAILED": "FAILED",
    "CANCELLED": "KILLED",
}
SUBMIT_MS = 120_000  # so long may a submission take from the first MLflow run to the queue's rows
_log = logging.getLogger("tlcore.reconcile")


def conclude(settings: Settings, job: queue.Job, state: queue.State, error: str | None) -> None:
    """Set a run's last state in MLflow, and its comparison's if it was the last one. Raises: StorageError."""
    _end(settings, job.id, STATUS[state], error)
    if job.comparison_id:
        _close(settings, [job.comparison_id])


def settle(settings: Settings) -> None:
    """Tell MLflow of runs that ended without their worker, and close their comparisons. Raises: StorageError.

    A worker tells MLflow first and the queue afterwards: a run that MLflow holds for finished has finished, even if
    its worker died between the two.
    """
    jobs = queue.unsettled(settings)
    for job in jobs:
        if tracking.run_status(settings, job.id) == "FINISHED":
            queue.acquit(settings, job.id)
        else:
            _end(settings, job.id, STATUS[job.status], job.error)
    _close(settings, {job.comparison_id for job in jobs if job.comparison_id})
    queue.mark_settled(settings, [job.id for job in jobs])


def sweep(settings: Settings) -> None:
    """Look at every run and comparison that MLflow holds for open, and set what is not so. Raises: StorageError."""
    parents = set()
    for run_id, (comparison_id, created_ms) in tracking.run_statuses(settings, ("RUNNING", "SCHEDULED")).items():
        found = queue.select(settings, "id = ?", (run_id,))
        if found and found[0].status in queue.OPEN:
            continue
        if found:
            _end(settings, run_id, STATUS[found[0].status], found[0].error)
        elif now_ms() - created_ms > SUBMIT_MS:
            _end(settings, run_id, "FAILED", "the queue does not know this run: its submission was cut short")
        parents.add(comparison_id)
    old = {i for i, created_ms in tracking.open_comparisons(settings).items() if now_ms() - created_ms > SUBMIT_MS}
    _close(settings, parents | old)


def _end(settings: Settings, run_id: str, status: Status, error: str | None) -> None:
    _log.info("run %s is %s", run_id, status)
    try:
        tracking.end_run(settings, run_id, status, error)
    except NotFoundError:
        _log.info("run %s is no longer in MLflow", run_id)


def _close(settings: Settings, comparison_ids: Iterable[str]) -> None:
    for comparison_id in comparison_ids:
        try:
            tracking.close_comparison(settings, comparison_id)
        except NotFoundError:
            _log.info("comparison %s is no longer in MLflow", comparison_id)

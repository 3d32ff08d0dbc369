"""What the supervisor does for its workers: start them, take jobs back from dead ones, end stubborn ones."""

import logging
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from tlcore.jobs import queue, removing, roster
from tlcore.jobs.database import now_ms
from tlcore.jobs.processes import is_alive, kill_group, start_detached, tail
from tlcore.jobs.queue import MAX_ATTEMPTS, Job
from tlcore.settings import Settings, worker_environment

MAX_START_FAILURES = 3
IMPORTING = ("import", "version", "zip")  # kinds that train nothing
FORGET_SECONDS = 3600.0  # between two looks for answers that are too old
_log = logging.getLogger("tlcore.supervisor")


@dataclass
class Crew:
    """What a supervisor remembers of the workers that it started; all else is in the queue.

    starting: by slot, until it has registered itself. failures: starts in a row, by slot, that came to nothing.
    children: started processes, to be reaped. shaken: whether a worker died since the last sweep of MLflow.
    last_forgot: when old answers were looked for, on the monotonic clock.
    """

    settings: Settings
    starting: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    children: "list[subprocess.Popen[bytes]]" = field(default_factory=list)
    shaken: bool = True
    last_forgot: float = float("-inf")


def recover_dead(crew: Crew) -> None:
    """Take the jobs of dead workers back: once more from the checkpoint, then no more.

    Who holds a job is read before who is there: a worker registers itself before it takes its first job, so the one
    that holds a job and is not there has gone.
    """
    crew.children = [child for child in crew.children if child.poll() is None]
    running = queue.select(crew.settings, "status = 'RUNNING'")
    known = set()
    for worker in roster.workers(crew.settings):
        if is_alive(worker.pid, worker.create_time):
            known.add(worker.id)
            continue
        _log.info("worker %s (pid %d) of %s has died", worker.id, worker.pid, worker.slot)
        kill_group(worker.pid, worker.create_time)
        roster.unregister(crew.settings, worker.id)
        crew.shaken = True
    for job in running:
        if job.worker not in known:
            _recover(crew, job)


def _recover(crew: Crew, job: Job) -> None:
    settings = crew.settings
    if job.cancel_ms is not None:
        ended = queue.end(settings, job, "CANCELLED", settled=job.kind != "run")
    elif job.kind == "question" or job.attempts >= MAX_ATTEMPTS:
        times = "twice" if job.attempts > 1 else "once"
        remedy = "" if job.kind in IMPORTING else "; a smaller batch size or image size needs less memory"
        error = (
            f"the worker died {times} while it did this, without a Python error (killed, out of memory, or a crash in "
            f"a library): {_log_of(settings, job)} has its last words{remedy}"
        )
        ended = queue.end(settings, job, "FAILED", error=error, settled=job.kind != "run")
    else:
        ended = False
        if queue.release(settings, job, counts=True):
            _log.info("job %s goes back to the queue", job.id)
    if ended:  # else its worker ended it, or gave it back, after we looked
        clear_work(settings, job)
    if ended and job.kind in IMPORTING:  # jobs know no datasets, so a process of its own clears up after a killed one
        crew.children.append(start_detached(settings, ["tlcore.datasets.sweep"], settings.jobs / "logs" / "sweep.log"))


def _log_of(settings: Settings, job: Job) -> str:
    """Where a dead worker's last words on a job are: questions have no log of their own."""
    if job.kind == "question":
        return str(settings.jobs / "logs" / worker_log_name(job.slot or "*"))
    return "the job's log"


def clear_work(settings: Settings, job: Job) -> None:
    """Remove what a job that is over no longer needs: a run's work folder (MLflow has the rest), an uploaded file, and
    the zip that nobody will fetch.
    """
    if job.kind == "run":
        shutil.rmtree(work_folder(settings, job.id), ignore_errors=True)
    if job.kind == "zip":
        shutil.rmtree(removing.zip_folder(settings, job.id), ignore_errors=True)
    if job.kind == "import":
        removing.remove_upload(settings.uploads, Path(job.payload["path"]))


def work_folder(settings: Settings, run_id: str) -> Path:
    """Where a run keeps its checkpoint while it is not over, and after a failure of the disk or of MLflow."""
    return settings.jobs / "runs" / run_id


def end_stubborn(crew: Crew) -> None:
    """Kill the workers whose cancelled job has not ended within the grace period."""
    limit = now_ms() - crew.settings.cancel_grace_seconds * 1000
    overdue = queue.select(crew.settings, "status = 'RUNNING' AND cancel_ms < ?", (limit,))
    workers = {worker.id: worker for worker in roster.workers(crew.settings)}
    for job in overdue:
        worker = workers.get(job.worker or "")
        if worker is not None:
            _log.info("job %s does not stop: ending its worker (pid %d)", job.id, worker.pid)
            kill_group(worker.pid, worker.create_time)


def forget_old(crew: Crew) -> None:
    """Remove answers that nobody reads, and zips and uploads that nobody needs any more, once an hour."""
    now = time.monotonic()
    if now - crew.last_forgot < FORGET_SECONDS:
        return
    crew.last_forgot = now
    removing.sweep(crew.settings)
    removed = removing.forget_answers(crew.settings)
    if removed:
        _log.info("forgot %d old answers", removed)


def staff(crew: Crew) -> None:
    """See that every slot with waiting jobs has a worker."""
    pids = {worker.pid for worker in roster.workers(crew.settings)}
    for slot, process in list(crew.starting.items()):
        _look_after_start(crew, slot, process, process.pid in pids)
    served = {worker.slot for worker in roster.live_workers(crew.settings)} | set(crew.starting)
    for slot in sorted(queue.waiting_slots(crew.settings) - served):
        log = crew.settings.jobs / "logs" / worker_log_name(slot)
        process = start_detached(
            crew.settings, ["tlcore.worker", "--slot", slot], log, worker_environment(crew.settings)
        )
        _log.info("started a worker (pid %d) for %s", process.pid, slot)
        crew.starting[slot] = process
        crew.children.append(process)


def _look_after_start(crew: Crew, slot: str, process: "subprocess.Popen[bytes]", registered: bool) -> None:
    code = process.poll()
    if registered:
        crew.failures.pop(slot, None)
    elif code is None:
        return
    elif code != 0:
        crew.failures[slot] = crew.failures.get(slot, 0) + 1
    del crew.starting[slot]
    if crew.failures.get(slot, 0) >= MAX_START_FAILURES:
        _give_up(crew, slot)


def _give_up(crew: Crew, slot: str) -> None:
    path = crew.settings.jobs / "logs" / worker_log_name(slot)
    last = tail(path, 1) or "it printed nothing"
    error = f"no worker for {slot} could be started, {MAX_START_FAILURES} times in a row: {last} (see {path})"
    _log.info("%s", error)
    for job in queue.select(crew.settings, "status = 'QUEUED' AND slot = ?", (slot,)):
        ended = queue.end(crew.settings, job, "FAILED", error=error, settled=job.kind != "run")
        if ended and job.kind != "run":  # a run may be retried, from the checkpoint of an earlier attempt
            clear_work(crew.settings, job)
    del crew.failures[slot]


def worker_log_name(slot: str) -> str:
    """File name of what a slot's workers print between jobs."""
    return f"worker-{slot.replace(':', '-')}.log"

"""What the service does with jobs: submit, cancel, look."""

import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tlcore import tracking
from tlcore.errors import JobError, NotFoundError
from tlcore.jobs import queue, removing, settling
from tlcore.jobs.caretaking import clear_work, work_folder
from tlcore.jobs.database import now_ms, prepare, queue_path
from tlcore.jobs.processes import code_version, tail
from tlcore.jobs.queue import Job, NewJob
from tlcore.jobs.roster import live_workers, slot_of
from tlcore.jobs.supervision import ensure_supervisor, is_starting, is_supervised
from tlcore.results import STATE_WORDS, STOPPED, JobView, QueueOverview, WorkerView
from tlcore.settings import Settings
from tlcore.spec import RunSpec

MADE_OF_DATASETS = ("import", "version", "zip")
IMPORT_SLOT = "import:0"
EDIT_SLOT = "import:1"  # versions and zips take seconds: they do not wait for an import that takes hours


def submit_runs(settings: Settings, comparison_id: str, runs: Iterable[tuple[str, RunSpec]], device: str) -> None:
    """Queue runs that are SCHEDULED in MLflow, as (run id, spec), for a resolved device. Raises: StorageError."""
    prepare(settings)
    version, slot = code_version(), slot_of(device)
    jobs = [
        NewJob(run_id, "run", spec.name, slot, spec.model_dump(mode="json"), version, comparison_id)
        for run_id, spec in runs
    ]
    queue.add(settings, jobs)
    ensure_supervisor(settings)


def submit_import(settings: Settings, source: Path | str, name: str | None, owner: str = "") -> str:
    """Queue an import of a path, or of a source that is no path, as text; returns the job's id.

    A file in `jobs/uploads` is removed afterwards. Raises: StorageError.
    """
    if isinstance(source, Path):
        path, title = str(source.expanduser().absolute()), source.name
    else:  # an address may end with a key that is nobody's business
        path, title = source, source.rpartition("://")[2].partition("?")[0]
    payload = {"path": path, "name": name, "owner": owner}
    return _submit(settings, "import", f"Import {name or title}", IMPORT_SLOT, payload)


def submit_version(settings: Settings, dataset_id: str, name: str, edits: Sequence[dict[str, Any]]) -> str:
    """Queue a new version of a dataset; returns the job's id. edits: as JSON. Raises: StorageError."""
    payload = {"dataset_id": dataset_id, "edits": list(edits)}
    return _submit(settings, "version", f"New version of {name}", EDIT_SLOT, payload)


def submit_zip(settings: Settings, dataset_id: str, name: str, stamp: str = "") -> str:
    """Queue the zip of a dataset, which is kept for a day; returns the job's id. Raises: StorageError.

    stamp: of what is packed, beside the version; a zip of the same stamp that is still there is taken instead.
    """
    prepare(settings)
    removing.sweep(settings)
    for job in reversed(removing.zips_of(settings, dataset_id)):
        if job.status == "FINISHED" and job.payload.get("stamp") == stamp and job.result and Path(job.result).exists():
            return job.id
    return _submit(settings, "zip", f"Zip of {name}", EDIT_SLOT, {"dataset_id": dataset_id, "stamp": stamp})


def zip_bytes(settings: Settings, dataset_id: str) -> int:
    """Bytes on the disk of the zips that were made of a dataset."""
    folders = [removing.zip_folder(settings, job.id) for job in removing.zips_of(settings, dataset_id)]
    return sum(file.stat().st_size for folder in folders for file in folder.glob("*.zip"))


def _submit(settings: Settings, kind: queue.Kind, title: str, slot: str, payload: dict[str, Any]) -> str:
    prepare(settings)
    job_id = uuid.uuid4().hex
    queue.add(settings, [NewJob(job_id, kind, title, slot, payload, code_version())])
    ensure_supervisor(settings)
    return job_id


def cancel(settings: Settings, job_ids: Sequence[str]) -> None:
    """Waiting jobs end at once, in MLflow too; a running one at its next batch.

    Raises: StorageError when MLflow cannot be told now; the jobs end all the same, and the reconciler tells it later.
    """
    if not queue_path(settings).exists():
        return
    queue.request_cancel(settings, job_ids)
    ensure_supervisor(settings)
    for job_id in job_ids:
        for job in queue.select(settings, "id = ? AND status = 'CANCELLED'", (job_id,)):
            clear_work(settings, job)
    if queue.unsettled(settings):
        settling.settle(settings)


def retry(settings: Settings, run_ids: Sequence[str]) -> None:
    """Queue runs again that failed or were cancelled.

    A run goes on from its checkpoint where one is kept, as after a full disk or a locked store; else it begins anew.
    Raises: NotFoundError; JobError for a run that is not over or has finished, before any of them is queued;
    StorageError when MLflow refuses one, after those before it are queued.
    """
    if queue.unsettled(settings):
        settling.settle(settings)  # one of them may have finished, as MLflow knows
    for run_id in run_ids:
        found = _select(settings, "id = ? AND kind = 'run'", (run_id,))
        if not found:
            raise NotFoundError(f"there is no run {run_id!r} here: `python -m tlcore runs COMPARISON` lists them")
        if found[0].status not in STOPPED:
            raise JobError(
                f"{found[0].title} ({run_id}) is {STATE_WORDS[found[0].status]}: only a run that failed or was "
                f"cancelled can be tried again"
            )
    try:
        for run_id in run_ids:
            if not work_folder(settings, run_id).exists():
                tracking.forget_curve(settings, run_id)
                tracking.forget_trials(settings, run_id)
            tracking.reschedule_run(settings, run_id)
            queue.requeue(settings, run_id, code_version())
    finally:
        ensure_supervisor(settings)


def get_job(settings: Settings, job_id: str) -> JobView:
    """One job. Raises: NotFoundError."""
    found = _select(settings, "id = ?", (job_id,))
    if not found:
        raise NotFoundError(f"there is no job {job_id!r} in the queue of {settings.root} (answers are kept for a week)")
    return found[0]


def jobs_of(settings: Settings, comparison_id: str) -> list[JobView]:
    """The jobs of a comparison, in order; none where it was made elsewhere."""
    return _select(settings, "comparison_id = ?", (comparison_id,))


def is_settled(settings: Settings, comparison_id: str) -> bool:
    """Whether all jobs of a comparison have ended and MLflow says so too."""
    return all(job.status not in queue.OPEN and job.settled for job in jobs_of(settings, comparison_id))


def recent(settings: Settings, limit: int = 200) -> list[JobView]:
    """Waiting, running and ended jobs, newest first; questions are left out."""
    return _select(settings, "kind != 'question'", (), f"seq DESC LIMIT {int(limit)}")


def open_imports(settings: Settings) -> list[JobView]:
    """Imports that wait or run, in order."""
    return _select(settings, "kind = 'import' AND status IN ('QUEUED', 'RUNNING')", ())


def open_work(settings: Settings, dataset_id: str) -> list[JobView]:
    """Versions and zips of a dataset that wait or run, in order."""
    found = _select(settings, "kind IN ('version', 'zip') AND status IN ('QUEUED', 'RUNNING')", ())
    return [job for job in found if job.dataset_id == dataset_id]


def users_of(settings: Settings, dataset_id: str) -> list[JobView]:
    """Runs, versions and zips that wait or run and need this dataset, in order."""
    if not queue_path(settings).exists():
        return []
    jobs = [job for job in queue.open_jobs(settings) if job.kind != "question"]
    return [_view(job) for job in jobs if job.payload.get("dataset_id") == dataset_id]


def overview(settings: Settings) -> QueueOverview:
    """The state of the queue at a glance."""
    if not queue_path(settings).exists():
        return QueueOverview(queued=0, running=0, workers=(), supervisor_alive=False)
    jobs = [job for job in queue.open_jobs(settings) if job.kind != "question"]
    busy = {job.worker: job.id for job in jobs if job.status == "RUNNING"}
    workers = [WorkerView(slot=w.slot, pid=w.pid, job_id=busy.get(w.id)) for w in live_workers(settings)]
    running = sum(job.status == "RUNNING" for job in jobs)
    return QueueOverview(
        queued=len(jobs) - running,
        running=running,
        workers=tuple(workers),
        supervisor_alive=is_supervised(settings),
    )


def recover(settings: Settings) -> None:
    """See that open jobs are looked after, as after a restart of the machine, and that what is old goes.

    Cheap enough for every look at jobs.
    """
    if is_supervised(settings) or is_starting(settings) or not queue_path(settings).exists():
        return
    removing.sweep(settings)
    if queue.needs_care(settings):
        ensure_supervisor(settings)


def log_tail(settings: Settings, job_id: str, lines: int = 40) -> str:
    """The last lines of what a job's worker printed; empty before it starts."""
    return tail(settings.jobs / "logs" / f"{Path(job_id).name}.log", lines)


def _select(settings: Settings, where: str, values: Sequence[object], order: str = "seq") -> list[JobView]:
    if not queue_path(settings).exists():
        return []
    return [_view(job) for job in queue.select(settings, where, values, order)]


def _view(job: Job) -> JobView:
    return JobView(
        id=job.id,
        kind=job.kind,
        title=job.title,
        status=job.status,
        progress=job.progress,
        message=job.message,
        error=job.error,
        comparison_id=job.comparison_id,
        slot=job.slot,
        created_ms=job.created_ms,
        started_ms=job.started_ms,
        ended_ms=job.ended_ms,
        eta_seconds=seconds_left(job, now_ms()),
        cancel_requested=job.cancel_ms is not None,
        result=job.result if job.kind in MADE_OF_DATASETS else None,
        dataset_id=job.payload.get("dataset_id") if job.kind in MADE_OF_DATASETS else None,
        attempts=job.attempts,
        settled=job.settled,
    )


def seconds_left(job: Job, now: int) -> float | None:
    """Time to the end at the pace of the present attempt, in seconds; None before there is a pace. now: Unix ms."""
    if job.status != "RUNNING" or job.attempt_ms is None or job.attempt_progress is None:
        return None
    gained = job.progress - job.attempt_progress
    return (now - job.attempt_ms) / 1000 * (1 - job.progress) / gained if gained > 0 else None

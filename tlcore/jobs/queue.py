"""The order of jobs and who does them: every function is one transaction on the queue's database."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tlcore.jobs.database import now_ms, reading, writing
from tlcore.jobs.roster import Worker
from tlcore.settings import Settings

Kind = Literal["run", "import", "version", "zip", "question"]
State = Literal["QUEUED", "RUNNING", "FINISHED", "FAILED", "CANCELLED"]
OPEN = ("QUEUED", "RUNNING")
MAX_ATTEMPTS = 2  # a job whose worker died is taken up once more
ANY_SLOT = ""  # of questions: any worker that trains can answer
# Questions come before waiting runs, those that hold up a page first: somebody looks at the screen for an answer that
# takes a minute or two, while runs are left alone for hours and lose no more than that. None interrupts a run.
_NEXT = f"ORDER BY kind != 'question', slot != '{ANY_SLOT}', seq LIMIT 1"


@dataclass(frozen=True)
class NewJob:
    """A job to be queued. payload: what the worker needs, as JSON. code_version: the submitter's."""

    id: str
    kind: Kind
    title: str
    slot: str
    payload: dict[str, Any]
    code_version: str
    comparison_id: str | None = None


@dataclass(frozen=True)
class Job:
    """A row of the queue. Times in Unix ms; cancel_ms: when its end was asked for. attempt_*: at its first news."""

    seq: int
    id: str
    kind: Kind
    title: str
    slot: str
    payload: dict[str, Any]
    comparison_id: str | None
    code_version: str
    status: State
    settled: bool
    attempts: int
    worker: str | None
    progress: float
    message: str
    error: str | None
    result: Any
    created_ms: int
    started_ms: int | None
    attempt_ms: int | None
    attempt_progress: float | None
    cancel_ms: int | None
    ended_ms: int | None


def add(settings: Settings, jobs: Iterable[NewJob]) -> None:
    """Queue jobs, in order."""
    rows = [
        (j.id, j.kind, j.title, j.slot, json.dumps(j.payload), j.comparison_id, j.code_version, now_ms()) for j in jobs
    ]
    with writing(settings) as db:
        db.executemany(
            "INSERT INTO jobs (id, kind, title, slot, payload, comparison_id, code_version, created_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )


def select(settings: Settings, where: str = "1", values: Sequence[object] = (), order: str = "seq") -> list[Job]:
    """Jobs by a condition in SQL (ours, never a person's)."""
    with reading(settings) as db:
        return [_job(row) for row in db.execute(f"SELECT * FROM jobs WHERE {where} ORDER BY {order}", values)]


def open_jobs(settings: Settings) -> list[Job]:
    """Jobs that wait or run, in order."""
    return select(settings, "status IN ('QUEUED', 'RUNNING')")


def open_versions(settings: Settings) -> set[str]:
    """Code versions of those who submitted what waits or runs; empty where nothing does."""
    with reading(settings) as db:
        rows = db.execute("SELECT DISTINCT code_version FROM jobs WHERE status IN ('QUEUED', 'RUNNING')").fetchall()
    return {str(row["code_version"]) for row in rows}


def waiting_slots(settings: Settings) -> set[str]:
    """Slots for which jobs wait; questions wait for no slot."""
    with reading(settings) as db:
        rows = db.execute("SELECT DISTINCT slot FROM jobs WHERE status = 'QUEUED' AND slot != ?", (ANY_SLOT,))
        return {str(row["slot"]) for row in rows}


def claim(settings: Settings, worker: Worker, accepts: Sequence[Kind]) -> Job | None:
    """Take the next job that this worker may do: see `_NEXT`."""
    kinds = ", ".join("?" for _ in accepts)
    with writing(settings) as db:
        row = db.execute(
            f"SELECT id FROM jobs WHERE status = 'QUEUED' AND slot IN (?, ?) AND kind IN ({kinds}) {_NEXT}",
            (worker.slot, ANY_SLOT, *accepts),
        ).fetchone()
        if row is None:
            return None
        db.execute(
            "UPDATE jobs SET status = 'RUNNING', worker = ?, attempts = attempts + 1, message = 'starting',"
            " started_ms = coalesce(started_ms, ?), attempt_ms = NULL, attempt_progress = NULL WHERE id = ?",
            (worker.id, now_ms(), row["id"]),
        )
        return _job(db.execute("SELECT * FROM jobs WHERE id = ?", (row["id"],)).fetchone())


def waiting(settings: Settings, slot: str, accepts: Sequence[Kind]) -> str | None:
    """The code version of the next job for this slot, None where nothing waits: cheap, and takes no lock."""
    kinds = ", ".join("?" for _ in accepts)
    with reading(settings) as db:
        row = db.execute(
            f"SELECT code_version FROM jobs WHERE status = 'QUEUED' AND slot IN (?, ?) AND kind IN ({kinds}) {_NEXT}",
            (slot, ANY_SLOT, *accepts),
        ).fetchone()
    return None if row is None else str(row["code_version"])


def report(settings: Settings, job: Job, progress: float, message: str) -> None:
    """How far a job is, by the worker that holds it.

    Its pace counts from where this attempt began to move: what earlier ones did before a checkpoint is not its own.
    """
    with writing(settings, lasting=False) as db:
        db.execute(
            "UPDATE jobs SET progress = ?, message = ?,"
            " attempt_ms = iif(coalesce(attempt_progress, 0) = 0, ?, attempt_ms),"
            " attempt_progress = iif(coalesce(attempt_progress, 0) = 0, ?, attempt_progress)"
            " WHERE id = ? AND worker = ? AND status = 'RUNNING'",
            (progress, message, now_ms(), progress, job.id, job.worker),
        )


def is_wanted(settings: Settings, job: Job) -> bool:
    """Whether the worker still holds the job and nobody asked for its end."""
    with reading(settings) as db:
        row = db.execute("SELECT status, worker, cancel_ms FROM jobs WHERE id = ?", (job.id,)).fetchone()
    return bool(row and row["status"] == "RUNNING" and row["worker"] == job.worker and row["cancel_ms"] is None)


def end(
    settings: Settings, job: Job, status: State, *, error: str | None = None, result: Any = None, settled: bool = True
) -> bool:
    """Set a job's last state; False when somebody else holds or ended it meanwhile.

    settled: whether MLflow already agrees; the reconciler sees to those where it does not.
    """
    with writing(settings) as db:
        changed = db.execute(
            "UPDATE jobs SET status = ?, error = ?, result = ?, settled = ?, ended_ms = ?, worker = NULL,"
            " progress = CASE WHEN ? = 'FINISHED' THEN 1.0 ELSE progress END, message = ''"
            " WHERE id = ? AND worker IS ? AND status IN ('QUEUED', 'RUNNING')",
            (status, error, json.dumps(result), settled, now_ms(), status, job.id, job.worker),
        )
        return changed.rowcount == 1


def release(settings: Settings, job: Job, *, counts: bool) -> bool:
    """Put a running job back at its place in the queue. counts: whether the attempt was one (a worker died)."""
    with writing(settings) as db:
        changed = db.execute(
            "UPDATE jobs SET status = 'QUEUED', worker = NULL, attempts = attempts - ?, message = ?"
            " WHERE id = ? AND worker = ? AND status = 'RUNNING'",
            (0 if counts else 1, "waits to go on from its checkpoint", job.id, job.worker),
        )
        return changed.rowcount == 1


def requeue(settings: Settings, run_id: str, code_version: str) -> bool:
    """Put a run that failed or was cancelled back at its place, with all its attempts; False where it is neither."""
    with writing(settings) as db:
        changed = db.execute(
            "UPDATE jobs SET status = 'QUEUED', settled = 1, attempts = 0, progress = 0, message = ?, error = NULL,"
            " result = NULL, attempt_ms = NULL, attempt_progress = NULL, cancel_ms = NULL, ended_ms = NULL,"
            " code_version = ? WHERE id = ? AND kind = 'run' AND status IN ('FAILED', 'CANCELLED')",
            ("waits to be tried again", code_version, run_id),
        )
        return changed.rowcount == 1


def request_cancel(settings: Settings, ids: Sequence[str]) -> None:
    """Waiting jobs end at once, running ones at their next batch; ended ones stay as they are."""
    with writing(settings) as db:
        for job_id in ids:
            db.execute(
                "UPDATE jobs SET status = 'CANCELLED', ended_ms = ?, settled = (kind != 'run'), message = ''"
                " WHERE id = ? AND status = 'QUEUED'",
                (now_ms(), job_id),
            )
            db.execute(
                "UPDATE jobs SET cancel_ms = ?, message = 'stopping' WHERE id = ? AND status = 'RUNNING'"
                " AND cancel_ms IS NULL",
                (now_ms(), job_id),
            )


def held(settings: Settings, job: Job) -> Job | None:
    """The job as it is now, None where its worker no longer holds it."""
    found = select(settings, "id = ? AND worker = ? AND status = 'RUNNING'", (job.id, job.worker))
    return found[0] if found else None


def unsettled(settings: Settings) -> list[Job]:
    """Ended runs of which MLflow may say something else."""
    return select(settings, "NOT settled AND status NOT IN ('QUEUED', 'RUNNING')")


def acquit(settings: Settings, run_id: str) -> None:
    """A run whose worker died after it had told MLflow that all is done has finished."""
    with writing(settings) as db:
        db.execute(
            "UPDATE jobs SET status = 'FINISHED', error = NULL, progress = 1.0"
            " WHERE id = ? AND NOT settled AND status IN ('FAILED', 'CANCELLED')",
            (run_id,),
        )


def needs_care(settings: Settings) -> bool:
    """Whether anything waits, runs, or is not settled: cheap, and takes no lock."""
    with reading(settings) as db:
        found = db.execute("SELECT 1 FROM jobs WHERE status IN ('QUEUED', 'RUNNING') OR NOT settled LIMIT 1")
        return found.fetchone() is not None


def mark_settled(settings: Settings, ids: Iterable[str]) -> None:
    """MLflow now agrees with these."""
    with writing(settings) as db:
        db.executemany("UPDATE jobs SET settled = 1 WHERE id = ?", [(i,) for i in ids])


def _job(row: sqlite3.Row) -> Job:
    values = dict(row)
    result = values["result"]
    return Job(
        **{
            **values,
            "payload": json.loads(values["payload"]),
            "settled": bool(values["settled"]),
            "result": None if result is None else json.loads(result),
        }
    )

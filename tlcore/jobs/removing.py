"""What leaves for good: questions, once nobody reads their answer any more, and the files of zips. Other jobs stay."""

import shutil

from tlcore.jobs import queue
from tlcore.jobs.database import now_ms, writing
from tlcore.settings import Settings

ZIP_MS = 24 * 3_600_000  # so long may a zip be fetched
ANSWER_MS = 7 * 24 * 3_600_000  # so long is an answer kept: a page may be open, or its address be shared, for days


def take_back(settings: Settings, job_id: str) -> bool:
    """Remove a job that no worker has taken yet; False when one has."""
    with writing(settings) as db:
        return db.execute("DELETE FROM jobs WHERE id = ? AND status = 'QUEUED'", (job_id,)).rowcount == 1


def forget(settings: Settings, job_id: str) -> None:
    """Remove a job whatever its state: a question whose answer was read, or that nobody waits for any more."""
    with writing(settings) as db:
        db.execute("DELETE FROM jobs WHERE id = ?", (job_id,))


def forget_answers(settings: Settings) -> int:
    """Remove the questions that ended more than a week ago; returns how many."""
    with writing(settings) as db:
        removed = db.execute(
            "DELETE FROM jobs WHERE kind = 'question' AND status NOT IN ('QUEUED', 'RUNNING') AND ended_ms < ?",
            (now_ms() - ANSWER_MS,),
        )
        return removed.rowcount


def forget_zips(settings: Settings) -> None:
    """Remove the zips of jobs that ended more than a day ago, or that the queue does not know."""
    made = settings.jobs / "zips"
    if not made.is_dir():
        return
    kept = queue.select(settings, "kind = 'zip' AND (ended_ms IS NULL OR ended_ms >= ?)", (now_ms() - ZIP_MS,))
    for folder in {path.name for path in made.iterdir()} - {job.id for job in kept}:
        shutil.rmtree(made / folder, ignore_errors=True)

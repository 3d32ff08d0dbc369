"""Jobs that leave the queue for good: questions, once nobody reads their answer any more. Runs and imports stay."""

from tlcore.jobs.database import now_ms, writing
from tlcore.settings import Settings

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

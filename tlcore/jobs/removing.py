"""What leaves for good: questions, once nobody reads their answer any more, zips and uploads. Other jobs stay."""

import shutil
from contextlib import suppress
from pathlib import Path

from tlcore.jobs import queue
from tlcore.jobs.database import now_ms, queue_path, writing
from tlcore.jobs.queue import Job
from tlcore.settings import Settings

ZIP_MS = 24 * 3_600_000  # so long may a zip be fetched
UPLOAD_MS = 24 * 3_600_000  # so long may an upload take until its import is queued
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


def sweep(settings: Settings) -> None:
    """Remove files that nobody fetches or imports any more; cheap where there are none."""
    forget_zips(settings)
    forget_uploads(settings)


def forget_zips(settings: Settings) -> None:
    """Remove the zips of jobs that ended more than a day ago, or that the queue does not know."""
    made = settings.jobs / "zips"
    there = _names_in(made)  # before the queue is read: what is made in between stays
    if there:
        kept = queue.select(settings, "kind = 'zip' AND (ended_ms IS NULL OR ended_ms >= ?)", (now_ms() - ZIP_MS,))
        for folder in there - {job.id for job in kept}:
            shutil.rmtree(made / folder, ignore_errors=True)


def forget_uploads(settings: Settings) -> None:
    """Remove uploads that have lain for a day and that no open import needs, as of a page that was killed."""
    uploads = settings.uploads
    there = _names_in(uploads)
    if not there:
        return
    needed = _needed_uploads(settings)
    for name in there - needed:
        path = uploads / name
        with suppress(OSError):
            if path.lstat().st_mtime * 1000 > now_ms() - UPLOAD_MS:
                continue  # it may still be written
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def clear_upload(settings: Settings, source: Path | str) -> None:
    """Remove an uploaded file whose import could not be queued; a file of another place stays.

    Raises: StorageError where the queue cannot be read; then the sweep removes the file, a day later.
    """
    uploads = settings.uploads
    file = Path(source)
    named = file.relative_to(uploads).parts[0] if file.is_relative_to(uploads) and file != uploads else None
    if named and named not in _needed_uploads(settings):
        remove_upload(uploads, file)


def remove_upload(uploads: Path, file: Path) -> None:
    """Remove a file that lies in `uploads`, or in a folder of its own there; nothing else, and no folder as such."""
    if file.parent == uploads and not file.is_dir():
        file.unlink(missing_ok=True)
    elif file.parent.parent == uploads and file.parent.name != "..":
        shutil.rmtree(file.parent, ignore_errors=True)


def _needed_uploads(settings: Settings) -> set[str]:
    """What open imports need in `uploads`, by its name there."""
    if not queue_path(settings).exists():
        return set()
    uploads = settings.uploads
    files = [Path(job.payload["path"]) for job in queue.open_jobs(settings) if job.kind == "import"]
    return {file.relative_to(uploads).parts[0] for file in files if file != uploads and file.is_relative_to(uploads)}


def _names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def zips_of(settings: Settings, dataset_id: str) -> list[Job]:
    """The jobs that made or make the zips of a dataset, in order."""
    if not queue_path(settings).exists():
        return []
    jobs = queue.select(settings, "kind = 'zip'")
    return [job for job in jobs if job.payload["dataset_id"] == dataset_id]


def zip_folder(settings: Settings, job_id: str) -> Path:
    """Where a job makes the zip of a dataset; nothing else lies there."""
    return settings.jobs / "zips" / job_id


def remove_zips(settings: Settings, dataset_id: str) -> None:
    """Remove the zips that were made of a dataset."""
    for job in zips_of(settings, dataset_id):
        shutil.rmtree(zip_folder(settings, job.id), ignore_errors=True)

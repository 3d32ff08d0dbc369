"""Datasets: add, find, show, delete. Their pictures, versions and label errors have modules of their own."""

from collections.abc import Callable
from pathlib import Path

from tlcore import jobs
from tlcore.datasets import intake, splits, store
from tlcore.datasets.dataset import DatasetInfo, LeftOut
from tlcore.datasets.intake import PublicSet
from tlcore.datasets.staging import clear_leftovers
from tlcore.errors import DatasetError, NotFoundError
from tlcore.results import JobView
from tlcore.settings import get_settings
from tlcore.spec import FIXED

__all__ = [
    "DatasetInfo", "PublicSet", "add_dataset", "cancel_import", "damaged_files", "delete_dataset", "get_dataset",
    "import_job", "is_elsewhere", "list_datasets", "open_imports", "public_sets", "require_unused", "resolve_dataset",
    "split_note", "split_sizes", "submit_import", "upload_folder",
]  # fmt: skip
MAX_NAMED = 3  # jobs in an error
Progress = Callable[[float, str], None]


def list_datasets() -> list[DatasetInfo]:
    """Every dataset of this home, newest first; what killed imports left is removed on the way."""
    settings = get_settings()
    clear_leftovers(settings.datasets)
    return store.list_datasets(settings)


def get_dataset(dataset_id: str) -> DatasetInfo:
    """A dataset by id or by its name, where only one has it. Raises: NotFoundError."""
    known = list_datasets()
    found = [d for d in known if d.id == dataset_id] or [d for d in known if d.name == dataset_id]
    if len(found) == 1:
        return found[0]
    if found:
        raise NotFoundError(
            f"{len(found)} datasets are named {dataset_id!r}: use an id: {', '.join(d.id for d in found)}"
        )
    listed = f"known are {', '.join(d.id for d in known[:5])}" if known else "there is none yet"
    raise NotFoundError(f"no dataset and no path is named {dataset_id!r}: {listed}; add one from a path that exists")


def resolve_dataset(id_or_source: str, name: str | None = None, progress: Progress | None = None) -> DatasetInfo:
    """The dataset of this id, or one made from this path, web address or public set.

    The same content gives the same dataset; a public set that was added before is not downloaded again. An id wins
    over a file or folder of that name.
    """
    for info in list_datasets():
        if info.id == id_or_source:
            return info
    if intake.is_public(id_or_source):
        source = intake.find_set(id_or_source).source
        added = [info for info in list_datasets() if info.source == source and info.parent is None]
        return _kept_name(added[-1], name) if added else add_dataset(source, name, progress)
    if intake.is_elsewhere(id_or_source):
        return add_dataset(id_or_source, name, progress)
    path = Path(id_or_source).expanduser()
    looks_like_path = path.exists() or "/" in id_or_source or "\\" in id_or_source
    return add_dataset(path, name, progress) if looks_like_path else get_dataset(id_or_source)


def require_source(id_or_source: str) -> None:
    """Nothing, where `resolve_dataset` will find something to read. Raises: what it raises where it will not."""
    if intake.is_public(id_or_source) or intake.is_elsewhere(id_or_source):
        return
    if not Path(id_or_source).expanduser().exists() and all(info.id != id_or_source for info in list_datasets()):
        resolve_dataset(id_or_source)


def _kept_name(info: DatasetInfo, name: str | None) -> DatasetInfo:
    """A dataset that is there, with a note where another name was asked for."""
    if name is None or name == info.name:
        return info
    note = f"{info.source} was added before, as {info.id}: its name and id are kept, and {name!r} was not taken."
    return info.model_copy(update={"notes": (*info.notes, note)})


def add_dataset(source: Path | str, name: str | None = None, progress: Progress | None = None) -> DatasetInfo:
    """Import a zip, tar, folder, table, web address or public set here and now. Raises: DatasetError, StorageError."""
    return intake.add_dataset(source, name, get_settings(), progress=progress)


def is_elsewhere(source: str) -> bool:
    """Whether this names a web address or a public set, and no path of this machine."""
    return intake.is_elsewhere(source)


def public_sets() -> tuple[PublicSet, ...]:
    """The sets that torchvision can bring; each is added by its `source`."""
    return intake.SETS


def damaged_files(dataset_id: str) -> tuple[LeftOut, ...]:
    """Files that are missing or no longer what was imported."""
    return store.check_dataset(dataset_id, get_settings())


def split_sizes(dataset_id: str, seed: int = 0, fraction: float = 1.0, plan: str = FIXED) -> dict[str, int]:
    """Images per part for a seed, fraction and plan. Raises: SplitError, SpecError."""
    split = splits.make_split(store.load_dataset(dataset_id, get_settings()), seed, fraction, plan)
    return {"train": len(split.train), "val": len(split.val), "test": len(split.test)}


def submit_import(source: Path | str, name: str | None, owner: str = "") -> str:
    """Import in the background; returns the job's id, to be watched with `import_job`.

    source: a path, or a web address or public set as text. Raises: DatasetError, NotFoundError for what can be told
    at once; StorageError.
    """
    settings = get_settings()
    try:
        intake.find_source(source, settings)
        return jobs.submit_import(settings, source, name, owner)
    except BaseException:
        jobs.clear_upload(settings, source)
        raise


def open_imports() -> list[JobView]:
    """Imports that wait or run, oldest first."""
    return jobs.open_imports(get_settings())


def cancel_import(job_id: str) -> None:
    """End an import; nothing of it is kept."""
    jobs.cancel(get_settings(), [job_id])


def import_job(job_id: str) -> JobView:
    """How far an import is; its `result` is the dataset's id. Raises: NotFoundError.

    Where that dataset was there before, the `message` of a finished import says so, and what it left out, line by line.
    """
    jobs.recover(get_settings())
    job = jobs.get_job(get_settings(), job_id)
    found, _, news = (job.result or "").partition("\n")
    return job.model_copy(update={"result": found, "message": news}) if news else job


def upload_folder() -> Path:
    """Where a page puts an uploaded archive for the import job, which removes it."""
    folder = get_settings().uploads
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def delete_dataset(dataset_id: str) -> None:
    """Remove a version and its caches from the disk; other versions stay, and runs made with it keep their results.

    `versions.freed_bytes` tells before how much that frees.
    Raises: NotFoundError, StorageError, DatasetError while jobs need it.
    """
    settings = get_settings()
    require_unused(dataset_id)
    store.delete_dataset(dataset_id, settings)
    jobs.remove_zips(settings, dataset_id)


def require_unused(dataset_id: str) -> None:
    """Raises: DatasetError that names the runs, new versions and zips which wait or run and need this dataset."""
    users = jobs.users_of(get_settings(), dataset_id)
    if users:
        named = ", ".join(f"{job.title} ({job.kind} {job.id})" for job in users[:MAX_NAMED])
        more = f" and {len(users) - MAX_NAMED:,} more" if len(users) > MAX_NAMED else ""
        raise DatasetError(f"{dataset_id} is still needed by {named}{more}: wait until that is over, or cancel it")


def split_note(info: DatasetInfo, plan: str = FIXED) -> str:
    """How the dataset is split, in a sentence or two. Raises: SpecError."""
    return splits.split_note(info, plan)

"""Versions of a dataset: edit one, see where it comes from, say what it is, pack it."""

import hashlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from tlcore import jobs, tracking
from tlcore.datasets import store, versions
from tlcore.datasets.dataset import PARTS, DatasetInfo
from tlcore.datasets.health import copies
from tlcore.datasets.names import part_of
from tlcore.datasets.versions import DataCard, Edit, LeaveOut, Move, Relabel, RenameClass, Version
from tlcore.errors import DatasetError, NotFoundError
from tlcore.results import JobView
from tlcore.settings import get_settings

MANY = 1_000  # comparisons that are counted at most
Progress = Callable[[float, str], None]


def derive_version(dataset_id: str, edits: Sequence[Edit], progress: Progress | None = None) -> DatasetInfo:
    """A new version made by edits, done in order; the old one and its runs stay. Its `changes` say what was done.

    Raises: NotFoundError, DatasetError for what cannot be done or changes nothing, StorageError.
    """
    return versions.derive(dataset_id, edits, get_settings(), progress)


def submit_version(dataset_id: str, edits: Sequence[Edit]) -> str:
    """Make a new version in the background; returns the job's id, to be watched with `work`.

    Raises: NotFoundError, StorageError; what is wrong with the edits is the job's error.
    """
    settings = get_settings()
    info = store.load_info(dataset_id, settings)
    return jobs.submit_version(settings, info.id, info.name, [edit.model_dump(mode="json") for edit in edits])


def submit_zip(dataset_id: str) -> str:
    """Pack a version in the background, for a browser's download; returns the job's id, to be watched with `work`.

    A zip that was made within a day, with the card as it is now, is taken again.
    Raises: NotFoundError, DatasetError beyond the upload limit, StorageError.
    """
    settings = get_settings()
    info = store.load_info(dataset_id, settings)
    if info.total_bytes > settings.max_upload_mb * 1_000_000:
        raise DatasetError(
            f"{info.id} has {info.total_bytes / 1e6:,.0f} MB, more than the {settings.max_upload_mb:,} MB that a "
            f"browser is given: run `python -m tlcore dataset export {info.id} --to FILE.zip` on this machine"
        )
    stamp = hashlib.sha256(versions.packed_card(info.name, read_card(info.id)).encode()).hexdigest()
    return jobs.submit_zip(settings, info.id, info.name, stamp)


def open_work(dataset_id: str) -> list[JobView]:
    """Versions and zips of this dataset that wait or run, oldest first."""
    return jobs.open_work(get_settings(), dataset_id)


def work(job_id: str) -> JobView:
    """How far a new version or a zip is; `result` is the new dataset's id. Raises: NotFoundError."""
    jobs.recover(get_settings())
    return jobs.get_job(get_settings(), job_id)


def cancel_work(job_id: str) -> None:
    """End the making of a version or a zip; nothing of it is kept."""
    jobs.cancel(get_settings(), [job_id])


def zip_is_there(job_id: str) -> bool:
    """Whether the zip that a job has made can still be fetched: it is kept for a day."""
    return any(jobs.zip_folder(get_settings(), job_id).glob("*.zip"))


def read_zip(job_id: str) -> bytes:
    """The zip that a job has made, in memory, as a browser's download needs it. Raises: NotFoundError."""
    settings = get_settings()
    for file in jobs.zip_folder(settings, job_id).glob("*.zip"):
        return file.read_bytes()
    raise NotFoundError("this zip is no longer there, as it is kept for a day: make it again")


def parse_edits(
    dataset_id: str,
    leave_out: Sequence[str] = (),
    move: Sequence[str] = (),
    relabel: Sequence[str] = (),
    rename_class: Sequence[str] = (),
    keep_one: bool = False,
) -> list[Edit]:
    """Edits from texts: PATH, PATH=PART, PATH=CLASS and OLD=NEW, to be done in this order.

    A path or a class may hold `=` itself: the text is cut where its left side is one that the dataset has.
    keep_one: of each group of copies and near duplicates within a class, only the first stays. Raises: DatasetError.
    """
    dataset = store.load_dataset(dataset_id, get_settings())
    paths = set(dataset.images["path"])
    out = list(dict.fromkeys([*leave_out, *(copies(dataset) if keep_one else ())]))
    edits: list[Edit] = [LeaveOut(paths=tuple(out))] if out else []
    moves = _gathered([_cut("--move", text, paths) for text in move])
    edits += [Move.model_validate({"paths": named, "part": _part(part)}) for part, named in moves.items()]
    labels = _gathered([_cut("--relabel", text, paths) for text in relabel])
    edits += [Relabel(paths=tuple(named), label=label) for label, named in labels.items()]
    classes = {*dataset.info.classes, *labels}
    renames = [_cut("--rename-class", text, classes) for text in rename_class]
    return [*edits, *(RenameClass(old=old, new=new) for old, new in renames)]


def versions_of(dataset_id: str) -> tuple[Version, ...]:
    """All versions of one origin, oldest first; `info` is None for a deleted one. Raises: NotFoundError."""
    return versions.versions_of(dataset_id, get_settings())


def num_comparisons(dataset_id: str) -> int:
    """How many comparisons were made on this version; they stay when it is deleted. Raises: StorageError."""
    return len(tracking.list_comparisons(get_settings(), limit=MANY, dataset_id=dataset_id))


def freed_bytes(dataset_id: str) -> int:
    """Bytes that the disk gets back when this version is deleted: files that no other version shares, and its zips."""
    settings = get_settings()
    return versions.freed_bytes(dataset_id, settings) + jobs.zip_bytes(settings, dataset_id)


def read_card(dataset_id: str) -> DataCard:
    """Source, licence and notes as somebody typed them; empty texts where nobody did. Raises: NotFoundError."""
    return versions.read_card(dataset_id, get_settings())


def write_card(
    dataset_id: str, source: str | None = None, licence: str | None = None, notes: str | None = None
) -> DataCard:
    """Change the fields of the card that are given; returns the whole card. Raises: NotFoundError, DatasetError."""
    given = {"source": source, "licence": licence, "notes": notes}
    changed = {name: text for name, text in given.items() if text is not None}
    return versions.change_card(dataset_id, changed, get_settings())


def export_zip(dataset_id: str, to: Path, progress: Progress | None = None) -> Path:
    """Write a version to a new zip of class folders, with labels.csv and the card; any size, with flat memory.

    Raises: NotFoundError, DatasetError for damaged files, StorageError, also where the file is there already.
    """
    return versions.pack(dataset_id, to, get_settings(), progress)


def _cut(option: str, text: str, known: Collection[str]) -> tuple[str, str]:
    """The two sides of LEFT=RIGHT, with a left side that is known where that can be. Raises: DatasetError."""
    cuts = [(text[:i], text[i + 1 :]) for i, character in enumerate(text) if character == "="]
    if not cuts:
        raise DatasetError(f"{option} {text!r} has no `=`: write what is changed, `=`, and what it becomes")
    fitting = [(left, right) for left, right in cuts if left in known]
    if len(fitting) > 1:
        raise DatasetError(f"{option} {text!r} can be read in {len(fitting)} ways: rename one of the classes first")
    return fitting[0] if fitting else cuts[-1]


def _gathered(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """Paths by what they become, in the order given."""
    found: dict[str, list[str]] = {}
    for path, value in pairs:
        found.setdefault(value, []).append(path)
    return found


def _part(name: str) -> str:
    part = part_of(name)
    if part is None:
        raise DatasetError(f"{name!r} is no part: use {', '.join(PARTS[:-1])} or {PARTS[-1]}")
    return part

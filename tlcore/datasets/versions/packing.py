"""A version as one zip: class folders, a table of labels and the card; importing it again gives the same dataset."""

import csv
import hashlib
import io
import os
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tlcore.datasets.dataset import Dataset
from tlcore.datasets.files import Progress, Stop, check_stop, never, silent
from tlcore.datasets.names import UniquePaths, is_system, part_of
from tlcore.datasets.staging import check_space, storage_errors
from tlcore.datasets.store import load_dataset
from tlcore.datasets.versions.card import CARD_FILE, DataCard, packed_card, read_card
from tlcore.errors import DatasetError, StorageError
from tlcore.settings import Settings, get_settings

TABLE = "labels.csv"
README = "README.txt"
_CHUNK = 1024 * 1024
_ENTRY_BYTES = 1_000  # room for a file's headers and its row in the table
_WHEN = (1980, 1, 1, 0, 0, 0)  # the same version makes the same bytes


def pack(
    dataset_id: str,
    to: Path,
    settings: Settings | None = None,
    progress: Progress | None = None,
    should_stop: Stop | None = None,
) -> Path:
    """Write a version to a new zip file, a piece at a time; returns its path.

    Files keep their bytes and are not compressed, as pictures hardly shrink. progress: called with 0…1 and words.
    Raises: NotFoundError, DatasetError where a file is gone or not what was imported, StorageError where `to` exists
    or cannot be written, RunCancelledError; then nothing is left behind.
    """
    settings = settings or get_settings()
    dataset, card = load_dataset(dataset_id, settings), read_card(dataset_id, settings)
    to = to.expanduser().absolute()
    _require_new(to)
    draft = to.with_name(f".{to.name[:100]}.{uuid.uuid4().hex[:8]}")
    try:
        with storage_errors(to):
            check_space(to.parent, dataset.info.total_bytes + _ENTRY_BYTES * dataset.info.num_images)
            _write(draft, dataset, card, progress or silent, should_stop or never)
        _keep(draft, to)
    finally:
        draft.unlink(missing_ok=True)
    return to


def _keep(draft: Path, to: Path) -> None:
    """Give the file its name unless another has it by now. Raises: StorageError."""
    with storage_errors(to):
        try:
            os.link(draft, to)
        except FileExistsError:
            raise _taken(to) from None
        except OSError:  # some file systems have no links: the name is taken first
            try:
                to.touch(exist_ok=False)
            except FileExistsError:
                raise _taken(to) from None
            draft.replace(to)


def _taken(to: Path) -> StorageError:
    return StorageError(f"{to} exists already: name a new file, or remove that one")


def _require_new(to: Path) -> None:
    if to.exists():
        raise _taken(to)
    if not to.parent.is_dir():
        raise StorageError(f"there is no folder {to.parent}: name a file in a folder that exists")


def _write(draft: Path, dataset: Dataset, card: DataCard, tell: Progress, should_stop: Stop) -> None:
    images = dataset.images.sort_values("path")
    members = _members(images["path"].tolist(), dataset.info.given != "none")
    columns = images["path"], images["sha256"], members
    with zipfile.ZipFile(draft, "x", zipfile.ZIP_STORED) as archive:
        archive.writestr(_entry(README), _readme(dataset, card))
        archive.writestr(_entry(CARD_FILE), packed_card(dataset.info.name, card))
        labels = [dataset.info.classes[label] for label in images["label"]]
        archive.writestr(_entry(TABLE), _table(members, labels, images["part"].tolist()))
        for done, (path, sha256, member) in enumerate(zip(*columns, strict=True)):
            check_stop(should_stop)
            if done % 20 == 0:
                tell(done / len(members), f"Packed {done:,} of {len(members):,} images")
            _add(archive, member, dataset, path, sha256)


def _add(archive: zipfile.ZipFile, member: str, dataset: Dataset, path: str, sha256: str) -> None:
    """Raises: DatasetError where the file is not what the dataset says."""
    digest = hashlib.sha256()
    remedy = f"see `python -m tlcore dataset check {dataset.info.id}`, and leave it out or import the images again"
    try:
        with (dataset.root / path).open("rb") as source:
            entry = _entry(member)
            entry.file_size = os.fstat(source.fileno()).st_size  # tells the archive whether it needs 64 bits
            with archive.open(entry, "w") as target:
                while chunk := source.read(_CHUNK):
                    digest.update(chunk)
                    target.write(chunk)
    except FileNotFoundError as error:
        raise DatasetError(f"{path} of {dataset.info.id} is gone: {remedy}") from error
    if digest.hexdigest() != sha256:
        raise DatasetError(f"{path} of {dataset.info.id} has changed since it was imported: {remedy}")


def _members(paths: Sequence[str], given: bool) -> list[str]:
    """Names in the archive: the paths, but for parts of them that an import would take for leftovers of a system."""
    names = UniquePaths()
    return [names.take(_plain(part, given) for part in path.split("/")) for path in paths]


def _plain(name: str, given: bool) -> str:
    """A folder's name that an import takes for no more than it is."""
    return f"_{name}" if is_system(name) or (not given and part_of(name)) else name


def _table(members: Sequence[str], labels: Sequence[str], parts: Sequence[str]) -> str:
    """path, label and, where the dataset brings parts, split."""
    given = any(parts)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["path", "label", *(["split"] if given else [])])
    rows = zip(members, labels, parts, strict=True)
    writer.writerows([member, label, *([part] if given else [])] for member, label, part in rows)
    return out.getvalue()


def _readme(dataset: Dataset, card: DataCard) -> str:
    return "\n".join(_lines(dataset, card)) + "\n"


def _lines(dataset: Dataset, card: DataCard) -> Iterator[str]:
    info = dataset.info
    yield "Images packed by Transfer Lab"  # a fixed first line, which no import takes for the heading of a table
    yield ""
    yield f"Name: {info.name}"
    yield f"Version: {info.version}" + (f", made from {info.parent}" if info.parent else "")
    yield f"Images: {info.num_images:,} in {len(info.classes):,} classes"
    yield f"Fingerprint: {info.fingerprint}"
    yield f"Labels: {TABLE}"
    for title, text in (("Source", card.source), ("Licence", card.licence), ("Notes", card.notes)):
        yield ""
        yield f"{title}: {text or 'not said'}"
    if info.changes:
        yield ""
        yield "What was changed:"
        yield from (f"- {change}" for change in info.changes)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _WHEN)
    entry.external_attr = 0o644 << 16
    return entry

"""The datasets of this home: list, open, look at, check and delete them."""

import difflib
import hashlib
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from tlcore.datasets.dataset import Dataset, DatasetInfo, LeftOut
from tlcore.datasets.pictures.inspector import thumbnail_path
from tlcore.datasets.staging import datasets_lock, remove_dataset_folder, storage_errors
from tlcore.errors import DatasetError, NotFoundError
from tlcore.settings import Settings, get_settings

GALLERY_COLUMNS = ("path", "label", "part", "sha256", "width", "height")  # what `find_rows` and `gallery` need
CACHE_KINDS = ("images", "features")
CACHE_KEY_LENGTH = 16  # a cache folder's name starts with this much of the dataset's fingerprint
_ID = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True)
class GalleryRow:
    """One image of a gallery. row: its number in `Dataset.images`. thumbnail: a JPEG of at most 160 px."""

    row: int
    path: str
    label: str
    part: str
    width: int
    height: int
    thumbnail: Path


def list_datasets(settings: Settings | None = None) -> list[DatasetInfo]:
    """Every dataset of this home, newest first. Raises: DatasetError for one whose description is damaged."""
    folder = (settings or get_settings()).datasets
    if not folder.is_dir():
        return []
    found = []
    for path in folder.glob("*/dataset.json"):
        if _ID.fullmatch(path.parent.name):
            with suppress(FileNotFoundError):  # deleted by somebody since the folder was listed
                found.append(_read_info(path))
    return sorted(found, key=lambda info: (-info.created_ms, info.id))


def load_info(dataset_id: str, settings: Settings | None = None) -> DatasetInfo:
    """What is known of a dataset. Raises: NotFoundError naming the nearest ids, DatasetError."""
    settings = settings or get_settings()
    try:
        return _read_info(dataset_folder(dataset_id, settings) / "dataset.json")
    except FileNotFoundError:  # deleted since the line before
        raise _unknown(dataset_id, settings) from None


def load_dataset(dataset_id: str, settings: Settings | None = None, columns: Sequence[str] | None = None) -> Dataset:
    """A dataset with its table of images: whole, or these columns of it. Raises: NotFoundError, DatasetError."""
    settings = settings or get_settings()
    info, folder = load_info(dataset_id, settings), settings.datasets / dataset_id
    try:
        return Dataset(info, _read_images(folder, columns), folder / "files")
    except DatasetError:
        dataset_folder(dataset_id, settings)  # not damaged but deleted
        raise


def dataset_folder(dataset_id: str, settings: Settings) -> Path:
    """Where a dataset is. Raises: NotFoundError naming the nearest ids."""
    folder = settings.datasets / dataset_id
    if _ID.fullmatch(dataset_id) and (folder / "dataset.json").is_file():
        return folder
    raise _unknown(dataset_id, settings)


def delete_dataset(dataset_id: str, settings: Settings | None = None) -> None:
    """Remove a dataset and what was cached of it, unless another dataset has the same content.

    Other versions stay whole: the bytes of a file that they share go with the last of them.
    Raises: NotFoundError, StorageError.
    """
    settings = settings or get_settings()
    info, folder = load_info(dataset_id, settings), dataset_folder(dataset_id, settings)
    with storage_errors(folder):
        try:
            remove_dataset_folder(folder, lambda: _remove_caches(info, settings))
        except FileNotFoundError:  # somebody else was faster
            raise _unknown(dataset_id, settings) from None


def _remove_caches(info: DatasetInfo, settings: Settings) -> None:
    for cached in caches_of(info, settings):
        shutil.rmtree(cached) if cached.is_dir() else cached.unlink(missing_ok=True)


def caches_of(info: DatasetInfo, settings: Settings) -> list[Path]:
    """Files and folders that were cached of a dataset; none while another dataset of its content needs them."""
    others = (other for other in list_datasets(settings) if other.id != info.id)
    if any(other.fingerprint == info.fingerprint for other in others):
        return []
    start = f"{info.fingerprint[:CACHE_KEY_LENGTH]}-*"
    names = start, f".{start}"  # the second: what a killed process was making
    return [cached for kind in CACHE_KINDS for name in names for cached in (settings.cache / kind).glob(name)]


def check_dataset(dataset_id: str, settings: Settings | None = None) -> tuple[LeftOut, ...]:
    """Files that are missing or no longer what was imported; empty if all is well. Raises: NotFoundError."""
    dataset = load_dataset(dataset_id, settings)
    problems = []
    for path, sha256 in zip(dataset.images["path"], dataset.images["sha256"], strict=True):
        if not (dataset.root / path).is_file():
            problems.append(LeftOut(path=path, reason="missing"))
        elif _hash(dataset.root / path) != sha256:
            problems.append(LeftOut(path=path, reason="changed since it was imported"))
    return tuple(problems)


def find_rows(dataset: Dataset, label: int | None = None, part: str | None = None, search: str = "") -> list[int]:
    """Row numbers in the order of the paths: of one class (its index), of one given part, with `search` in the path."""
    images = dataset.images
    chosen = pd.Series(True, index=images.index)
    if label is not None:
        chosen &= images["label"] == label
    if part is not None:
        chosen &= images["part"] == part
    if search:
        chosen &= images["path"].str.contains(search, case=False, regex=False)
    return [int(row) for row in images["path"][chosen].sort_values().index]


def gallery(dataset: Dataset, rows: Sequence[int]) -> list[GalleryRow]:
    """What a gallery shows of these rows, in their order."""
    return [
        GalleryRow(
            row=int(image.Index),
            path=str(image.path),
            label=dataset.info.classes[int(image.label)],
            part=str(image.part),
            width=int(image.width),
            height=int(image.height),
            thumbnail=thumbnail_path(dataset.root.parent / "thumbnails", str(image.sha256)),
        )
        for image in dataset.images.loc[list(rows)].itertuples()
    ]


def land(dataset: Dataset, folder: Path, settings: Settings) -> DatasetInfo:
    """Make a finished folder of files and thumbnails a dataset, in one rename; the same content again is not kept.

    Then the dataset that is there is returned, with what this import left out and a note.
    The id gets a number where another dataset has it: equal content with other parts. Raises: OSError.
    """
    with datasets_lock(settings.datasets):
        for info in list_datasets(settings):
            if _comparable(dataset.info, info) and _same(dataset, info, settings):
                note = f"This is the content of {info.id}, added before: its name and id are kept."
                return info.model_copy(update={"left_out": dataset.info.left_out, "notes": (*dataset.info.notes, note)})
        taken = {path.name for path in settings.datasets.iterdir()}
        ids = (f"{dataset.info.id}-{number}" if number > 1 else dataset.info.id for number in range(1, len(taken) + 2))
        info = dataset.info.model_copy(update={"id": next(id_ for id_ in ids if id_ not in taken)})
        (folder / "dataset.json").write_text(info.model_dump_json(indent=1), encoding="utf-8")
        dataset.images.to_parquet(folder / "images.parquet", index=False)
        folder.rename(settings.datasets / info.id)
    return info


def _comparable(new: DatasetInfo, there: DatasetInfo) -> bool:
    """Whether equal content makes the two one: any import, but of a derived version only one of the same origin."""
    family = {new.parent, *new.ancestors} & {there.id, *there.ancestors}
    return new.fingerprint == there.fingerprint and (new.parent is None or bool(family))


def _same(dataset: Dataset, info: DatasetInfo, settings: Settings) -> bool:
    """Whether the stored dataset has the same images in the same parts, whatever the files are called."""
    key = ["label", "sha256", "part"]
    stored = _read_images(settings.datasets / info.id, key)
    return bool(sorted(map(tuple, stored[key].values)) == sorted(map(tuple, dataset.images[key].values)))


def _unknown(dataset_id: str, settings: Settings) -> NotFoundError:
    known = [info.id for info in list_datasets(settings)]
    near = difflib.get_close_matches(dataset_id, known, n=3, cutoff=0.4) or known[:3]
    remedy = f"did you mean {' or '.join(near)}?" if near else "add one with `python -m tlcore dataset add PATH`"
    return NotFoundError(f"there is no dataset {dataset_id!r}: {remedy}")


def _read_info(path: Path) -> DatasetInfo:
    try:
        return DatasetInfo.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} is damaged: remove the folder {path.parent} and import the images again") from error


def _read_images(folder: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    try:
        return pd.read_parquet(folder / "images.parquet", columns=None if columns is None else list(columns))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{folder / 'images.parquet'} is damaged or gone: import the images again") from error


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""A new version of a dataset from edits of an old one, which stays as it is: its files are shared, not copied."""

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from tlcore.datasets.dataset import Dataset, DatasetInfo, LeftOut
from tlcore.datasets.describing import facts_of, gaps, in_order, lasting
from tlcore.datasets.duplicates import comparing, near_groups
from tlcore.datasets.files import Progress, Stop, check_stop, never, silent, stage
from tlcore.datasets.names import slug
from tlcore.datasets.pictures.inspector import thumbnail_path
from tlcore.datasets.staging import place_file, staging
from tlcore.datasets.store import dataset_folder, land, load_dataset
from tlcore.datasets.versions.applying import Edited, edited
from tlcore.datasets.versions.card import put_card, read_card
from tlcore.datasets.versions.edits import Edit
from tlcore.datasets.versions.lineage import versions_of
from tlcore.errors import DatasetError
from tlcore.settings import Settings, get_settings

_COMPARED = 0.4  # the part that is done when near duplicates are found
_CANNOT_LINK = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}


def derive(
    dataset_id: str,
    edits: Sequence[Edit],
    settings: Settings | None = None,
    progress: Progress | None = None,
    should_stop: Stop | None = None,
) -> DatasetInfo:
    """A new version without or with other classes and parts for some images; the old one and its runs stay.

    Its files are hard links to the old ones where the disk can, else copies. Where a dataset of the same content is
    there already, that one is returned, with a note. progress: called with 0…1 and a few words.
    Raises: NotFoundError (also where the version is deleted meanwhile), DatasetError for unknown paths, classes and
    parts and for edits that change nothing or leave a single class, StorageError, RunCancelledError; then
    nothing is left behind.
    """
    settings = settings or get_settings()
    parent = load_dataset(dataset_id, settings)
    card = read_card(dataset_id, settings)
    changed = edited(parent, edits)
    tell, stop = progress or silent, should_stop or never
    images = in_order(_grouped(changed.images, comparing(stage(tell, 0.0, _COMPARED), stop)))
    with staging(settings.datasets) as place:
        folder = place / "dataset"
        try:
            dataset = _described(parent, changed, images, folder, _next_version(parent, settings))
            _require_change(parent, dataset)
            _place(parent, images, folder, stage(tell, _COMPARED, 1.0), stop)
        except FileNotFoundError as error:
            dataset_folder(dataset_id, settings)  # says so where the whole version is gone
            raise DatasetError(
                f"{error.filename} is gone: see what else with `python -m tlcore dataset check {dataset_id}`, and "
                "leave it out or import the images again"
            ) from error
        put_card(folder, card)
        return land(dataset, folder, settings)


def _grouped(images: pd.DataFrame, look_up: Callable[[float], None]) -> pd.DataFrame:
    """Rows in the groups of what is left."""
    if "phash" in images:
        return images.assign(group=near_groups(images, look_up))
    if "group" in images:
        return images.assign(group=images.groupby("group")["sha256"].transform("min"))
    return images


def _next_version(parent: Dataset, settings: Settings) -> int:
    return 1 + max(version.version for version in versions_of(parent.info.id, settings))


def _described(parent: Dataset, changed: Edited, images: pd.DataFrame, folder: Path, version: int) -> Dataset:
    old = parent.info
    classes = tuple(sorted(set(images["class"])))
    if len(classes) < 2:
        left = f"the class {classes[0]!r} alone" if classes else "no image"
        raise DatasetError(f"these edits leave {left} of {old.id}: at least two classes are needed")
    base = old.name.removesuffix(f" v{old.version}") if old.version > 1 else old.name
    facts = facts_of(
        images, f"{slug(base)}-v{version}", [LeftOut(path=p, reason=f"left out of {old.id}") for p in changed.left_out]
    )
    info = DatasetInfo(
        **facts,
        name=f"{base} v{version}",
        total_bytes=_num_bytes(parent, images),
        source=old.source,
        notes=(*lasting(old.notes), *gaps(images)),
        parent=old.id,
        version=version,
        changes=changed.changes,
        ancestors=(*old.ancestors, old.id),
    )
    return Dataset(info, images[list(parent.images.columns)], folder / "files")


def _num_bytes(parent: Dataset, images: pd.DataFrame) -> int:
    if "num_bytes" in images:
        return int(images["num_bytes"].sum())
    return sum((parent.root / path).stat().st_size for path in images["old_path"])


def _require_change(parent: Dataset, dataset: Dataset) -> None:
    key = ["label", "sha256", "part"]
    same = dataset.info.fingerprint == parent.info.fingerprint
    if same and sorted(map(tuple, dataset.images[key].values)) == sorted(map(tuple, parent.images[key].values)):
        raise DatasetError(f"these edits change nothing in {parent.info.id}: no new version was made")


def _place(parent: Dataset, images: pd.DataFrame, folder: Path, tell: Progress, should_stop: Stop) -> None:
    """Link every file and thumbnail into the new folder. Raises: OSError, RunCancelledError."""
    old, new = parent.root.parent / "thumbnails", folder / "thumbnails"
    thumbnails = [(thumbnail_path(old, sha), thumbnail_path(new, sha)) for sha in sorted(set(images["sha256"]))]
    columns = images["old_path"], images["path"]
    files = [(parent.root / before, folder / "files" / after) for before, after in zip(*columns, strict=True)]
    made: set[Path] = set()
    for done, (before, after) in enumerate(files + thumbnails):
        if done % 100 == 0:
            check_stop(should_stop)
            tell(done / (len(files) + len(thumbnails)), f"Placed {min(done, len(files)):,} of {len(files):,} images")
        if after.parent not in made:
            after.parent.mkdir(parents=True, exist_ok=True)
            made.add(after.parent)
        _link(before, after)


def _link(source: Path, target: Path) -> None:
    """One file under a second name; a copy where the disk has no links or no more of them. Raises: OSError."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        place_file(source, target, move=False)

"""Where images come from: a path of this machine, a web address, or a public set; all end as a path."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tlcore.datasets.files import Limits, Progress, Stop, stage
from tlcore.datasets.intake.addresses import checked_address, is_address, shown
from tlcore.datasets.intake.archives import kind_of
from tlcore.datasets.intake.asking import ask_torch
from tlcore.datasets.intake.download import Download, download
from tlcore.datasets.intake.public_sets import PublicSet, find_set, is_public
from tlcore.datasets.intake.tables import SUFFIXES
from tlcore.datasets.staging import check_space
from tlcore.errors import DatasetError
from tlcore.settings import Settings

_ARCHIVES = (".zip", ".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tbz2", ".txz", ".tar")
_DOWNLOADING, _WRITING = 0.4, 0.6  # of all that is to do, where a file or a public set is brought first
_LARGER = 2.2  # times a download: what it and its unpacked files take together


@dataclass(frozen=True)
class Source:
    """What a dataset is made from. place: where it is on this disk. told: how people named it. name: the dataset's.

    ours: whether it was brought here for this import alone. notes: for people. share: of the whole work that is done.
    """

    place: Path
    told: str
    name: str
    ours: bool = False
    notes: tuple[str, ...] = ()
    share: float = 0.0


Bring = Callable[[Path, Limits, Progress, Stop], Source]


def is_elsewhere(source: str) -> bool:
    """Whether this names a web address or a public set, and no path of this machine."""
    return is_address(source.strip()) or is_public(source.strip())


def find_source(source: Path | str, settings: Settings) -> Bring:
    """How to bring this source into a folder; whatever can be checked before is checked now. Raises: DatasetError."""
    text = str(source).strip()
    if isinstance(source, str) and is_address(text):
        address = checked_address(text)
        return lambda folder, limits, tell, stop: _bring_address(address, settings, folder, limits, tell, stop)
    if isinstance(source, str) and is_public(text):
        entry = find_set(text)
        return lambda folder, limits, tell, stop: _bring_set(entry, settings, folder, limits, tell, stop)
    path = _existing(Path(source), settings)
    return lambda folder, limits, tell, stop: Source(path, str(path), _name_of(path))


def _existing(source: Path, settings: Settings) -> Path:
    source = source.expanduser().absolute()
    try:
        exists = source.exists()
    except OSError as error:
        raise DatasetError(f"there is nothing at {str(source)[:200]} ({error.strerror}): check the path") from error
    if not exists:
        raise DatasetError(f"there is no file or folder {source}: check the path")
    if not source.is_dir() and not source.is_file():
        raise DatasetError(f"{source} is neither a file nor a folder: give a zip, tar, CSV or folder")
    if not os.access(source, os.R_OK):
        raise DatasetError(f"{source} cannot be opened (permission denied): let this user read it")
    source = source.resolve()
    if settings.root.is_relative_to(source):
        raise DatasetError(f"{source} holds Transfer Lab's own {settings.root}: give the folder of the images alone")
    if source.is_relative_to(settings.root) and not source.is_relative_to(settings.uploads):
        # To read a database that this process has open would take its locks on it away, and so break it for others.
        raise DatasetError(f"{source} lies in Transfer Lab's own {settings.root}: move the images elsewhere")
    return source


def _bring_address(
    address: str, settings: Settings, folder: Path, limits: Limits, tell: Progress, should_stop: Stop
) -> Source:
    brought = folder / "brought"
    brought.mkdir()
    ask = Download(
        limits.num_bytes,
        stage(tell, 0.0, _DOWNLOADING),
        should_stop,
        accepts=lambda head: kind_of(head) is not None,
        local=settings.allow_local_addresses,
    )
    place = download(address, brought, ask)
    return Source(place, shown(address), _name_of(place), ours=True, share=_DOWNLOADING)


def _bring_set(
    entry: PublicSet, settings: Settings, folder: Path, limits: Limits, tell: Progress, should_stop: Stop
) -> Source:
    _check_set(entry, limits)
    check_space(folder, int(_LARGER * entry.download_mb * 1e6))
    target, root = folder / "brought", folder / "torchvision"
    request = {"question": "public_set", "name": entry.name, "target": str(target), "root": str(root),
               "given": str(settings.public_sets), "max_bytes": limits.num_bytes}  # fmt: skip
    tell(0.0, f"Asking torchvision for {entry.name}")
    answer = ask_torch(request, folder / "torchvision.log", stage(tell, 0.0, _WRITING), should_stop)
    shutil.rmtree(root, ignore_errors=True)
    note = f"{entry.name} as torchvision {answer['version']} brings it. Licence: {entry.licence}."
    return Source(target, entry.source, entry.name, ours=True, notes=(note,), share=_WRITING)


def _check_set(entry: PublicSet, limits: Limits) -> None:
    if entry.num_images > limits.num_files:
        raise DatasetError(
            f"{entry.name} has {entry.num_images:,} images, more than {limits.num_files:,}: raise the limit with the "
            "environment's TLCORE_MAX_DATASET_FILES"
        )
    if entry.download_mb * 1e6 > limits.num_bytes:
        raise DatasetError(
            f"{entry.name} has {entry.download_mb / 1e3:g} GB, more than {limits.num_bytes / 1e9:g}: raise the limit "
            "with the environment's TLCORE_MAX_DATASET_GB"
        )


def _name_of(source: Path) -> str:
    name = source.name
    for suffix in (*_ARCHIVES, *SUFFIXES):
        if source.is_file() and name.lower().endswith(suffix):
            return name[: -len(suffix)] or name
    return name

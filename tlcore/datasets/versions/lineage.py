"""Which versions come from which, and what the disk gets back when one of them goes."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tlcore.datasets.dataset import DatasetInfo
from tlcore.datasets.store import caches_of, dataset_folder, list_datasets, load_info
from tlcore.results import Value
from tlcore.settings import Settings, get_settings


class Version(Value):
    """One version of a dataset. info: None for one that was deleted, of which only the id is known."""

    id: str
    version: int
    parent: str | None
    info: DatasetInfo | None


def versions_of(dataset_id: str, settings: Settings | None = None) -> tuple[Version, ...]:
    """All versions that this one is related to: where it comes from, what was made of it, and of the same origin.

    Oldest first: by version, then by when it was made, so a parent stands before its children. Deleted versions are
    known as far as others come from them. Raises: NotFoundError.
    """
    settings = settings or get_settings()
    wanted = load_info(dataset_id, settings)
    known = {info.id: info for info in list_datasets(settings)} | {wanted.id: wanted}
    related = _related(wanted, known)
    there = {id_: _there(known[id_]) for id_ in related if id_ in known}
    gone = {v.id: v for info in known.values() if info.id in related for v in _chain(info) if v.id not in there}
    made = {id_: known[id_].created_ms if id_ in known else 0 for id_ in related}
    return tuple(sorted((there | gone).values(), key=lambda v: (v.version, made[v.id], v.id)))


def freed_bytes(dataset_id: str, settings: Settings | None = None) -> int:
    """Bytes that the disk gets back when this version is deleted: files that no other version shares, and caches.

    Raises: NotFoundError.
    """
    settings = settings or get_settings()
    info = load_info(dataset_id, settings)
    folders = [dataset_folder(dataset_id, settings), *caches_of(info, settings)]
    links: Counter[tuple[int, int]] = Counter()
    found: dict[tuple[int, int], os.stat_result] = {}
    for folder in folders:
        for stat in _stats(folder):
            key = stat.st_dev, stat.st_ino
            links[key] += 1
            found[key] = stat
    return sum(stat.st_size for key, stat in found.items() if stat.st_nlink <= links[key])


def _related(wanted: DatasetInfo, known: dict[str, DatasetInfo]) -> set[str]:
    """Ids of one family: whoever shares an ancestor, as far back as anybody remembers."""
    families = [{info.id, *info.ancestors} for info in known.values()]
    related = {wanted.id, *wanted.ancestors}
    while more := [family for family in families if family & related and not family <= related]:
        related |= set().union(*more)
    return related


def _there(info: DatasetInfo) -> Version:
    return Version(id=info.id, version=info.version, parent=info.parent, info=info)


def _chain(info: DatasetInfo) -> Iterator[Version]:
    """The ancestors as versions of which nothing is known but the id."""
    for place, id_ in enumerate(info.ancestors):
        yield Version(id=id_, version=place + 1, parent=info.ancestors[place - 1] if place else None, info=None)


def _stats(path: Path | str) -> Iterator[os.stat_result]:
    """Of every file below, or of this one; what vanishes meanwhile is passed over."""
    try:
        with os.scandir(path) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    yield from _stats(entry.path)
                else:
                    with suppress(FileNotFoundError):
                        yield entry.stat(follow_symlinks=False)
    except NotADirectoryError:
        yield os.lstat(path)
    except FileNotFoundError:
        return

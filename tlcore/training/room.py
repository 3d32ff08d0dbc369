"""Room on disk for what is made once and can be made again: decoded images and stored features.

Both lie in folders of their own below the home's `cache`, each with a lock file beside it. Each is made in a folder
beside its place and renamed, once the disk has all of it. Together they take at most `TLCORE_MAX_CACHE_GB`, or what the
run of each process needs where that is more; what was used longest ago goes first.
"""

import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from tlcore.datasets.store import CACHE_KINDS
from tlcore.errors import StorageError
from tlcore.settings import get_settings

T = TypeVar("T")
_MAKING, _REMOVED = ".making", ".removed"
_used: set[Path] | None = None  # folders that the run of this process uses; None outside of one
_log = logging.getLogger(__name__)


def lock_of(folder: Path) -> FileLock:
    """To be held while a folder is made, opened or removed."""
    return FileLock(f"{folder}.lock")


@contextmanager
def used_stays() -> Iterator[None]:
    """Inside it, this process removes nothing that it used: a run's images must not go for its own features."""
    global _used  # noqa: PLW0603
    _used = set()
    try:
        yield
    finally:
        _used = None


def use(folder: Path) -> None:
    """Note that a folder is used now."""
    os.utime(folder)
    if _used is not None:
        _used.add(folder)


def opened(folder: Path, read: Callable[[Path], T]) -> T | None:
    """What a folder holds; None where there is none, or where it was damaged, and was removed. Its lock is held."""
    if not folder.exists():
        return None
    try:
        return read(folder)
    except (ValueError, EOFError, KeyError, FileNotFoundError) as damage:
        _log.warning("%s is damaged and is made again: %s", folder, damage)
        shutil.rmtree(folder)
        return None


def begin(folder: Path) -> Path:
    """A new folder beside the place of one, to make it in; what a killed maker left there goes. Its lock is held."""
    staging = folder.with_name(f".{folder.name}{_MAKING}")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    return staging


def finish(staging: Path, folder: Path) -> None:
    """Put in its place what was made, once the disk has it, so that no crash leaves half of it there."""
    for file in staging.iterdir():
        with file.open("rb+") as written:
            os.fsync(written.fileno())
    staging.rename(folder)


def allocate(path: Path, needed: int, what: str, remedy: str) -> None:
    """Give a file all its blocks: a disk that fills up later would kill whoever writes to a mapping of it.

    needed: bytes of all that is being made. what, remedy: for people. Raises: StorageError.
    """
    try:
        with path.open("r+b") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            elif shutil.disk_usage(path).free < needed:
                raise OSError(errno.ENOSPC, "no space left")
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise
        free = shutil.disk_usage(path).free
        raise StorageError(
            f"the disk is full: {what} need {needed / 1e6:,.0f} MB in {path.parent.parent}, and {free / 1e6:,.0f} MB "
            f"are free: {remedy}"
        ) from error


def make_room(cache_dir: Path, needed: int) -> None:
    """Remove folders until so many bytes more stay within the limit, or nothing is left that can go.

    A folder whose lock is held stays. Files that a run has mapped are read on after that, on systems that allow it;
    others keep the folder.
    """
    with FileLock(cache_dir / "room.lock"):  # else one would measure what another removes
        _make_room(cache_dir, needed)


def _make_room(cache_dir: Path, needed: int) -> None:
    for leftover in cache_dir.glob(f"*/.*{_REMOVED}"):  # of a process that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    kinds = [cache_dir / kind for kind in CACHE_KINDS]
    being_made = sum(_left_by_a_maker(staging) for kind in kinds for staging in kind.glob(f".*{_MAKING}"))
    found = {folder: measured for kind in kinds for folder in kind.glob("[!.]*/") if (measured := _measured(folder))}
    total = being_made + needed + sum(size for _, size in found.values())
    limit = get_settings().max_cache_gb * 1e9
    for folder, (_, size) in sorted(found.items(), key=lambda item: item[1]):
        if total <= limit:
            return
        if folder not in (_used or ()) and _remove(folder):
            _log.info("removed %s, which was used longest ago, as caches take at most %g GB", folder, limit / 1e9)
            total -= size
    if total > limit and _used is not None:
        _log.warning(
            "decoded images and features of the runs that use them now take %.2f GB, more than the %g GB that "
            "caches may take, so that nothing else is kept: raise TLCORE_MAX_CACHE_GB to keep more",
            total / 1e9,
            limit / 1e9,
        )


def _left_by_a_maker(staging: Path) -> int:
    """Remove what a killed process was making; the bytes of what somebody is making now."""
    try:
        with lock_of(staging.with_name(staging.name.removeprefix(".").removesuffix(_MAKING))).acquire(timeout=0):
            shutil.rmtree(staging, ignore_errors=True)
            return 0
    except Timeout:
        return (_measured(staging) or (0.0, 0))[1]


def _remove(folder: Path) -> bool:
    """Whether the folder could be removed. It is renamed first, so that a crash leaves no half of it."""
    try:
        with lock_of(folder).acquire(timeout=0):
            shutil.rmtree(folder.rename(folder.with_name(f".{folder.name}{_REMOVED}")))
    except (Timeout, OSError) as reason:
        _log.info("%s stays: %s", folder, reason)
        return False
    return True


def _measured(folder: Path) -> tuple[float, int] | None:
    """When a folder was last used, and the bytes in it; None where somebody removes it."""
    try:
        return folder.stat().st_mtime, sum(file.stat().st_size for file in folder.iterdir())
    except FileNotFoundError:
        return None

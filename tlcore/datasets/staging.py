"""A place where an import grows, which either becomes a dataset or leaves nothing behind."""

import errno
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from tlcore.errors import DatasetError, StorageError

_PREFIX = ".staging-"
_CHUNK = 1024 * 1024
_STORAGE_ERRORS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EIO: "the disk reports an error",
    errno.EMFILE: "too many files are open",
}


@contextmanager
def staging(datasets: Path) -> Iterator[Path]:
    """A new folder beside the datasets, removed at the end whatever happens; leftovers of dead imports go first.

    An import that lives holds a lock on a file beside its folder, so a leftover is known by its free lock.
    Raises: StorageError when the disk is full or cannot be written.
    """
    with storage_errors(datasets):
        datasets.mkdir(parents=True, exist_ok=True)
        folder = datasets / f"{_PREFIX}{uuid.uuid4().hex[:12]}"
        alive = FileLock(_lock_of(folder))
        with datasets_lock(datasets):
            remove_leftovers(datasets)
            alive.acquire()
            folder.mkdir()
        try:
            yield folder
        finally:
            _discard(folder, alive)


def remove_leftovers(datasets: Path) -> None:
    """Remove what crashed imports and deletions left. Call with `datasets_lock` held."""
    for name in {path.name.removesuffix(".lock") for path in datasets.glob(f"{_PREFIX}*")}:
        folder = datasets / name
        lock = FileLock(_lock_of(folder))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        with suppress(OSError):  # a child of the dead import may still write there: the next look finds the rest
            _discard(folder, lock)
        lock.release()


def clear_leftovers(datasets: Path) -> None:
    """Remove them, unless somebody else is at it or the disk does not allow it: for those who only look."""
    if not any(datasets.glob(f"{_PREFIX}*")):
        return
    lock = datasets_lock(datasets)
    with suppress(OSError), lock.acquire(timeout=0):  # a Timeout is an OSError
        remove_leftovers(datasets)


def remove_dataset_folder(folder: Path, while_locked: Callable[[], None] = lambda: None) -> None:
    """Make a dataset vanish at once, then free its disk space; a crash in between leaves a leftover.

    while_locked: what else goes, before a dataset of the same content can land.
    Raises: OSError; FileNotFoundError where it is gone already.
    """
    with datasets_lock(folder.parent):
        grave = folder.parent / f"{_PREFIX}{uuid.uuid4().hex[:12]}"
        lock = FileLock(_lock_of(grave))
        lock.acquire()
        try:
            folder.rename(grave)
        except OSError:
            _discard(grave, lock)
            raise
        while_locked()
    _discard(grave, lock)


def datasets_lock(datasets: Path) -> FileLock:
    """Held while folders appear or vanish below `datasets`."""
    return FileLock(datasets / ".lock")


@contextmanager
def storage_errors(place: Path) -> Iterator[None]:
    """Turn an error of the disk into a StorageError that names the place."""
    try:
        yield
    except OSError as error:
        if error.errno not in _STORAGE_ERRORS:
            raise
        words = _STORAGE_ERRORS[error.errno]
        raise StorageError(
            f"{words} ({error.filename or place}): nothing was kept; free some space or set TLCORE_HOME elsewhere"
        ) from error


@contextmanager
def unchanging(source: str) -> Iterator[None]:
    """What vanishes while it is read becomes a DatasetError."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise DatasetError(
            f"{error.filename or source} changed during the import ({error.strerror}): import it again"
        ) from error


def check_space(place: Path, num_bytes: int) -> None:
    """Raises: StorageError when this many bytes cannot fit."""
    free = shutil.disk_usage(place).free
    if num_bytes > free:
        raise StorageError(
            f"{num_bytes / 1e9:.2f} GB are needed but {place} has {free / 1e9:.2f} GB free: "
            "free some space or set TLCORE_HOME elsewhere"
        )


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _discard(folder: Path, lock: FileLock) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    _lock_of(folder).unlink(missing_ok=True)
    lock.release()


def place_file(source: Path, target: Path, move: bool, root: Path | None = None) -> None:
    """Move an unpacked file, or copy one that stays where it is, never through a link.

    root: the folder below which no folder may be a link either; default: the file's own. No more is copied than there
    was at first, however it grows. Raises: DatasetError for a file that is gone or no plain file any more, OSError.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if move:
        source.rename(target)
        return
    try:
        descriptor = _open_below(root or source.parent, source)
    except OSError as error:
        raise DatasetError(f"{source} changed during the import ({error.strerror}): import again") from error
    with os.fdopen(descriptor, "rb") as reading, target.open("xb") as writing:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise DatasetError(f"{source} changed during the import (no plain file any more): import again")
        left = found.st_size
        while left > 0 and (chunk := reading.read(min(left, _CHUNK))):
            left -= writing.write(chunk)


def _open_below(root: Path, source: Path) -> int:
    """Open a file for reading, folder by folder from the root: none can be swapped for a link in between.

    Raises: OSError where there is a link or something is gone.
    """
    *folders, name = source.relative_to(root).parts
    above = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            below = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
            os.close(above)
            above = below
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=above)
    finally:
        os.close(above)

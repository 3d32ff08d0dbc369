"""Room on disk for what is made once and can be made again: decoded images and stored features.

Both lie in folders of their own below the home's `cache`, each with a lock file beside it. Together they take at most
`TLCORE_MAX_CACHE_GB`; what was used longest ago goes first.
"""

import logging
import os
import shutil
from pathlib import Path

from filelock import FileLock, Timeout

from tlcore.datasets.store import CACHE_KINDS
from tlcore.settings import get_settings

_REMOVED = "-removed"
_log = logging.getLogger(__name__)


def lock_of(folder: Path) -> FileLock:
    """To be held while a folder is made, opened or removed."""
    return FileLock(f"{folder}.lock")


def use(folder: Path) -> None:
    """Note that a folder is used now."""
    os.utime(folder)


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
    sizes = {folder: _size(folder) for kind in CACHE_KINDS for folder in (cache_dir / kind).glob("[!.]*/")}
    limit = get_settings().max_cache_gb * 1e9
    for folder in sorted(sizes, key=lambda folder: folder.stat().st_mtime):
        if sum(sizes.values()) + needed <= limit:
            return
        if _remove(folder):
            _log.info("removed %s, which was used longest ago, as caches take at most %g GB", folder, limit / 1e9)
            del sizes[folder]


def _remove(folder: Path) -> bool:
    """Whether the folder could be removed. It is renamed first, so that a crash leaves no half of it."""
    try:
        with lock_of(folder).acquire(timeout=0):
            shutil.rmtree(folder.rename(folder.with_name(f".{folder.name}{_REMOVED}")))
    except (Timeout, OSError) as reason:
        _log.info("%s stays: %s", folder, reason)
        return False
    return True


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())

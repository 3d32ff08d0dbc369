"""The files below a folder: which are pictures by their content, and which are left out from the start."""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tlcore.datasets.content import describe, head_of, looks_like_image
from tlcore.datasets.dataset import LeftOut
from tlcore.datasets.names import distinct, is_placeholder, is_system, readable
from tlcore.errors import DatasetError, RunCancelledError

SYSTEM_REASON = "hidden or left by the system"
LINK_REASON = "a link (put the file itself here)"
DEVICE_REASON = "not a plain file"
MAX_DEPTH = 64  # folders; nobody nests images deeper
DEPTH_REASON = f"more than {MAX_DEPTH} folders deep"
Files = dict[tuple[str, ...], Path]  # path below the source, as components -> where the bytes are
Stop = Callable[[], bool]
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Limits:
    """What one import may bring. ratio: unpacked bytes per packed byte, judged beyond `free_bytes` unpacked."""

    num_files: int
    num_bytes: int
    ratio: float = 100.0  # photographs hardly shrink; drawings reach about 50, deflate's bombs 1,000
    free_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True)
class Listing:
    """What a source holds: images by content, other regular files, and what was left out from the start."""

    images: Files
    others: Files
    left_out: list[LeftOut]


def stage(tell: Progress, start: float, end: float) -> Progress:
    """The progress of one stage as that of the whole, of which it is the part from `start` to `end`."""
    return lambda done, words: tell(start + (end - start) * min(1.0, max(0.0, done)), words)


def silent(done: float, message: str) -> None:
    """Takes the news of work that nobody watches."""


def never() -> bool:
    """The answer of an import that nobody can stop."""
    return False


def check_stop(should_stop: Stop) -> None:
    """Raises: RunCancelledError once somebody asked for it."""
    if should_stop():
        raise RunCancelledError("the import was cancelled; nothing was kept")


def list_files(root: Path, limits: Limits, should_stop: Stop = never) -> tuple[Files, list[LeftOut]]:
    """Every regular file below a folder, sorted; links are not followed and devices not opened.

    Raises: DatasetError beyond the limits, RunCancelledError.
    """
    files: Files = {}
    numbers: dict[tuple[str, ...], int] = {}
    left_out: list[LeftOut] = []
    num_bytes = 0
    for entry, below in _walk(root, (), left_out):
        check_stop(should_stop)
        num_bytes += entry.stat(follow_symlinks=False).st_size
        files[distinct(below, files, numbers)] = Path(entry.path)
        check_limits(len(files), num_bytes, limits, root)
    return files, left_out


def sort_out(files: Files, left_out: list[LeftOut], should_stop: Stop = never) -> Listing:
    """Tell images from other files by their first bytes."""
    images: Files = {}
    others: Files = {}
    refused: list[LeftOut] = []
    for below, path in files.items():
        check_stop(should_stop)
        reason = _reason_against(below, path)
        if reason:
            refused.append(LeftOut(path="/".join(below), reason=reason))
        else:
            (images if looks_like_image(head_of(path)) else others)[below] = path
    return Listing(images, others, left_out + refused)


def check_limits(num_files: int, num_bytes: int, limits: Limits, source: Path) -> None:
    """Raises: DatasetError when there are more files or bytes than one dataset may have."""
    if num_files > limits.num_files:
        raise DatasetError(
            f"{source} holds more than {limits.num_files:,} files: give the folder of the images alone, "
            "or raise the limit with the environment's TLCORE_MAX_DATASET_FILES"
        )
    if num_bytes > limits.num_bytes:
        raise DatasetError(
            f"{source} holds more than {limits.num_bytes / 1e9:g} GB: give fewer images, "
            "or raise the limit with the environment's TLCORE_MAX_DATASET_GB"
        )


def left_out_others(others: Files) -> list[LeftOut]:
    """Why each file that is no image was not taken."""
    return [LeftOut(path="/".join(below), reason=_no_image(describe(head_of(path)))) for below, path in others.items()]


def _no_image(kind: str) -> str:
    packed = kind.endswith(" archive") and not kind.startswith("an empty")
    return f"not an image but {kind}" + (": unpack it once and add what is in it" if packed else "")


def is_regular(path: Path) -> bool:
    """Whether this is a file of its own: no folder, link, pipe or device."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def _walk(
    folder: Path, above: tuple[str, ...], left_out: list[LeftOut]
) -> Iterator[tuple[os.DirEntry[str], tuple[str, ...]]]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except PermissionError:
        left_out.append(LeftOut(path="/".join(above) or folder.name, reason="cannot be opened: permission denied"))
        return
    for entry in entries:
        below = (*above, readable(entry.name))
        name = "/".join(below)
        if is_system(entry.name):
            left_out.append(LeftOut(path=name, reason=SYSTEM_REASON))
        elif entry.is_symlink():
            left_out.append(LeftOut(path=name, reason=LINK_REASON))
        elif entry.is_dir(follow_symlinks=False) and len(below) > MAX_DEPTH:
            left_out.append(LeftOut(path=name, reason=DEPTH_REASON))
        elif entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), below, left_out)
        elif entry.is_file(follow_symlinks=False):
            yield entry, below
        else:
            left_out.append(LeftOut(path=name, reason=DEVICE_REASON))


def _reason_against(below: tuple[str, ...], path: Path) -> str | None:
    if not os.access(path, os.R_OK):
        return "cannot be opened: permission denied" if os.path.lexists(path) else "gone while it was looked at"
    if is_placeholder(below[-1]):
        return "a site's stand-in for a missing photo, by its name"
    return None

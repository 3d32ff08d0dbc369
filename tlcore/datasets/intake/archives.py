"""Unpacking zip and tar without trusting them: bounded while it happens, and never outside the folder."""

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from tlcore.datasets.content import describe, head_of
from tlcore.datasets.dataset import LeftOut
from tlcore.datasets.files import (
    DEVICE_REASON,
    LINK_REASON,
    SYSTEM_REASON,
    Files,
    Limits,
    Progress,
    Stop,
    check_limits,
    check_stop,
)
from tlcore.datasets.names import is_system, readable
from tlcore.errors import ArchiveError

_CHUNK = 1024 * 1024
_HEADER_BYTES = 128  # of a zip's directory per file: bounds the memory that a hostile directory takes
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    lzma.LZMAError,
    zlib.error,
    gzip.BadGzipFile,
    EOFError,
    struct.error,
    ValueError,
    OverflowError,
    NotImplementedError,
)
_Stream = IO[bytes] | gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile
_COMPRESSIONS: dict[bytes, Callable[[IO[bytes]], _Stream]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}


@dataclass
class _Unpacking:
    """One archive being unpacked: where to, what it may still bring, and what it brought."""

    archive: Path
    folder: Path
    limits: Limits
    progress: Progress
    should_stop: Stop
    files: Files = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    num_members: int = 0
    num_bytes: int = 0

    def leave_out(self, name: str, reason: str) -> None:
        self.left_out.setdefault(readable(name), reason)


def archive_kind(path: Path) -> str | None:
    """`zip` or `tar`, by the file's content; None if it is neither. Raises: OSError."""
    head = head_of(path)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head[257:262] == b"ustar" or head.startswith(tuple(_COMPRESSIONS)):
        return "tar"
    return None


def unpack(
    archive: Path, folder: Path, limits: Limits, progress: Progress, should_stop: Stop
) -> tuple[Files, list[LeftOut]]:
    """Unpack the regular files of an archive into a new folder; also returns what was not unpacked, and why.

    The files get numbers for names, so no member can escape, overwrite or shadow another, whatever it is called.
    Absolute names, `..`, links, devices and hidden files are left out. Bytes are counted as they come out, whatever
    the archive declares.
    Raises: ArchiveError for a broken, encrypted or exploding archive, DatasetError beyond the limits,
    RunCancelledError, OSError of the disk.
    """
    state = _Unpacking(archive, folder, limits, progress, should_stop)
    folder.mkdir()
    try:
        (_unpack_zip if archive_kind(archive) == "zip" else _unpack_tar)(state)
    except _BROKEN as error:
        raise ArchiveError(_broken(archive, error)) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise ArchiveError(_broken(archive, error)) from error  # how bz2 and gzip report a damaged stream
    return state.files, [LeftOut(path=name, reason=reason) for name, reason in state.left_out.items()]


def _broken(archive: Path, error: BaseException) -> str:
    kind = describe(head_of(archive))
    problem = str(error) or type(error).__name__
    return f"{archive.name} is {kind}, but damaged or cut off ({problem}): pack or download it again"


def _unpack_zip(state: _Unpacking) -> None:
    with state.archive.open("rb") as raw:
        bounded = _Bounded(raw, state, limit=_HEADER_BYTES * state.limits.num_files, counts=False)
        with zipfile.ZipFile(bounded) as zipped:
            for info in zipped.infolist():
                _count_member(state)
                name = _zip_name(info)
                kind = stat.S_IFMT(info.external_attr >> 16)
                if info.is_dir():
                    continue
                if info.flag_bits & 0x1:
                    raise ArchiveError(f"{state.archive.name} is encrypted ({name}): unpack it and give the folder")
                if kind not in (0, stat.S_IFREG):
                    state.leave_out(name, LINK_REASON if kind == stat.S_IFLNK else DEVICE_REASON)
                elif below := _wanted(state, name):
                    _copy_zipped(state, zipped, info, below)


def _copy_zipped(state: _Unpacking, zipped: zipfile.ZipFile, info: zipfile.ZipInfo, below: tuple[str, ...]) -> None:
    """One damaged member costs only itself: a zip's other members have their own streams."""
    try:
        with zipped.open(info) as source:
            _copy(state, source, below)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError) as error:
        state.files.pop(below, Path()).unlink(missing_ok=True)
        state.leave_out("/".join(below), f"damaged in the archive: {error}")


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The member's name; macOS writes UTF-8 without the flag that says so, Windows may write backslashes."""
    name = info.orig_filename
    if not info.flag_bits & 0x800:
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            name = info.orig_filename
    return name.replace("\\", "/")


def _unpack_tar(state: _Unpacking) -> None:
    with state.archive.open("rb") as raw:
        opener = next((make for start, make in _COMPRESSIONS.items() if head_of(state.archive).startswith(start)), None)
        stream = _Bounded(opener(raw) if opener else raw, state, limit=_CHUNK, counts=True)
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            for member in _members(tar):
                _count_member(state)
                if member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    state.leave_out(member.name, LINK_REASON if member.issym() or member.islnk() else DEVICE_REASON)
                elif (below := _wanted(state, member.name)) and (source := tar.extractfile(member)):
                    _copy(state, source, below)
            _check_end(tar, stream)


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """One member after the other, without keeping them: the list would grow with the archive."""
    while (member := tar.next()) is not None:
        yield member
        tar.members = []  # type: ignore[attr-defined]


def _check_end(tar: tarfile.TarFile, stream: "_Bounded") -> None:
    """tarfile takes a damaged header for the end of the archive; a true end is zeros, or nothing."""
    stream.seek(tar.offset)
    if stream.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError(f"bad header at byte {tar.offset:,}")


def _wanted(state: _Unpacking, name: str) -> tuple[str, ...] | None:
    """The path of a regular member that may be unpacked; for others the reason is noted."""
    parts = tuple(readable(part) for part in PurePosixPath(name).parts)
    if not parts or name.startswith("/") or ".." in parts or ":" in parts[0]:
        state.leave_out(name, "its name points outside the archive")
        return None
    hidden = next((i for i, part in enumerate(parts) if is_system(part)), None)
    if hidden is not None:
        state.leave_out("/".join(parts[: hidden + 1]), SYSTEM_REASON)
        return None
    if parts in state.files:
        state.leave_out(name, "in the archive twice; the first was taken")
        return None
    return parts


def _copy(state: _Unpacking, source: IO[bytes], below: tuple[str, ...]) -> None:
    target = state.folder / f"{len(state.files):07d}"
    state.files[below] = target
    with target.open("wb") as file:
        while chunk := source.read(_CHUNK):
            state.num_bytes += len(chunk)
            _check_bounds(state, state.num_bytes)
            file.write(chunk)
    if len(state.files) % 100 == 0:
        state.progress(0.0, f"Unpacked {len(state.files):,} files")


def _count_member(state: _Unpacking) -> None:
    state.num_members += 1
    check_stop(state.should_stop)
    check_limits(state.num_members, 0, state.limits, state.archive)


def _check_bounds(state: _Unpacking, num_bytes: int) -> None:
    check_stop(state.should_stop)
    check_limits(0, num_bytes, state.limits, state.archive)
    packed = state.archive.stat().st_size
    if num_bytes > state.limits.free_bytes and num_bytes > state.limits.ratio * packed:
        raise ArchiveError(
            f"{state.archive.name} unpacks to more than {state.limits.ratio:g} times its size of {packed:,} bytes, "
            "as a decompression bomb does: give the images as a folder"
        )


class _Bounded(io.RawIOBase):
    """A file that refuses single reads beyond a limit, and counts what comes out of a decompressor.

    tarfile and zipfile read a header in one go, as long as the archive says it is; skipping must count too.
    """

    def __init__(self, inner: _Stream, state: _Unpacking, limit: int, counts: bool) -> None:
        self._inner, self._state, self._limit, self._counts = inner, state, limit, counts

    def read(self, size: int = -1) -> bytes:
        most = self._limit + _CHUNK
        data = self._inner.read(size if 0 <= size <= most else most + 1)
        if len(data) > most:
            name = self._state.archive.name
            raise ArchiveError(f"{name} has a header beyond {most:,} bytes, as no honest archive has: pack it again")
        if self._counts:
            _check_bounds(self._state, self._inner.tell())
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if not self._counts:
            return self._inner.seek(offset, whence)
        ahead = offset - self._inner.tell()
        while ahead > 0 and (skipped := len(self.read(min(ahead, _CHUNK)))):
            ahead -= skipped
        return self._inner.tell() if ahead >= 0 else self._inner.seek(offset)

    def tell(self) -> int:
        return self._inner.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

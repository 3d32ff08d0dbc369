"""Unpacking zip and tar without trusting them: bounded while it happens, and never outside the folder."""

import gzip
import lzma
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from tlcore.datasets.content import describe, head_of
from tlcore.datasets.dataset import LeftOut
from tlcore.datasets.files import (
    DEPTH_REASON,
    DEVICE_REASON,
    LINK_REASON,
    MAX_DEPTH,
    SYSTEM_REASON,
    Files,
    Limits,
    Progress,
    Stop,
    check_limits,
    check_stop,
)
from tlcore.datasets.intake.streams import CHUNK, COMPRESSIONS, Allowance, Bounded, decompressed
from tlcore.datasets.names import distinct, is_system, readable
from tlcore.errors import ArchiveError

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
    RecursionError,  # tarfile follows a chain of headers by recursion
)
# Python's bzip2 and LZMA members of a zip come out of the decompressor in one piece, however large it is.
_METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflate"}
_OTHER_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd", 99: "AES encryption"}
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass
class _Unpacking:
    """One archive being unpacked: where to, what it may still bring, and what it brought.

    names: of the members that were taken, as the archive has them.
    """

    raw: IO[bytes]
    folder: Path
    allowance: Allowance
    progress: Progress
    files: Files = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    names: set[tuple[str, ...]] = field(default_factory=set)
    numbers: dict[tuple[str, ...], int] = field(default_factory=dict)
    num_members: int = 0
    num_bytes: int = 0

    @property
    def archive(self) -> Path:
        return self.allowance.archive

    def leave_out(self, name: str, reason: str) -> None:
        self.left_out.setdefault(readable(name), reason)


def archive_kind(path: Path) -> str | None:
    """`zip` or `tar`, by the file's content; None if it is neither. Raises: OSError."""
    return kind_of(head_of(path))


def kind_of(head: bytes) -> str | None:
    """`zip` or `tar`, by the first 512 bytes; None if it is neither."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head[257:262] == b"ustar" or head.startswith(tuple(COMPRESSIONS)):
        return "tar"
    return None


def unpack(
    archive: Path, folder: Path, limits: Limits, progress: Progress, should_stop: Stop
) -> tuple[Files, list[LeftOut]]:
    """Unpack the regular files of an archive into a new folder; also returns what was not unpacked, and why.

    The files get numbers for names, so no member can escape, overwrite or shadow another, whatever it is called.
    Absolute names, `..`, links, devices and hidden files are left out. Bytes are counted as they come out, whatever
    the archive declares. progress: 0…1, by the bytes read.
    Raises: ArchiveError for a broken, encrypted, exploding or changing archive, DatasetError beyond the limits,
    RunCancelledError, OSError of the disk.
    """
    folder.mkdir()
    with archive.open("rb") as raw:
        before = os.fstat(raw.fileno())
        state = _Unpacking(raw, folder, Allowance(archive, before.st_size, limits, should_stop), progress)
        try:
            (_unpack_zip if archive_kind(archive) == "zip" else _unpack_tar)(state)
        except _BROKEN as error:
            _check_unchanged(state, before)
            raise ArchiveError(_broken(archive, error)) from error
        except OSError as error:
            _check_unchanged(state, before)
            if error.errno is not None:
                raise
            raise ArchiveError(_broken(archive, error)) from error  # how bz2 and gzip report a damaged stream
        _check_unchanged(state, before)
    return state.files, [LeftOut(path=name, reason=reason) for name, reason in state.left_out.items()]


def _check_unchanged(state: _Unpacking, before: os.stat_result) -> None:
    """What was read of a file that is written at the same time is neither its old nor its new content."""
    now = os.fstat(state.raw.fileno())
    if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise ArchiveError(f"{state.archive.name} changed while it was read: wait until it is complete, then import it")


def _broken(archive: Path, error: BaseException) -> str:
    kind = describe(head_of(archive))
    problem = "too many headers in a row" if isinstance(error, RecursionError) else str(error) or type(error).__name__
    return f"{archive.name} is {kind}, but damaged or cut off ({problem}): pack or download it again"


def _unpack_zip(state: _Unpacking) -> None:
    bounded = Bounded(state.raw, state.allowance, limit=_HEADER_BYTES * state.allowance.limits.num_files, counts=False)
    with zipfile.ZipFile(bounded) as zipped:
        for info in zipped.infolist():
            _count_member(state)
            name = _zip_name(info)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if name.endswith("/"):
                continue
            _check_method(state, name, info)
            if kind not in (0, stat.S_IFREG):
                state.leave_out(name, LINK_REASON if kind == stat.S_IFLNK else DEVICE_REASON)
            elif below := _wanted(state, name):
                _copy_zipped(state, zipped, info, below)


def _check_method(state: _Unpacking, name: str, info: zipfile.ZipInfo) -> None:
    if info.flag_bits & 0x1:
        raise ArchiveError(f"{state.archive.name} is encrypted ({readable(name)}): unpack it and give the folder")
    if info.compress_type not in _METHODS:
        method = _OTHER_METHODS.get(info.compress_type, f"method {info.compress_type}")
        raise ArchiveError(
            f"{state.archive.name} is packed with {method} ({readable(name)}), which is not read here: "
            "unpack it and give the folder, or pack it as an ordinary zip"
        )


def _copy_zipped(state: _Unpacking, zipped: zipfile.ZipFile, info: zipfile.ZipInfo, below: tuple[str, ...]) -> None:
    """One damaged member costs only itself: a zip's other members have their own streams."""
    try:
        with zipped.open(info) as source:
            _copy(state, source, below)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError) as error:
        if target := state.files.pop(below, None):
            target.unlink(missing_ok=True)
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
    stream = Bounded(decompressed(state.raw, head_of(state.archive)), state.allowance, limit=CHUNK, counts=True)
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
    """One member after the other, without keeping them or global headers: both would grow with the archive."""
    while (member := tar.next()) is not None:
        yield member
        tar.members = []  # type: ignore[attr-defined]
        tar.pax_headers = {}


def _check_end(tar: tarfile.TarFile, stream: Bounded) -> None:
    """tarfile takes a damaged header for the end of the archive; a true end is zeros, or nothing.

    The rest is read too: the checksum of what was unpacked comes at the very end of a compressed stream.
    """
    stream.seek(tar.offset)
    if stream.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError(f"bad header at byte {tar.offset:,}")
    stream.drain()


def _wanted(state: _Unpacking, name: str) -> tuple[str, ...] | None:
    """The path of a regular member that may be unpacked; for others the reason is noted."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or _DRIVE.match(name):
        state.leave_out(name, "its name points outside the archive")
        return None
    hidden = next((i for i, part in enumerate(parts) if is_system(part)), None)
    if hidden is not None:
        state.leave_out("/".join(parts[: hidden + 1]), SYSTEM_REASON)
        return None
    if len(parts) > MAX_DEPTH + 1:
        state.leave_out("/".join(parts[: MAX_DEPTH + 1]), DEPTH_REASON)
        return None
    if parts in state.names:
        state.leave_out(name, "in the archive twice; the first was taken")
        return None
    state.names.add(parts)
    return distinct(tuple(readable(part) for part in parts), state.files, state.numbers)


def _copy(state: _Unpacking, source: IO[bytes], below: tuple[str, ...]) -> None:
    target = state.folder / f"{len(state.files):07d}"
    state.files[below] = target
    with target.open("wb") as file:
        while chunk := source.read(CHUNK):
            state.num_bytes += len(chunk)
            state.allowance.check(state.num_bytes)
            file.write(chunk)
            done = min(1.0, state.raw.tell() / max(1, state.allowance.packed))
            state.progress(done, f"Unpacked {len(state.files):,} files")


def _count_member(state: _Unpacking) -> None:
    state.num_members += 1
    check_stop(state.allowance.should_stop)
    check_limits(state.num_members, 0, state.allowance.limits, state.archive)

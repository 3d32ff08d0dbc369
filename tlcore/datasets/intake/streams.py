"""Bytes out of an archive that nobody trusts: bounded in memory while they are read, and counted as they come out."""

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from tlcore.datasets.files import Limits, Stop, check_limits, check_stop
from tlcore.errors import ArchiveError

CHUNK = 1024 * 1024
_XZ_MEMORY = 256 * 1024 * 1024  # `xz -9` takes 65 MiB; a header may ask for 4 GiB
_XZ_CHUNK = 64 * 1024


class Stream(Protocol):
    """What is read of a file, compressed or not."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; fewer only at the end."""

    def tell(self) -> int:
        """How many bytes were read."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a byte."""


@dataclass(frozen=True)
class Allowance:
    """What one archive may unpack to. packed: its own size in bytes."""

    archive: Path
    packed: int
    limits: Limits
    should_stop: Stop

    def check(self, num_bytes: int) -> None:
        """Raises: DatasetError beyond the limits, ArchiveError for a decompression bomb, RunCancelledError."""
        check_stop(self.should_stop)
        check_limits(0, num_bytes, self.limits, self.archive)
        if num_bytes > self.limits.free_bytes and num_bytes > self.limits.ratio * self.packed:
            raise ArchiveError(
                f"{self.archive.name} unpacks to more than {self.limits.ratio:g} times its size of {self.packed:,} "
                "bytes, as a decompression bomb does: give the images as a folder"
            )


class Bounded(io.RawIOBase):
    """A file that refuses more than a limit between two seeks, and counts what comes out of a decompressor.

    tarfile and zipfile read headers, one after the other, as long as the archive says they are; they seek to the data.
    What a tar only skips must count too.
    """

    def __init__(self, inner: Stream, allowance: Allowance, limit: int, counts: bool) -> None:
        self._inner, self._allowance, self._counts = inner, allowance, counts
        self._most = limit + CHUNK
        self._left = self._most

    def read(self, size: int = -1) -> bytes:
        data = self._inner.read(size if 0 <= size <= self._left else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            name = self._allowance.archive.name
            raise ArchiveError(
                f"{name} has a header beyond {self._most:,} bytes, as no honest archive has: pack it again"
            )
        if self._counts:
            self._allowance.check(self._inner.tell())
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._left = self._most
        if offset < 0 and whence == io.SEEK_SET:  # a damaged zip says so; to the system it would be a fault of the disk
            raise EOFError("it names a place before its own beginning")
        if not self._counts:
            return self._inner.seek(offset, whence)
        ahead = offset - self._inner.tell()
        while ahead > 0 and (skipped := self._skip(min(ahead, CHUNK))):
            ahead -= skipped
        return self._inner.tell() if ahead >= 0 else self._inner.seek(offset)

    def drain(self) -> None:
        """Read what is left."""
        while self._skip(CHUNK):
            pass

    def _skip(self, size: int) -> int:
        skipped = len(self._inner.read(size))
        self._allowance.check(self._inner.tell())
        return skipped

    def tell(self) -> int:
        return self._inner.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


class _Xz:
    """What is in an .xz file, with bounded memory, which `lzma.LZMAFile` cannot promise. Implements `Stream`."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._at = 0
        self._decompressor = _xz_decompressor()

    def read(self, size: int = -1) -> bytes:
        parts: list[bytes] = []
        while size > 0 and (data := self._some(size)):
            parts.append(data)
            size -= len(data)
        found = b"".join(parts)
        self._at += len(found)
        return found

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """Backwards from the start; forwards `Bounded` reads."""
        self._raw.seek(0)
        self._at, self._decompressor = 0, _xz_decompressor()
        while self._at < offset and self.read(min(offset - self._at, CHUNK)):
            pass
        return self._at

    def _some(self, size: int) -> bytes:
        """At least one byte, unless this is the end."""
        while True:
            fresh = b""
            if self._decompressor.eof:
                fresh = self._decompressor.unused_data.lstrip(b"\0") or self._raw.read(_XZ_CHUNK).lstrip(b"\0")
                if not fresh:
                    return b""
                self._decompressor = _xz_decompressor()
            elif self._decompressor.needs_input:
                fresh = self._raw.read(_XZ_CHUNK)
                if not fresh:
                    raise EOFError("the compressed stream ends too early")
            if data := self._decompressor.decompress(fresh, size):
                return data


def _xz_decompressor() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


COMPRESSIONS: dict[bytes, Callable[[IO[bytes]], Stream]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": _Xz,
}


def decompressed(raw: IO[bytes], head: bytes) -> Stream:
    """What is in the file, by its first bytes: the file itself where it is not compressed."""
    return next((make(raw) for start, make in COMPRESSIONS.items() if head.startswith(start)), raw)

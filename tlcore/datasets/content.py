"""What a file is, by its first bytes and never by its extension."""

import os
from pathlib import Path

HEAD_BYTES = 512
_IMAGE_STARTS = (
    b"\xff\xd8\xff",
    b"\x89PNG",
    b"GIF8",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
    b"\0\0\0\x0cjP  ",
    b"\xff\x4f\xff\x51",
)
_OTHER_STARTS = {
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "an empty zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\0": "an xz archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"%PDF": "a PDF document",
    b"%!PS": "a PostScript document",
    b"8BPS": "a Photoshop document",
    b"\0\0\1\0": "an icon (save it as PNG)",
    b"\0\0\2\0": "a cursor (save it as PNG)",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy array",
    b"\x80\x04": "a Python pickle",
    b"\x80\x05": "a Python pickle",
}
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")


def head_of(path: Path) -> bytes:
    """The first bytes of a file; a pipe that has come into its place has none. Raises: OSError."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        return file.read(HEAD_BYTES) or b""


def looks_like_image(head: bytes) -> bool:
    """Whether the first bytes are those of an image format that `decoding` reads."""
    if head.startswith(_IMAGE_STARTS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return True
    if head[4:8] == b"ftyp":
        return head[8:12] in _AVIF_BRANDS or (head[8:12] == b"mif1" and b"avif" in head[:64])
    return len(head) > 2 and head[:1] == b"P" and head[1:2] in b"123456Ff" and head[2:3].isspace()


def describe(head: bytes) -> str:
    """What a file that is no image seems to be, as words such as `a PDF document`."""
    if not head:
        return "an empty file"
    for start, words in _OTHER_STARTS.items():
        if head.startswith(start):
            return words
    if head[4:8] == b"ftyp":
        return "an HEIC photo (save it as JPEG)" if head[8:12] in _HEIC_BRANDS else "a video"
    if head[257:262] == b"ustar":
        return "a tar archive"
    return "text" if is_text(head) else "a file of unknown kind"


def is_text(head: bytes) -> bool:
    """Whether the first bytes can be text: printable, and valid UTF-8 or Latin-1 without control characters."""
    return bool(head) and not any(byte < 32 and byte not in b"\t\n\r\f" for byte in head)

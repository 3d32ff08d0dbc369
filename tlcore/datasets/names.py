"""Names of files and folders: what they mean, and what they may be called here. Standard library only."""

import re
import unicodedata
from collections.abc import Container, Iterable

PART_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
_SYSTEM_NAMES = {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "icon\r"}
# Stand-ins that sites serve for a photo that is gone; the picture decodes, but it shows nothing of its class.
_PLACEHOLDER = re.compile(r"(image|img|photo|picture)[-_ ]?(not[-_ ]?found|not[-_ ]?available|unavailable)", re.I)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_END = re.compile(r"[\s.]+$")
MAX_CLASS_CHARACTERS = 100
MAX_NAME_BYTES = 120  # file systems take 255 bytes; leaves room for a number that tells equal names apart


def part_of(folder: str) -> str | None:
    """`train`, `val` or `test` if a folder's (or a table's) name means one, in any case."""
    return PART_NAMES.get(folder.strip().casefold())


def is_system(name: str) -> bool:
    """Whether an operating system or a tool left this file or folder, such as `.DS_Store` or `__MACOSX`."""
    return name.startswith(".") or name.casefold() in _SYSTEM_NAMES


def is_placeholder(name: str) -> bool:
    """Whether the name says that this is no photo but a site's stand-in, such as `imageNotFound.gif`."""
    return _PLACEHOLDER.fullmatch(name.rpartition(".")[0]) is not None


def readable(name: str) -> str:
    """The name as valid, composed Unicode without control characters, which could steer the terminal that shows it.

    File systems may hold any bytes, macOS decomposes accents: several names may read the same.
    """
    return _CONTROL.sub("\ufffd", unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode("utf-8")))


def safe_name(name: str) -> str:
    """One path component that every file system takes and that hides nothing.

    Keeps the extension; never empty, `.`, `..` or hidden, and without spaces of any alphabet around it, which a table
    of paths could not tell.
    """
    clean = _END.sub("", re.sub(r'[/\\:*?"<>|]', "_", readable(name)).strip())
    if not clean or clean.startswith("."):
        clean = f"_{clean}"
    stem, dot, suffix = clean.rpartition(".")
    if not dot or len(suffix) > 10:
        stem, dot, suffix = clean, "", ""
    room = MAX_NAME_BYTES - len((dot + suffix).encode())
    short = stem.encode()[:room].decode("utf-8", "ignore")
    return short + dot + suffix if dot else _END.sub("", short)


def class_name(label: str) -> str:
    """The name of a class nearest to a label: one line without `/` and `\\`, so that it could be a folder's.

    At most MAX_CLASS_CHARACTERS long, never empty, `.` or `..`, without spaces around it.
    """
    clean = re.sub(r"[/\\]", "_", readable(label)).strip()[:MAX_CLASS_CHARACTERS].strip()
    return f"_{clean}" if clean in {"", ".", ".."} else clean


def slug(text: str, default: str = "dataset") -> str:
    """A short lower-case name for ids, of letters, digits and dashes."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:40].strip("-") or default


def distinct(
    below: tuple[str, ...], taken: Container[tuple[str, ...]], numbers: dict[tuple[str, ...], int]
) -> tuple[str, ...]:
    """The path itself, or with `~2`, `~3`, … where another file's reads the same; numbers: how far each has come."""
    *above, name = below
    stem, dot, suffix = name.rpartition(".")
    if not dot:
        stem, suffix = name, ""
    path, number = below, numbers.get(below, 1)
    while path in taken:
        number += 1
        path = (*above, f"{stem}~{number}{dot}{suffix}")
    numbers[below] = number
    return path


class UniquePaths:
    """Hands out relative paths of which no two differ by case only, so that nothing overwrites another file."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._numbers: dict[str, int] = {}  # the last number that a path got, so that 50,000 equal names take no hours

    def take(self, parts: Iterable[str]) -> str:
        """A free posix path for these components; a taken one gets `~2`, `~3`, … before its extension."""
        wanted = "/".join(safe_name(part) for part in parts)
        folder, slash, name = wanted.rpartition("/")
        stem, dot, suffix = name.rpartition(".")
        if not dot:
            stem, suffix = name, ""
        path, number = wanted, self._numbers.get(wanted.casefold(), 1)
        while path.casefold() in self._taken:
            number += 1
            path = f"{folder}{slash}{stem}~{number}{dot}{suffix}"
        self._taken.add(path.casefold())
        self._numbers[wanted.casefold()] = number
        return path

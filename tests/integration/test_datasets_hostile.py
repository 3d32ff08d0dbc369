"""Whatever an archive holds: its good images under their labels, or one clear error; never anything else, anywhere."""

import contextlib
import hashlib
import io
import os
import stat
import struct
import tarfile
import tempfile
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from tests.helpers import draw
from tlcore.datasets.intake import add_dataset, adding
from tlcore.datasets.names import is_placeholder, is_system, readable
from tlcore.datasets.pictures import inspector
from tlcore.datasets.pictures.inspection import Inspected
from tlcore.datasets.store import load_dataset
from tlcore.errors import TlcoreError
from tlcore.settings import Settings

quick = limits(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
KINDS = ("zip", "tar", "tar.gz", "tar.bz2", "tar.xz")
LABELS = (
    "cats",
    "dogs",
    "Dogs",
    "e\u0301te\u0301",
    "\u00e9t\u00e9s",
    "жуки",
    "a\u200bb",
    "abc\u202egnp",
    "ab: y",
    "con",
    "a\x1bb",
)


def png(index: int) -> bytes:
    out = io.BytesIO()
    draw(index % 10, 10, index, 8).save(out, "PNG")
    return out.getvalue()


PICTURES = [png(index) for index in range(60)]
BOMB = b"\x89PNG\r\n\x1a\n" + b"".join(
    struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    for kind, data in (
        (b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0" * 1000)),
        (b"IEND", b""),
    )
)


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("cats/1.png", data)
    return out.getvalue()


@dataclass(frozen=True)
class Member:
    """One entry of an archive. kind: `file`, or how it is none. label: the class that it must get, else None."""

    name: str
    data: bytes = field(default=b"", repr=False)
    kind: str = "file"
    label: str | None = None


GOOD_NAMES = st.builds(
    lambda stem, suffix: stem + suffix,
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\\\0"), min_size=1, max_size=8),
    st.sampled_from([".png", ".PNG", ".jpg", ".txt", "", ".tar.gz"]),
).filter(
    lambda name: (
        name not in {".", ".."} and not is_system(name) and not is_placeholder(name) and not name.endswith(".csv")
    )
)
WRONG_NAMES = st.sampled_from(
    ["../evil.png", "/evil.png", "C:/evil.png", "c:evil.png", "cats/../../evil.png", "../" * 6 + "evil.png", "cats/..",
     "{base}/evil.png", "//server/evil.png", "stray.png", ".hidden/evil.png", "cats/.DS_Store", "__MACOSX/cats/._1.png",
     "cats/Thumbs.db", "cats/imageNotFound.png", "d/" * 70 + "evil.png", "", "."]
)  # fmt: skip
NO_PICTURES = st.sampled_from(
    [b"", b"hello", BOMB, PICTURES[0][:100], b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff" + bytes(50), zipped(b"x"),
     b"\x80\x04cposix\nsystem\n.", b"#!/bin/sh\ntouch evil\n"]
)  # fmt: skip
KINDS_OF_FILES = st.sampled_from(["symlink", "hardlink", "char", "block", "fifo", "folder"])


@st.composite
def hostile(draw_one) -> list[Member]:
    """Three good images of at least two classes, and between them all that should not be there."""
    pictures = iter(PICTURES)
    members = []
    for label in dict.fromkeys(["cats", "dogs", *draw_one(st.lists(st.sampled_from(LABELS), max_size=3))]):
        for name in draw_one(st.lists(GOOD_NAMES, min_size=3, max_size=5, unique=True)):
            said = unicodedata.normalize("NFC", label).replace("\x1b", "\ufffd")
            members.append(Member(f"{label}/{name}", next(pictures), label=said))
    good = list(members)
    inside = draw_one(st.lists(st.tuples(st.sampled_from(good), NO_PICTURES), max_size=3))
    members += [Member(f"{near.name}.{number}", data) for number, (near, data) in enumerate(inside)]
    members += [Member(name, PICTURES[-1]) for name in draw_one(st.lists(WRONG_NAMES, max_size=4))]
    members += [
        Member(f"cats/{kind}-{n}", kind=kind) for n, kind in enumerate(draw_one(st.lists(KINDS_OF_FILES, max_size=3)))
    ]
    members = draw_one(st.permutations(members))
    again = draw_one(st.lists(st.sampled_from(good), max_size=2))
    return [*members, *(Member(twice.name, PICTURES[-2]) for twice in again)]


def pack(members: list[Member], kind: str, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that occur twice
        _pack_zip(members, path) if kind == "zip" else _pack_tar(members, kind, path)


def _pack_zip(members: list[Member], path: Path) -> None:
    modes = {
        "symlink": stat.S_IFLNK,
        "hardlink": stat.S_IFLNK,
        "char": stat.S_IFCHR,
        "block": stat.S_IFBLK,
        "fifo": stat.S_IFIFO,
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in members:
            info = zipfile.ZipInfo("x")
            info.filename = member.name + ("/" if member.kind == "folder" else "")
            info.external_attr = (modes.get(member.kind, stat.S_IFREG) | 0o777) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, member.data if member.kind == "file" else b"/etc/passwd" * (member.kind != "folder"))


def _pack_tar(members: list[Member], kind: str, path: Path) -> None:
    types = {"file": tarfile.REGTYPE, "symlink": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE, "char": tarfile.CHRTYPE,
             "block": tarfile.BLKTYPE, "fifo": tarfile.FIFOTYPE, "folder": tarfile.DIRTYPE}  # fmt: skip
    with tarfile.open(path, f"w:{kind[4:]}", errors="surrogateescape") as archive:
        for member in members:
            info = tarfile.TarInfo(member.name)
            info.type, info.linkname, info.size = types[member.kind], "../../evil", len(member.data)
            archive.addfile(info, io.BytesIO(member.data))


@contextlib.contextmanager
def sandbox() -> Iterator[tuple[Path, Settings]]:
    """A folder deep in a folder of its own, and a home in it, where images are decoded in this process."""

    def inspect_here(paths, command, *args, **kwargs):
        for index, path in enumerate(paths):
            yield index, Inspected(**inspector.inspect(path, Path(command[-1])))

    with tempfile.TemporaryDirectory() as base, patch.object(adding, "inspect_files", inspect_here):
        deep = Path(base, "1", "2", "3")
        deep.mkdir(parents=True)
        yield deep, Settings(home=deep / "home")


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if "home" not in path.parts}


def outcome(deep: Path, settings: Settings, source: Path) -> set[tuple[str, str]] | TlcoreError:
    """The (class, sha256) of every image of the dataset, or the error; checks that there is nothing else."""
    base = deep.parents[2]
    before = everything(base)
    try:
        info = add_dataset(source, "made", settings)
    except TlcoreError as error:
        assert "\n" not in str(error)
        assert len(str(error)) > 20
        found, kept = error, set()
    else:
        dataset = load_dataset(info.id, settings)
        found = {(info.classes[r.label], r.sha256) for r in dataset.images.itertuples()}
        kept = {info.id}
        files = {p.relative_to(dataset.root).as_posix() for p in dataset.root.rglob("*") if not p.is_dir()}
        assert files == set(dataset.images["path"])
        for image in dataset.images.itertuples():
            stored = dataset.root / image.path
            assert not stored.is_symlink()
            assert hashlib.sha256(stored.read_bytes()).hexdigest() == image.sha256
        assert not any(c in left.path + left.reason for left in info.left_out for c in "\n\r\x1b\0")
    assert everything(base) == before
    assert {path.name for path in settings.datasets.glob("*")} - {".lock"} == kept
    return found


def good_ones(members: list[Member]) -> set[tuple[str, str]]:
    return {(m.label, hashlib.sha256(m.data).hexdigest()) for m in members if m.label is not None}


@quick
@given(hostile(), st.sampled_from(KINDS))
def test_the_good_images_of_any_archive_arrive_under_their_labels(members, kind):
    with sandbox() as (deep, settings):
        members = [Member(m.name.replace("{base}", str(deep.parents[2])), m.data, m.kind, m.label) for m in members]
        pack(members, kind, deep / "upload")
        assert outcome(deep, settings, deep / "upload") == good_ones(members)


@quick
@given(hostile())
def test_the_good_images_of_any_folder_arrive_under_their_labels(members):
    with sandbox() as (deep, settings):
        (deep / "folder").mkdir()
        placed = [member for member in members if lay(deep / "folder", member)]
        assert outcome(deep, settings, deep / "folder") == good_ones(placed)


def lay(folder: Path, member: Member) -> bool:
    """Put a member into a folder; False where a file system cannot have it, or it is somewhere else."""
    path = folder / member.name
    inside = member.name and ".." not in path.parts and path != folder and path.is_relative_to(folder)
    other = {"{base}", "C:", "c:evil.png"} & set(path.parts)
    if not inside or other or len(path.name.encode(errors="replace")) > 250 or os.path.lexists(path):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    if member.kind == "file":
        path.write_bytes(member.data)
    elif member.kind == "folder":
        path.mkdir()
    elif member.kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/etc/passwd" if member.kind != "hardlink" else folder)
    return True


PLAIN = [
    Member(f"{label}/{n}.png", PICTURES[10 * k + n], label=label)
    for k, label in enumerate(("a", "b"))
    for n in range(4)
]
GOOD_SUMS = {sha for _, sha in good_ones(PLAIN)}


def packed(kind: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        pack(PLAIN, kind, Path(folder, "x"))
        return Path(folder, "x").read_bytes()


PACKED = {kind: packed(kind) for kind in KINDS}


def strangers(data: bytes) -> set[str]:
    """Sums of images that this archive gave and that are none of `PLAIN`; `outcome` checks all else."""
    with sandbox() as (deep, settings):
        (deep / "upload").write_bytes(data)
        found = outcome(deep, settings, deep / "upload")
    return set() if isinstance(found, TlcoreError) else {sha for _, sha in found} - GOOD_SUMS


@quick
@given(st.sampled_from(KINDS), st.floats(0, 1))
def test_an_archive_that_is_cut_off_anywhere(kind, share):
    whole = PACKED[kind]
    assert not strangers(whole[: int(share * (len(whole) - 1))]) or kind == "tar"


@limits(quick, max_examples=150)
@given(
    st.sampled_from(KINDS),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=3),
)
@example("zip", [(0.998046875, 2)])  # its directory then begins before the file does
def test_an_archive_with_flipped_bytes(kind, flips):
    data = bytearray(PACKED[kind])
    for share, bits in flips:
        data[int(share * len(data))] ^= bits
    assert not strangers(bytes(data)) or kind == "tar", "a tar alone has no sum over its files"


@quick
@given(
    st.sampled_from([b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"", b"path,label\n"]),
    st.binary(max_size=800),
)
@example(b"", b"")
@example(b"", b"\xef\xbb\xbf")
def test_bytes_that_only_begin_like_an_archive_or_a_table(start, rest):
    with sandbox() as (deep, settings):
        for name in ("upload", "upload.csv", "upload.jsonl"):
            (deep / name).write_bytes(start + rest)
            assert isinstance(outcome(deep, settings, deep / name), TlcoreError)
            (deep / name).unlink()


CELLS = st.one_of(
    st.sampled_from(["1.png", "a/2.png", "../x", "/etc/passwd", "\0", "a", "b", "val"]), st.text(max_size=5)
)
HEADERS = ["path,label,split", "file_name;class", "id\tdx", '{"file_name": "1.png", "label": [1]}', '"path,label']


@quick
@given(
    st.lists(st.lists(CELLS, max_size=4), max_size=6),
    st.sampled_from(["labels.csv", "a/metadata.csv", "train/metadata.jsonl", "x.tsv"]),
    st.sampled_from(HEADERS),
)
def test_any_table_in_a_folder_of_images(rows, name, header):
    """Whatever it says, the images are those of the folder, or there is one clear error."""
    with sandbox() as (deep, settings):
        for number in range(4):
            for label in ("a", "b"):
                lay(deep / "folder", Member(f"{label}/{number}.png", PICTURES[number + 10 * (label == "b")]))
        (deep / "folder" / name).parent.mkdir(exist_ok=True)
        text = "\n".join([header, *(next(c for c in ",;\t" if c in header).join(row) for row in rows)])
        (deep / "folder" / name).write_text(text, encoding="utf-8", errors="replace")
        found = outcome(deep, settings, deep / "folder")
        if not isinstance(found, TlcoreError):
            assert {sha for _, sha in found} <= {hashlib.sha256(picture).hexdigest() for picture in PICTURES}


def test_names_are_shown_without_what_steers_a_terminal():
    assert readable("a\x1b]0;title\x07.png") == "a\ufffd]0;title\ufffd.png"


@pytest.mark.parametrize("kind", KINDS)
def test_the_plain_archive_is_good(kind):
    with sandbox() as (deep, settings):
        (deep / "upload").write_bytes(PACKED[kind])
        assert outcome(deep, settings, deep / "upload") == good_ones(PLAIN)

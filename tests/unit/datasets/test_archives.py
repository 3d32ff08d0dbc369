"""Unpacking takes plain files only, counts what really comes out, and escapes nowhere."""

import io
import lzma
import os
import stat
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from tlcore.datasets.files import Limits, never
from tlcore.datasets.intake import archives
from tlcore.datasets.intake.archives import archive_kind, unpack
from tlcore.datasets.intake.streams import Allowance, Bounded
from tlcore.errors import ArchiveError, DatasetError, RunCancelledError

LIMITS = Limits(num_files=100, num_bytes=20_000_000, free_bytes=1_000_000)


def unpacked(archive: Path, limits: Limits = LIMITS, should_stop=never):
    """What `unpack` took (path -> bytes) and left out (path -> reason)."""
    files, left_out = unpack(archive, archive.parent / "unpacked", limits, lambda done, message: None, should_stop)
    return {"/".join(below): path.read_bytes() for below, path in files.items()}, {x.path: x.reason for x in left_out}


def make_zip(path: Path, members: dict[str, bytes], **options) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, members: dict[str, bytes], mode: str = "w", **options) -> Path:
    with tarfile.open(path, mode, **options) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture(params=["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def pack(request, tmp_path):
    """Packs members as each kind of archive; the name says nothing, as the content counts."""

    def packed(members: dict[str, bytes]) -> Path:
        path = tmp_path / "upload"
        if request.param == "zip":
            return make_zip(path, members)
        return make_tar(path, members, "w" + request.param[3:].replace(".", ":"))

    return packed


def test_plain_files_come_out_as_they_are(pack):
    members = {"cats/1.png": b"one" * 700, "cats/ü 2.png": b"", "deep/er/3": os.urandom(5000)}
    path = pack(members)
    assert archive_kind(path) == ("zip" if zipfile.is_zipfile(path) else "tar")
    assert unpacked(path) == (members, {})


@pytest.mark.parametrize("name", ["/etc/evil", "../evil", "a/../../evil", "C:/evil", "a/.."])
def test_names_that_point_outside_are_left_out(pack, tmp_path, name):
    files, left_out = unpacked(pack({name: b"x", "a/1": b"good"}))
    assert files == {"a/1": b"good"}
    assert left_out == {name: "its name points outside the archive"}
    assert {p.name for p in tmp_path.rglob("*")} == {"upload", "unpacked", "0000000"}


def test_backslashes_are_separators_and_cannot_escape(tmp_path):
    files, left_out = unpacked(make_zip(tmp_path / "a", {"..\\evil": b"x", "cats\\1.png": b"good"}))
    assert files == {"cats/1.png": b"good"}
    assert list(left_out) == ["../evil"]


def test_names_that_differ_by_case_only_do_not_overwrite(pack):
    members = {"a/X.png": b"1", "a/x.png": b"2", "A/x.png": b"3", "a/x.png/y": b"4"}
    assert unpacked(pack(members))[0] == members


def test_the_same_name_twice_keeps_the_first(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(tmp_path / "a", "w") as archive:
        archive.writestr("a/1", b"first")
        archive.writestr("a/1", b"second")
    assert unpacked(tmp_path / "a") == ({"a/1": b"first"}, {"a/1": "in the archive twice; the first was taken"})


def test_system_files_are_left_out_once_per_folder(pack):
    members = {"__MACOSX/a/._1": b"x", "__MACOSX/b": b"x", "a/.DS_Store": b"x", "a/Thumbs.db": b"x", "a/1": b"good"}
    files, left_out = unpacked(pack(members))
    assert list(files) == ["a/1"]
    assert set(left_out) == {"__MACOSX", "a/.DS_Store", "a/Thumbs.db"}


def test_tar_links_and_devices_are_left_out(tmp_path):
    with tarfile.open(tmp_path / "a", "w") as archive:
        for kind, target in [
            (tarfile.SYMTYPE, "/etc/passwd"),
            (tarfile.LNKTYPE, "../../evil"),
            (tarfile.CHRTYPE, ""),
            (tarfile.FIFOTYPE, ""),
        ]:
            info = tarfile.TarInfo(f"a/{kind.decode()}")
            info.type, info.linkname = kind, target
            archive.addfile(info)
    files, left_out = unpacked(tmp_path / "a")
    assert files == {}
    assert set(left_out) == {"a/2", "a/1", "a/3", "a/6"}
    assert left_out["a/2"].startswith("a link")


def test_zip_links_are_left_out(tmp_path):
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        info = zipfile.ZipInfo("a/link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    assert unpacked(tmp_path / "a")[1]["a/link"].startswith("a link")


def test_macos_names_without_the_utf8_flag_are_read_as_utf8(tmp_path):
    path = make_zip(tmp_path / "a", {"XXXX/1": b"good"})
    path.write_bytes(path.read_bytes().replace(b"XXXX", "éé".encode()))
    assert list(unpacked(path)[0]) == ["éé/1"]


@pytest.mark.parametrize("pack", ["zip", "tar.gz", "tar.bz2", "tar.xz"], indirect=True)
def test_a_bomb_is_stopped_by_its_ratio(pack):
    path = pack({"a/1": bytes(3_000_000), "a/2": b""})
    with pytest.raises(ArchiveError, match="unpacks to more than 100 times its size"):
        unpacked(path)


def test_bytes_are_counted_and_not_believed(tmp_path):
    """A zip whose directory declares 10 bytes for a member of 9 million brings no more than the limit."""
    path = make_zip(tmp_path / "a", {"a/1": os.urandom(9_000_000)})
    data = path.read_bytes().replace((9_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(data)
    files, left_out = unpacked(path)
    assert sum(map(len, files.values())) <= 10
    assert "a/1" in left_out


def test_size_and_number_are_bounded(pack):
    path = pack({f"a/{i}": os.urandom(1000) for i in range(20)})
    with pytest.raises(DatasetError, match="more than 19 files"):
        unpacked(path, Limits(num_files=19, num_bytes=10**9))
    (path.parent / "unpacked").rename(path.parent / "first")
    with pytest.raises(DatasetError, match=r"more than 1.5e-05 GB"):
        unpacked(path, Limits(num_files=100, num_bytes=15_000))


def test_bytes_that_a_tar_only_skips_count_too(tmp_path):
    """A hidden member is skipped by decompressing it: terabytes of it would take for ever."""
    path = make_tar(tmp_path / "a", {".hidden": bytes(3_000_000), "a/1": b"good"}, "w:gz")
    with pytest.raises(ArchiveError, match="unpacks to more than 100 times"):
        unpacked(path)


@pytest.mark.parametrize("skip", [lambda stream: stream.seek(10**15), lambda stream: stream.drain()])
def test_what_is_skipped_is_counted_block_by_block(tmp_path, skip):
    """Not at the end of it, which may be days away."""

    class Endless:
        at = 0

        def read(self, size: int = -1, /) -> bytes:
            self.at += size
            assert self.at < 50_000_000, "far beyond what is allowed"
            return bytes(size)

        def tell(self) -> int:
            return self.at

        def seek(self, offset: int, whence: int = 0, /) -> int:
            return offset

    inner = Endless()
    limits = Limits(num_files=100, num_bytes=10**9, free_bytes=10_000_000)
    with pytest.raises(ArchiveError, match="unpacks to more than 100 times"):
        skip(Bounded(inner, Allowance(tmp_path / "a.tar.gz", 1000, limits, never), limit=1000, counts=True))
    assert inner.at < 12_000_000


def test_a_giant_header_is_refused_and_not_read_into_memory(tmp_path):
    with tarfile.open(tmp_path / "a", "w:xz", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("a/1")
        info.pax_headers = {"comment": "x" * 8_000_000}
        archive.addfile(info)
    with pytest.raises(ArchiveError, match="has a header beyond"):
        unpacked(tmp_path / "a", Limits(num_files=100, num_bytes=10**9, free_bytes=10**9))


def test_a_cut_off_archive_is_an_error(pack):
    path = pack({f"a/{i}": os.urandom(3000) for i in range(9)})
    path.write_bytes(path.read_bytes()[:16_000])
    with pytest.raises(ArchiveError, match=r"upload is .*damaged or cut off"):
        unpacked(path)


def test_a_damaged_tar_header_is_not_taken_for_the_end(tmp_path):
    path = make_tar(tmp_path / "a", {"a/1": b"x", "a/2": b"y"})
    data = bytearray(path.read_bytes())
    data[1024 + 10] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match="bad header at byte 1,024"):
        unpacked(path)


def test_a_damaged_member_of_a_zip_costs_only_itself(tmp_path):
    path = make_zip(tmp_path / "a", {"a/1": os.urandom(3000), "a/2": b"good"})
    data = bytearray(path.read_bytes())
    data[1000] ^= 0xFF
    path.write_bytes(data)
    files, left_out = unpacked(path)
    assert files == {"a/2": b"good"}
    assert left_out["a/1"].startswith("damaged in the archive")


def test_a_member_with_a_damaged_header_of_its_own_costs_only_itself(tmp_path):
    path = make_zip(tmp_path / "a", {"a/1": b"good", "a/2": b"lost"})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x03\x04", 4)] = 0
    path.write_bytes(data)
    files, left_out = unpacked(path)
    assert files == {"a/1": b"good"}
    assert left_out["a/2"].startswith("damaged in the archive")


def test_an_encrypted_zip_is_an_error(tmp_path):
    path = make_zip(tmp_path / "a", {"a/1": b"secret"})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"is encrypted \(a/1\): unpack it"):
        unpacked(path)


def test_it_can_be_stopped(pack):
    with pytest.raises(RunCancelledError):
        unpacked(pack({"a/1": b"x"}), should_stop=lambda: True)


@pytest.mark.parametrize(
    ("method", "words"),
    [(zipfile.ZIP_BZIP2, "bzip2"), (zipfile.ZIP_LZMA, "LZMA"), (9, "Deflate64"), (97, "method 97")],
)
def test_zip_methods_that_come_out_in_one_piece_are_refused(tmp_path, method, words):
    """600 MB of zeros are 600 bytes of bzip2, which Python's zipfile puts into memory at once."""
    path = make_zip(tmp_path / "a", {"a/1": b"x" * 100})
    data = path.read_bytes().replace(b"\x08\x00", method.to_bytes(2, "little"))
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match=rf"is packed with {words} \(a/1\), which is not read here: unpack it and"):
        unpacked(path)


def header(name: str, kind: bytes, data: bytes) -> bytes:
    """One entry of a tar, whatever its kind."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data)
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)


def pax(key: str, value: str) -> bytes:
    """A record of an extended header, which begins with its own length."""
    length = len(key) + len(value) + 3
    return f"{length + len(str(length + len(str(length))))} {key}={value}\n".encode()


GOOD = header("a/1", tarfile.REGTYPE, b"good") + bytes(1024)


def test_a_chain_of_headers_is_an_error_and_no_recursion(tmp_path):
    (tmp_path / "a").write_bytes(header("x", tarfile.GNUTYPE_LONGNAME, b"") * 2000 + GOOD)
    with pytest.raises(ArchiveError, match=r"damaged or cut off \(too many headers in a row"):
        unpacked(tmp_path / "a")


def test_headers_in_a_row_are_bounded_together(tmp_path):
    (tmp_path / "a").write_bytes(header("x", tarfile.XGLTYPE, pax("k", "v" * 900_000)) * 3 + GOOD)
    with pytest.raises(ArchiveError, match="has a header beyond 2,097,152 bytes"):
        unpacked(tmp_path / "a")


def test_global_headers_are_not_kept_for_all_that_follows(tmp_path, monkeypatch):
    """Each may have a megabyte, and an archive as many of them as it has members."""
    seen = []
    real = archives._count_member
    monkeypatch.setattr(archives, "_count_member", lambda state: real(state) or seen.append(len(tars[0].pax_headers)))
    tars = []
    opened = tarfile.open
    monkeypatch.setattr(tarfile, "open", lambda *args, **kwargs: tars.append(opened(*args, **kwargs)) or tars[-1])
    parts = [header("x", tarfile.XGLTYPE, pax(f"k{n}", "v")) + header(f"a/{n}", b"0", b"good") for n in range(5)]
    (tmp_path / "a").write_bytes(b"".join(parts) + bytes(1024))
    assert len(unpacked(tmp_path / "a")[0]) == 5
    assert max(seen) <= 1


def test_an_xz_that_asks_for_much_memory_is_refused(tmp_path):
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 512 * 1024 * 1024, "mode": lzma.MODE_FAST, "mf": lzma.MF_HC3}]
    (tmp_path / "a").write_bytes(lzma.compress(GOOD, format=lzma.FORMAT_XZ, filters=filters)[:400])
    with pytest.raises(ArchiveError, match="Memory usage limit"):
        unpacked(tmp_path / "a")


def test_an_xz_of_several_streams_is_read_whole(tmp_path):
    data = make_tar(tmp_path / "plain", {"a/1": os.urandom(40_000), "a/2": b"good"}).read_bytes()
    (tmp_path / "a").write_bytes(lzma.compress(data[:30_000]) + lzma.compress(data[30_000:]) + bytes(8))
    assert unpacked(tmp_path / "a")[0]["a/2"] == b"good"


@pytest.mark.parametrize("pack", ["tar.gz", "tar.bz2", "tar.xz"], indirect=True)
def test_the_sum_at_the_end_of_a_compressed_tar_is_checked(pack):
    """tarfile stops at the end of the archive, before the sum that tells that what was unpacked is damaged."""
    path = pack({"a/1": os.urandom(30_000)})
    data = bytearray(path.read_bytes())
    data[-6] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match="damaged or cut off"):
        unpacked(path)


def test_folders_nested_without_end_are_left_out(pack):
    files, left_out = unpacked(pack({"d/" * 70 + "1.png": b"x", "d/" * 64 + "1.png": b"good"}))
    assert list(files.values()) == [b"good"]
    assert list(left_out.values()) == ["more than 64 folders deep"]


def test_a_colon_is_no_drive(pack):
    files, left_out = unpacked(pack({"order: cats/1": b"good", "c:/1": b"x", "D:x": b"x"}))
    assert list(files) == ["order: cats/1"]
    assert set(left_out) == {"c:/1", "D:x"}


def test_names_that_read_the_same_are_told_apart(pack):
    files, left_out = unpacked(pack({"a/e\u0301.png": b"1", "a/\u00e9.png": b"2", "a/x\x07": b"3", "a/x\x1b": b"4"}))
    assert files == {"a/é.png": b"1", "a/é~2.png": b"2", "a/x\ufffd": b"3", "a/x\ufffd~2": b"4"}
    assert left_out == {}


def test_folders_with_backslashes_are_folders(tmp_path):
    files, left_out = unpacked(make_zip(tmp_path / "a", {"cats\\": b"", "cats\\1.png": b"good"}))
    assert (files, left_out) == ({"cats/1.png": b"good"}, {})


def test_progress_moves_with_the_bytes_that_were_read(pack):
    told = []
    path = pack({f"a/{n}": os.urandom(150_000) for n in range(20)})
    unpack(path, path.parent / "unpacked", LIMITS, lambda *news: told.append(news), never)
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.5
    assert shares[-1] > 0.8
    assert told[-1][1] == "Unpacked 20 files"


@pytest.mark.parametrize("change", ["grow", "shrink", "rewrite"])
def test_an_archive_that_changes_while_it_is_read_is_an_error(pack, change):
    path = pack({f"a/{n}": os.urandom(100_000) for n in range(10)})

    def meddle(done: float, words: str) -> None:
        if words == "Unpacked 2 files":
            with path.open("r+b") as file:
                if change == "grow":
                    file.seek(0, os.SEEK_END)
                    file.write(b"more")
                elif change == "shrink":
                    file.truncate(path.stat().st_size - 20_000)
                else:
                    file.seek(300_000)
                    file.write(b"other")
            os.utime(path, ns=(0, time.time_ns() + 10**9))

    with pytest.raises(ArchiveError, match="upload changed while it was read: wait until it is complete, then import"):
        unpack(path, path.parent / "unpacked", LIMITS, meddle, never)


def test_an_archive_that_is_replaced_or_removed_while_it_is_read_is_read_as_it_was(pack):
    members = {f"a/{n}": os.urandom(1000) for n in range(10)}
    path = pack(members)

    def meddle(done: float, words: str) -> None:
        path.unlink(missing_ok=True)

    files, _ = unpack(path, path.parent / "unpacked", LIMITS, meddle, never)
    assert {"/".join(below): file.read_bytes() for below, file in files.items()} == members

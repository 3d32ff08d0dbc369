"""Imports from end to end: what lands, what is left out, and that a failed import leaves nothing."""

import contextlib
import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from unittest.mock import patch

import pytest
from PIL import Image

from tests.helpers import draw, make_image_folder
from tlcore.datasets import staging
from tlcore.datasets.content import head_of
from tlcore.datasets.intake import add_dataset, adding
from tlcore.datasets.pictures import inspector
from tlcore.datasets.pictures.inspection import Inspected
from tlcore.datasets.splits import make_split
from tlcore.datasets.store import load_dataset
from tlcore.datasets.versions import pack
from tlcore.errors import ArchiveError, DatasetError, RunCancelledError, StorageError
from tlcore.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]


def leftovers(home: Path) -> list[str]:
    """What lies in the home's dataset folder beside the lock."""
    return sorted(p.name for p in (home / "datasets").iterdir() if p.name != ".lock")


def packed(folder: Path, kind: str) -> Path:
    target = folder.parent / f"My Images.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(target, "w") as archive:
            for path in sorted(folder.rglob("*.png")):
                archive.write(path, path.relative_to(folder.parent))
    else:
        with tarfile.open(target, f"w:{kind.partition('.')[2]}") as archive:
            archive.add(folder, folder.name)
    return target


def test_a_folder_lands_whole(tmp_path, settings):
    source = make_image_folder(tmp_path, ("ants", "bees"), 10, (48, 32))
    told = []
    info = add_dataset(source, "My Insects", settings, lambda done, words: told.append((done, words)))
    dataset = load_dataset(info.id, settings)
    assert info.id == f"my-insects-{info.fingerprint[:8]}"
    assert (info.classes, info.num_images, info.given) == (("ants", "bees"), 20, "none")
    assert (info.class_counts, info.part_counts) == ({"ants": 10, "bees": 10}, {"": 20})
    assert (info.short_side, info.left_out, info.notes) == (32, (), ())
    assert info.total_bytes == sum(p.stat().st_size for p in source.rglob("*.png"))
    for image in dataset.images.itertuples():
        original = source / image.path
        assert (dataset.root / image.path).read_bytes() == original.read_bytes()
        assert info.classes[image.label] == original.parent.name
        assert (image.width, image.height, image.mode) == (48, 32, "RGB")
    assert told[0][0] == 0.0
    assert told[-1] == (1.0, "20 images")
    assert all(0 <= done <= 1 for done, _ in told)
    assert leftovers(settings.root) == [info.id]


def same(again, first):
    """The dataset that is there, with what this import has to say: its own left-out files and notes."""
    own = {"left_out": first.left_out, "notes": first.notes}
    return again.model_copy(update=own) == first and any(first.id in note for note in again.notes)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_archive_and_folder_give_the_same_dataset(tmp_path, settings, kind):
    source = make_image_folder(tmp_path, 3, 6, parts=("train", "val"))
    archive = packed(source, kind)
    info = add_dataset(archive, settings=settings)
    assert (info.name, info.given, info.part_counts) == ("My Images", "train_val", {"train": 18, "val": 18})
    again = add_dataset(source, "other name", settings)
    assert same(again, info)
    assert leftovers(settings.root) == [info.id]
    assert archive.exists()


def test_row_order_follows_content_and_not_names(tmp_path, settings):
    """Caches are kept by fingerprint and read by row number, so equal content must mean equal rows."""
    make_image_folder(tmp_path, 2, 8)
    shutil.copytree(tmp_path / "images", tmp_path / "parts" / "train")
    (tmp_path / "parts" / "test").mkdir()
    for label in ("class_0", "class_1"):
        moved = sorted((tmp_path / "parts" / "train" / label).iterdir())[:3]
        for number, path in enumerate(moved):
            path.rename(path.with_name(f"{9 - number}.png"))
        shutil.copytree(tmp_path / "parts" / "train" / label, tmp_path / "parts" / "test" / label)
        for path in (tmp_path / "parts" / "test" / label).glob("class*"):
            path.unlink()
        for path in (tmp_path / "parts" / "train" / label).glob("?.png"):
            path.unlink()
    one = add_dataset(tmp_path / "images", "a", settings)
    other = add_dataset(tmp_path / "parts", "a", settings)
    assert one.fingerprint == other.fingerprint
    assert (one.given, other.given, other.id) == ("none", "train_test", f"{one.id}-2")
    first, second = load_dataset(one.id, settings).images, load_dataset(other.id, settings).images
    assert first[["label", "sha256"]].equals(second[["label", "sha256"]])


def test_a_table_of_labels(tmp_path, settings):
    make_image_folder(tmp_path, 2, 4)
    pictures = tmp_path / "flat"
    pictures.mkdir()
    rows = ["filename;class;set"]
    for label in ("class_0", "class_1"):
        for number, path in enumerate(sorted((tmp_path / "images" / label).iterdir())):
            path.rename(pictures / path.name)
            rows.append(f"{path.name};{label}/..;{'test' if number == 0 else 'train'}")
    (pictures / "labels.csv").write_text("\n".join(rows))
    info = add_dataset(pictures / "labels.csv", settings=settings)
    assert (info.classes, info.given) == (("class_0_..", "class_1_.."), "train_test")
    assert info.part_counts == {"test": 2, "train": 6}
    assert same(add_dataset(pictures, settings=settings), info)
    dataset = load_dataset(info.id, settings)
    assert all((dataset.root / path).resolve().is_relative_to(dataset.root) for path in dataset.images["path"])


def test_bad_files_are_left_out_by_name(tmp_path, settings):
    source = make_image_folder(tmp_path, ("ants", "bees"), 5)
    picture = source / "ants" / "ants_0000.png"
    (source / "ants" / "cut off.png").write_bytes(picture.read_bytes()[:-500])
    (source / "bees" / "notes.txt").write_text("hello")
    (source / "bees" / "really a png.jpg").write_bytes(picture.read_bytes())
    (source / "bees" / ".DS_Store").write_bytes(b"x")
    info = add_dataset(source, settings=settings)
    assert {x.path: x.reason for x in info.left_out} == {
        "ants/cut off.png": "damaged: the file ends too early",
        "bees/notes.txt": "not an image but text",
        "bees/.DS_Store": "hidden or left by the system",
    }
    assert info.num_images == 11
    assert any("1 picture occurs under more than one class" in note for note in info.notes)
    dataset = load_dataset(info.id, settings)
    assert sorted(p.relative_to(dataset.root).as_posix() for p in dataset.root.rglob("*.*")) == sorted(
        dataset.images["path"]
    )


def test_names_that_differ_by_case_only_keep_both_files(tmp_path, settings):
    source = make_image_folder(tmp_path, ("ants", "Ants"), 4)
    for folder in ("ants", "Ants"):
        for path in sorted((source / folder).iterdir()):
            path.rename(path.with_name(path.name.lower()))
    shutil.copy(source / "ants" / "ants_0000.png", source / "ants" / "ANTS_0001.png")
    info = add_dataset(source, settings=settings)
    paths = load_dataset(info.id, settings).images["path"]
    assert info.class_counts == {"Ants": 4, "ants": 5}
    assert len({path.casefold() for path in paths}) == 9


def test_exif_orientation_counts_for_the_size(tmp_path, settings):
    source = make_image_folder(tmp_path, 2, 4)
    exif = Image.Exif()
    exif[0x112] = 6
    draw(0, 2, 50, (40, 20)).save(source / "class_0" / "turned.jpg", exif=exif)
    dataset = load_dataset(add_dataset(source, settings=settings).id, settings)
    turned = dataset.images[dataset.images["path"].str.endswith("turned.jpg")].iloc[0]
    assert (turned.width, turned.height) == (20, 40)


def test_class_names_that_differ_by_spaces_alone_are_one_class(tmp_path, settings):
    """As in tables and edits, so that a version's zip gives the same dataset again."""
    info = add_dataset(make_image_folder(tmp_path, ("cat", "cat ", "dog"), 5), settings=settings)
    assert info.class_counts == {"cat": 10, "dog": 5}
    assert "Classes whose names differ by spaces alone are one class: cat." in info.notes


def with_labels(folder: Path, *labels: str) -> Path:
    """Pictures with a table of labels, four of each."""
    source = make_image_folder(folder, len(labels), 4)
    rows = [f'{path.relative_to(source)},"{labels[i // 4]}"' for i, path in enumerate(sorted(source.rglob("*.png")))]
    (source / "labels.csv").write_text("\n".join(["path,label", *rows]))
    return source


def test_a_table_in_a_folder_may_hold_absolute_paths_inside_it(tmp_path, settings):
    source = with_labels(tmp_path, "cat", "dog")
    relative = add_dataset(source, settings=settings)
    (tmp_path / "alias").symlink_to(tmp_path)
    table = source / "labels.csv"
    lines = table.read_text().splitlines()
    for place, root in enumerate((source, tmp_path / "alias" / "images")):
        table.write_text("\n".join([lines[0], *(f"{root}/{line}" for line in lines[1:])]))
        again = add_dataset(source, str(place), settings=settings)
        assert (again.id, again.classes) == (relative.id, ("cat", "dog"))


@pytest.mark.parametrize("root", ["/elsewhere", "C:\\pictures", "/elsewhere/.."])
def test_a_table_whose_paths_lead_outside_is_refused_by_one_of_them(tmp_path, settings, root):
    made = make_image_folder(tmp_path, 2, 4)
    flat = tmp_path / "flat"
    flat.mkdir()
    names = [path.rename(flat / path.name).name for path in sorted(made.rglob("*.png"))]
    rows = [f"{root}/{name},{name[:7]}" for name in names]
    (flat / "labels.csv").write_text("\n".join(["path,label", *rows]))
    shown = root.replace("\\", "/")
    for source, inside in ((flat, str(flat)), (packed_all(flat), "this archive")):
        with pytest.raises(DatasetError) as caught:
            add_dataset(source, settings=settings)
        assert str(caught.value) == (
            f"labels.csv names {shown}/class_0_0000.png, which is not inside {inside}: "
            "write paths relative to the table"
        )


def test_folders_do_without_a_table_that_leads_outside_and_a_note_says_so(tmp_path, settings):
    source = with_labels(tmp_path, "cat", "dog")
    lines = (source / "labels.csv").read_text().splitlines()
    (source / "labels.csv").write_text("\n".join([lines[0], *(f"/elsewhere/{line}" for line in lines[1:])]))
    info = add_dataset(source, settings=settings)
    assert info.classes == ("class_0", "class_1")
    assert any(note.startswith("labels.csv names /elsewhere/") and note.endswith("not used.") for note in info.notes)


def test_labels_that_no_folder_can_have_are_changed_and_survive_the_zip(tmp_path, settings, monkeypatch):
    info = add_dataset(with_labels(tmp_path, "a/b", r"a\c", "..", "x" * 130), settings=settings)
    assert info.classes == ("_..", "a_b", "a_c", "x" * 100)
    assert any("no folder can have were changed: '..' is called '_..', 'a/b' is called 'a_b'" in n for n in info.notes)
    file = pack(info.id, tmp_path / "out.zip", settings)
    monkeypatch.setenv("TLCORE_HOME", str(tmp_path / "other"))
    again = add_dataset(file)
    assert (again.classes, again.fingerprint) == (info.classes, info.fingerprint)


def test_labels_that_would_become_one_class_are_refused(tmp_path, settings):
    with pytest.raises(DatasetError, match=r"the classes 'a/b' and 'a_b' would both be called 'a_b'.*: rename one"):
        add_dataset(with_labels(tmp_path, "a/b", "a_b"), settings=settings)
    assert leftovers(settings.root) == []


def test_fifty_and_fifty(tmp_path, settings):
    info = add_dataset(make_image_folder(tmp_path, 2, 50, 16), settings=settings)
    split = make_split(load_dataset(info.id, settings), 0)
    assert (len(split.train), len(split.val), len(split.test)) == (60, 20, 20)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda t: t / "gone", DatasetError, "there is no file or folder .*gone: check the path"),
        (
            lambda t: write(t / "a.zip", b"\x00\x01no archive"),
            ArchiveError,
            "a.zip is no zip, tar .* a file of unknown",
        ),
        (lambda t: write(t / "a.rar", b"Rar!\x1a\x07"), ArchiveError, "a.rar is no zip, tar .* a RAR archive: pack"),
        (lambda t: write(t / "a.zip", b"PK\x03\x04" + b"x" * 99), ArchiveError, "a.zip is a zip archive, but damaged"),
        (lambda t: make_image_folder(t, 1, 4), DatasetError, "has one class only, 'class_0': at least two are needed"),
        (lambda t: make_image_folder(t, 2, 0), DatasetError, "no images found in .*images: put one folder per class"),
        (
            lambda t: make_image_folder(t, 2, 3, parts=("val", "test")),
            DatasetError,
            "there are val and test images but none",
        ),
        (lambda t: next(make_image_folder(t, 2, 1).rglob("*.png")), DatasetError, "is a single image: give its folder"),
        (lambda t: write(t / "a.csv", b"a,b\n1,2\n"), DatasetError, "a.csv has no columns for path and label"),
        (lambda t: t, DatasetError, "holds Transfer Lab's own"),
        (
            lambda t: broken(make_image_folder(t, 2, 3)),
            DatasetError,
            "no usable images in .*; 6 files were left out, such",
        ),
    ],
)
def test_bad_input_is_one_clear_line_and_leaves_nothing(tmp_path, settings, make, kind, message):
    with pytest.raises(kind, match=message) as caught:
        add_dataset(make(tmp_path), settings=settings)
    assert "\n" not in str(caught.value)
    assert not (settings.datasets).exists() or leftovers(settings.root) == []


@pytest.mark.parametrize("inside", ["jobs", "jobs/queue.db", "mlflow.db", "datasets"])
def test_what_lies_in_the_home_is_no_source_but_for_uploads(tmp_path, settings, inside):
    place = settings.root / inside
    make_image_folder(place if place.suffix == "" else place.parent, 2, 3)
    if place.suffix:
        place.write_bytes(b"SQLite format 3")
    with pytest.raises(DatasetError, match=r"lies in Transfer Lab's own .*: move the images elsewhere"):
        add_dataset(place, settings=settings)
    assert add_dataset(make_image_folder(settings.uploads, 2, 3), settings=settings).num_images == 6


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def broken(folder: Path) -> Path:
    for path in folder.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:100])
    return folder


def test_a_cancelled_import_leaves_nothing(tmp_path, settings):
    source = make_image_folder(tmp_path, 2, 30)
    seen = []

    def stop() -> bool:
        return bool(list(settings.datasets.glob(".staging-*/dataset/files/*/*.png")) and seen.append(1) is None)

    with pytest.raises(RunCancelledError, match="nothing was kept"):
        add_dataset(source, settings=settings, should_stop=stop)
    assert seen
    assert leftovers(settings.root) == []


def test_a_full_disk_leaves_nothing(tmp_path, settings, monkeypatch):
    source = make_image_folder(tmp_path, 2, 5)
    placed = []

    def place_file(source: Path, target: Path, move: bool, root: Path) -> None:
        placed.append(target)
        if len(placed) > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        staging.place_file(source, target, move, root)

    monkeypatch.setattr(adding, "place_file", place_file)
    with pytest.raises(StorageError, match=r"the disk is full .*: nothing was kept; free some space"):
        add_dataset(source, settings=settings)
    assert leftovers(settings.root) == []


def test_more_than_the_disk_can_hold_is_refused_at_once(tmp_path, settings, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(StorageError, match=r"are needed but .* has 0\.00 GB free"):
        add_dataset(make_image_folder(tmp_path, 2, 5), settings=settings)
    assert leftovers(settings.root) == []


def test_limits_of_the_installation_hold(tmp_path, settings, home):
    source = make_image_folder(tmp_path, 2, 5)
    with pytest.raises(DatasetError, match="more than 9 files"):
        add_dataset(source, settings=Settings(home=home, max_dataset_files=9))
    with pytest.raises(DatasetError, match="more than 1e-06 GB"):
        add_dataset(packed(source, "zip"), settings=Settings(home=home, max_dataset_gb=1e-6))
    assert leftovers(home) == []


def test_a_killed_import_is_cleared_away_by_the_next_and_a_live_one_is_not(tmp_path, settings):
    source = make_image_folder(tmp_path, 2, 5)
    os.mkfifo(tmp_path / "gate")
    script = (
        "import sys; from pathlib import Path; from tlcore.datasets.intake import add_dataset\n"
        "def wait(done, words):\n"
        "    if list(Path(sys.argv[3]).glob('datasets/.staging-*')):\n"
        "        print('in', flush=True); open(sys.argv[2]).read()\n"
        "add_dataset(Path(sys.argv[1]), progress=wait)\n"
    )
    command = [sys.executable, "-c", script, str(source), str(tmp_path / "gate"), str(settings.root)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        info = add_dataset(source, settings=settings)
        assert len([name for name in leftovers(settings.root) if not name.endswith(".lock")]) == 2
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert same(add_dataset(source, settings=settings), info)
        assert leftovers(settings.root) == [info.id]
    finally:
        process.kill()
        process.wait()


def test_two_imports_at_once_land_one_dataset(tmp_path, settings):
    source = make_image_folder(tmp_path, 2, 5)
    script = "import sys; from tlcore.datasets.intake import add_dataset; print(add_dataset(sys.argv[1]).id)"
    command = [sys.executable, "-c", script, str(source)]
    processes = [subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    ids = {process.communicate(timeout=120)[0].strip() for process in processes}
    assert leftovers(settings.root) == sorted(ids)
    assert len(ids) == 1


def test_faults_of_given_parts_are_told(tmp_path, settings):
    source = make_image_folder(tmp_path, ("a", "b", "c"), 4, parts=("train", "test"))
    shutil.rmtree(source / "test" / "c")
    shutil.copy(source / "train" / "a" / "a_0000.png", source / "test" / "a" / "copy.png")
    notes = add_dataset(source, settings=settings).notes
    assert "The given test part has no image of c." in notes
    assert "1 picture occurs in more than one of the given parts: results may look too good." in notes


class Meddler:
    """Does something to the source once, when an import has asked `number` times whether to stop."""

    def __init__(self, number: int, meddle) -> None:
        self.left, self.meddle = number, meddle

    def __call__(self) -> bool:
        self.left -= 1
        if self.left == 0:
            self.meddle()
        return False


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("meddle", [Path.unlink, pipe, link, folder])
def test_a_folder_that_changes_while_it_is_read_is_an_error_or_harmless(tmp_path, settings, meddle):
    """At many moments of the listing and the look at the first bytes; no pipe is waited for, no link followed."""
    for moment in range(1, 32, 2):
        source = make_image_folder(tmp_path / str(moment), ("ants", "bees"), 7)
        victim = source / "bees" / "bees_0003.png"
        expected = {path.read_bytes() for path in source.rglob("*.png")}
        with in_this_process():
            try:
                info = add_dataset(source, "made", settings, should_stop=Meddler(moment, lambda it=victim: meddle(it)))
            except DatasetError as error:
                assert "changed during the import" in str(error)
                continue
        root = load_dataset(info.id, settings).root
        assert {path.read_bytes() for path in root.rglob("*.png")} <= expected
        assert 13 <= info.num_images <= 14
    assert {name[:5] for name in leftovers(settings.root)} <= {"made-"}


@contextlib.contextmanager
def in_this_process():
    """Decode images here, without children, which take most of the time of a small import."""

    def inspect_here(paths, command, *args, **kwargs):
        for index, path in enumerate(paths):
            yield index, Inspected(**inspector.inspect(path, Path(command[-1])))

    with patch.object(adding, "inspect_files", inspect_here):
        yield


def test_a_file_that_is_gone_when_it_is_copied_is_a_clear_error(tmp_path, settings, monkeypatch):
    source = make_image_folder(tmp_path, 2, 5)
    monkeypatch.setattr(adding, "check_space", lambda place, size: shutil.rmtree(source / "class_1"))
    with pytest.raises(DatasetError, match=r"class_1_0000\.png changed during the import .*: import again"):
        add_dataset(source, settings=settings)
    assert leftovers(settings.root) == []


def test_a_pipe_in_the_place_of_a_file_that_is_to_be_copied_is_not_read(tmp_path, settings, monkeypatch):
    source = make_image_folder(tmp_path, 2, 5)
    victim = source / "class_1" / "class_1_0003.png"
    monkeypatch.setattr(adding, "check_space", lambda place, size: pipe(victim))
    with pytest.raises(DatasetError, match=r"class_1_0003\.png changed during the import \(no plain file any more\)"):
        add_dataset(source, settings=settings)
    assert leftovers(settings.root) == []


def test_a_folder_swapped_for_a_link_is_not_followed(tmp_path, settings, monkeypatch):
    """Between the listing and the copying; what the link leads to has files of the same names."""
    source = make_image_folder(tmp_path, 2, 5)
    secret = make_image_folder(tmp_path / "elsewhere", 2, 5)

    def swap(place: Path, size: int) -> None:
        (source / "class_1").rename(tmp_path / "away")
        (source / "class_1").symlink_to(secret / "class_1")

    monkeypatch.setattr(adding, "check_space", swap)
    with pytest.raises(DatasetError, match=r"class_1_0000\.png changed during the import .*: import again"):
        add_dataset(source, settings=settings)
    assert leftovers(settings.root) == []


def test_an_image_swapped_for_a_link_to_another_image_is_not_followed(tmp_path, settings, monkeypatch):
    source = make_image_folder(tmp_path, 2, 5)
    secret = make_image_folder(tmp_path / "elsewhere", 3, 1) / "class_2" / "class_2_0000.png"
    victim = source / "class_1" / "class_1_0003.png"

    def swap(place: Path, size: int) -> None:
        victim.unlink()
        victim.symlink_to(secret)

    monkeypatch.setattr(adding, "check_space", swap)
    with pytest.raises(DatasetError, match=r"class_1_0003\.png changed during the import .*: import again"):
        add_dataset(source, settings=settings)
    assert leftovers(settings.root) == []


def test_a_table_may_name_files_through_a_link_inside_its_folder(tmp_path, settings):
    source = make_image_folder(tmp_path, 2, 4)
    (source / "alias").symlink_to(source / "class_0")
    rows = [f"alias/{p.name},a" for p in (source / "class_0").iterdir()]
    rows += [f"class_1/{p.name},b" for p in (source / "class_1").iterdir()]
    (source / "labels.csv").write_text("\n".join(["path,label", *rows]))
    assert add_dataset(source / "labels.csv", settings=settings).class_counts == {"a": 4, "b": 4}


def test_a_file_that_grows_while_it_is_copied_ends(tmp_path):
    """As a log does that somebody writes faster than it is read."""
    source = write(tmp_path / "a", bytes(3_000_000))

    class Growing(io.FileIO):
        def read(self, size: int = -1) -> bytes:
            with source.open("ab") as file:
                file.write(bytes(2_000_000))
            return super().read(size)

    with patch.object(staging.os, "fdopen", Growing):
        staging.place_file(source, tmp_path / "b", move=False)
    assert (tmp_path / "b").stat().st_size == 3_000_000


def test_the_first_bytes_of_a_pipe_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert head_of(tmp_path / "pipe") == b""


def test_a_path_that_no_disk_can_have_is_one_clear_line(settings):
    with pytest.raises(DatasetError, match=r"there is nothing at .*File name too long.*: check the path"):
        add_dataset("x" * 5000, settings=settings)
    with pytest.raises(DatasetError, match="there is no file or folder"):
        add_dataset("a\0b", settings=settings)


def test_the_limits_say_how_to_raise_them(tmp_path, home):
    source = make_image_folder(tmp_path, 2, 5)
    rows = [f"{path.relative_to(source)},{path.parent.name}" for path in source.rglob("*.png")]
    table = write(source / "labels.csv", "\n".join(["path,label", *rows]).encode())
    for given in (source, packed(source, "tar.gz"), table):
        with pytest.raises(DatasetError, match=r"9 (files|rows): .*raise the limit with .*TLCORE_MAX_DATASET_FILES"):
            add_dataset(given, settings=Settings(home=home, max_dataset_files=9))
        with pytest.raises(DatasetError, match=r"1e-06 GB: .*raise the limit with .*TLCORE_MAX_DATASET_GB"):
            add_dataset(given, settings=Settings(home=home, max_dataset_gb=1e-6))
    assert leftovers(home) == []


@pytest.mark.parametrize("kind", ["folder", "zip", "tar.xz"])
def test_progress_moves_through_every_stage(tmp_path, settings, kind):
    source = make_image_folder(tmp_path, 2, 30, 40)
    told = []
    add_dataset(source if kind == "folder" else packed(source, kind), None, settings, lambda *news: told.append(news))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    unpacking = {share for share, words in told if words.startswith("Unpacked")}
    checking = {share for share, words in told if words.startswith("Checked")}
    assert len(checking) >= 3
    assert bool(unpacking) == (kind != "folder")
    assert all(0 < share <= 0.3 for share in unpacking)


def test_class_folders_with_a_table_in_each_part(tmp_path, settings):
    """End to end, as the Hugging Face hub has image folders."""
    for part in ("train", "validation", "test"):
        made = make_image_folder(tmp_path / part, ("ants", "bees"), 4)
        target = tmp_path / "set" / part
        target.mkdir(parents=True)
        rows = []
        for number, path in enumerate(sorted(made.rglob("*.png"))):
            path.rename(target / f"{number}.PNG")
            rows.append(f"{number}.PNG,{path.parent.name}")
        (target / "metadata.csv").write_text("\n".join(["file_name,label", *rows]))
    info = add_dataset(packed_all(tmp_path / "set"), settings=settings)
    assert (info.classes, info.given) == (("ants", "bees"), "train_val_test")
    assert info.part_counts == {"test": 8, "train": 8, "val": 8}
    assert info.left_out == ()


def packed_all(source: Path) -> Path:
    return Path(shutil.make_archive(str(source), "zip", source))

"""Labels come from folders or tables, however people arrange them."""

import os
from pathlib import Path

import pytest

from tlcore.datasets.files import Limits, list_files, sort_out
from tlcore.datasets.intake.discovery import discover, discover_by_table
from tlcore.datasets.names import UniquePaths, is_placeholder, part_of, safe_name, slug
from tlcore.errors import DatasetError

LIMITS = Limits(num_files=1000, num_bytes=10**9)
PNG = b"\x89PNG\r\n\x1a\n"

OUTSIDE = "its path points outside the folder of the table: write paths relative to the table"


def lay(root: Path, *paths: str, **texts: str) -> Path:
    """Files that look like images by their first bytes, and tables (`labels_csv="…"`)."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(PNG)
    for name, text in texts.items():
        (root / name.replace("_csv", ".csv")).write_text(text, encoding="utf-8")
    return root


def found(root: Path):
    """({path: (label, part)}, {path: reason}, notes) of a folder."""
    result = discover(sort_out(*list_files(root, LIMITS)), LIMITS, "the source")
    labels = {"/".join(e.below): (e.label, e.part) for e in result.entries}
    return labels, {x.path: x.reason for x in result.left_out}, result.notes


def test_class_folders(tmp_path):
    labels, left_out, _ = found(lay(tmp_path, "cats/1", "cats/deep/2", "dogs/1"))
    assert labels == {"cats/1": ("cats", ""), "cats/deep/2": ("cats", ""), "dogs/1": ("dogs", "")}
    assert left_out == {}


@pytest.mark.parametrize(
    ("folder", "part"),
    [
        ("train", "train"),
        ("TRAINING", "train"),
        ("val", "val"),
        ("Valid", "val"),
        ("validation", "val"),
        ("dev", "val"),
        ("Test", "test"),
        ("testing", "test"),
    ],
)
def test_part_folders_in_any_case(tmp_path, folder, part):
    labels, left_out, _ = found(lay(tmp_path, f"{folder}/cats/1", f"{folder}/dogs/1", "other/cats/1", "train/cats/9"))
    assert labels[f"{folder}/cats/1"] == ("cats", part)
    assert left_out == {"other/cats/1": "outside the train, val and test folders"}


def test_a_wrapping_folder_is_descended(tmp_path):
    labels, left_out, _ = found(
        lay(tmp_path, "data/v2/train/cats/1", "data/v2/val/cats/2", "data/preview.png", "x.png")
    )
    assert labels == {"data/v2/train/cats/1": ("cats", "train"), "data/v2/val/cats/2": ("cats", "val")}
    assert left_out == dict.fromkeys(["data/preview.png", "x.png"], "not in a class folder")


def test_one_class_alone_is_not_taken_for_a_wrapping_folder(tmp_path):
    labels, _, _ = found(lay(tmp_path, "cats/1", "cats/2"))
    assert set(labels.values()) == {("cats", "")}


def test_a_class_may_be_called_train(tmp_path):
    labels, _, _ = found(lay(tmp_path, "train/1", "plane/1", "car/1"))
    assert labels["train/1"] == ("train", "")


def test_parts_below_the_classes(tmp_path):
    labels, _, _ = found(lay(tmp_path, "cats/train/1", "cats/test/2", "dogs/train/1", "dogs/test/2"))
    assert labels["cats/test/2"] == ("cats", "test")
    assert labels["dogs/train/1"] == ("dogs", "train")


def test_stray_files_are_reported_and_not_errors(tmp_path):
    lay(tmp_path, "cats/1", "dogs/1", "stray.png", "__MACOSX/cats/1", ".git/x", "cats/.DS_Store", "dogs/Thumbs.db")
    (tmp_path / "README.txt").write_text("about these data")
    (tmp_path / "dogs" / "imageNotFound.gif").write_bytes(b"GIF89a")
    (tmp_path / "dogs" / "link.png").symlink_to("/etc/passwd")
    (tmp_path / "linked").symlink_to(tmp_path / "cats")
    os.mkfifo(tmp_path / "cats" / "pipe.png")
    labels, left_out, _ = found(tmp_path)
    assert set(labels) == {"cats/1", "dogs/1"}
    assert left_out == {
        "stray.png": "not in a class folder",
        "__MACOSX": "hidden or left by the system",
        ".git": "hidden or left by the system",
        "cats/.DS_Store": "hidden or left by the system",
        "dogs/Thumbs.db": "hidden or left by the system",
        "README.txt": "not an image but text",
        "dogs/imageNotFound.gif": "a site's stand-in for a missing photo, by its name",
        "dogs/link.png": "a link (put the file itself here)",
        "linked": "a link (put the file itself here)",
        "cats/pipe.png": "not a plain file",
    }


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ((), "no images found in the source: put one folder per class"),
        (("1.png", "2.png"), "the 2 images in the source are in no class folders"),
        (("train/1", "test/2"), "the 2 images in the source are in no class folders"),
    ],
)
def test_what_has_no_labels_is_an_error(tmp_path, paths, message):
    with pytest.raises(DatasetError, match=message):
        found(lay(tmp_path, *paths))


@pytest.mark.parametrize(
    "header",
    ["path,label", "Filename,Class", "image;target", "file\tcategory", "\ufeffImage Path,CLASS_NAME", "label,id"],
)
def test_table_headers_as_people_write_them(tmp_path, header):
    delimiter = next(c for c in ",;\t" if c in header)
    cells = ["cats", "img/1.png"] if header == "label,id" else ["img/1.png", "cats"]
    text = f"{header}\n{delimiter.join(cells)}\n"
    labels, _, notes = found(lay(tmp_path, "img/1.png", "img/2.png", labels_csv=text))
    assert labels == {"img/1.png": ("cats", "")}
    assert notes == ["Labels were read from labels.csv."]


def test_table_rows_find_their_files(tmp_path):
    text = (
        "image_id,dx,split\n"
        "a,cats,train\n"  # no folder, no extension
        "sub/b.png,dogs,Validation\n"  # the end of the path
        "all/sub/c.png,dogs,test\n"  # the whole path
        "c.png,dogs,test\n"  # the same file again, saying the same
        "..\\..\\etc\\passwd,dogs,test\n"
        "/etc/passwd,dogs,test\n"
        "gone.png,cats,test\n"
        "twice.png,cats,test\n"
        "d.png,cats,test\n"
        "d.png,dogs,test\n"
        "e.png,,test\n"
        "notes.txt,cats,test\n"
        "\n"
    )
    paths = ["all/a.png", "all/sub/b.png", "all/sub/c.png", "all/x/twice.png", "all/y/twice.png", "all/d.png"]
    lay(tmp_path, *paths, "all/e.png", "all/unnamed.png", labels_csv=text)
    (tmp_path / "all" / "notes.txt").write_text("hello")
    labels, left_out, _ = found(tmp_path)
    assert labels == {
        "all/a.png": ("cats", "train"),
        "all/sub/b.png": ("dogs", "val"),
        "all/sub/c.png": ("dogs", "test"),
    }
    assert left_out["../../etc/passwd"] == OUTSIDE
    assert left_out["/etc/passwd"] == OUTSIDE
    assert left_out["gone.png"] == "named in the table, but not there"
    assert left_out["twice.png"] == "names 2 files"
    assert left_out["all/d.png"] == "named twice in the table, with different labels or parts"
    assert left_out["e.png"] == "has no label in the table"
    assert left_out["all/notes.txt"] == "not an image but text"
    assert left_out["all/unnamed.png"] == "not in the table"


def test_a_table_that_names_no_file_leaves_the_folders_to_speak(tmp_path):
    labels, left_out, _ = found(lay(tmp_path, "cats/1", "dogs/1", results_csv="id,label\n77,x\n"))
    assert set(labels) == {"cats/1", "dogs/1"}
    assert left_out == {"results.csv": "not an image but text"}


def test_one_table_per_part(tmp_path):
    lay(tmp_path, "img/1.png", "img/2.png", train_csv="file,label\n1.png,a\n", test_csv="file,label\n2.png,b\n")
    assert found(tmp_path)[0] == {"img/1.png": ("a", "train"), "img/2.png": ("b", "test")}


def test_two_tables_are_one_too_many(tmp_path):
    lay(tmp_path, "img/1.png", a_csv="file,label\n1.png,a\n", b_csv="file,label\n1.png,b\n")
    with pytest.raises(DatasetError, match=r"a\.csv and b\.csv both look like tables of labels: keep one"):
        found(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label,split\n1.png,a,fold7\n", r"labels\.csv, line 2: 'fold7' is no part: use train, val or test"),
        ("path,label\n1.png\n", r"labels\.csv, line 2, has 1 columns, fewer than the header"),
        ("path,colour\n1.png,a\n", r"labels\.csv has no columns for path and label .*'path,colour'"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, message):
    with pytest.raises(DatasetError, match=message):
        discover_by_table(lay(tmp_path, "1.png", labels_csv=text) / "labels.csv", LIMITS)


def test_a_table_on_disk_reads_nothing_outside_its_folder(tmp_path):
    inside = lay(tmp_path / "data", "1.png", "2.png")
    lay(tmp_path, "secret.png")
    (inside / "link.png").symlink_to(tmp_path / "secret.png")
    (inside / "linked").symlink_to(tmp_path)
    rows = ["1.png,a", f"{inside}/2.png,b", f"{tmp_path}/secret.png,a", "../secret.png,a", "link.png,a"]
    (inside / "t.csv").write_text("\n".join(["path,label", *rows, "linked/secret.png,b"]))
    result = discover_by_table(inside / "t.csv", LIMITS)
    assert {e.below: e.label for e in result.entries} == {("1.png",): "a", ("2.png",): "b"}
    assert len(result.left_out) >= 4


def test_a_table_on_disk_finds_images_in_a_folder_beside_it(tmp_path):
    lay(tmp_path, "images/1.png", "images/2.png", t_csv="filename,label\n1.png,a\n2.png,b\n")
    assert {e.label for e in discover_by_table(tmp_path / "t.csv", LIMITS).entries} == {"a", "b"}


def test_too_many_files(tmp_path):
    with pytest.raises(DatasetError, match="more than 1 files"):
        list_files(lay(tmp_path, "a/1", "a/2"), Limits(num_files=1, num_bytes=10**9))


@pytest.mark.parametrize(
    "name", ["..", ".", "", ".hidden", "a/b", "a\\b", "a\0b", "x" * 400 + ".jpg", "\udcff.png", "c:d"]
)
def test_safe_names(name):
    safe = safe_name(name)
    assert safe
    assert not safe.startswith(".")
    assert not set(safe) & set("/\\:\0")
    assert len(safe.encode()) <= 120
    assert safe.encode().decode() == safe


def test_unique_paths_tell_names_apart_that_differ_by_case():
    names = UniquePaths()
    taken = [names.take(parts) for parts in (["a", "X.png"], ["a", "x.png"], ["A", "x.PNG"], ["a", "x~2.png"], ["b"])]
    assert taken[0] == "a/X.png"
    assert taken[1] == "a/x~2.png"
    assert len({path.casefold() for path in taken}) == 5


def test_small_names():
    assert [part_of(name) for name in (" Train ", "training", "trains", "")] == ["train", "train", None, None]
    assert is_placeholder("imageNotFound.gif")
    assert is_placeholder("photo_unavailable.png")
    assert not is_placeholder("image_not_found_by_dogs_1.png")
    assert slug("Ants & Bées (v2)") == "ants-bees-v2"
    assert slug("蜂") == "dataset"

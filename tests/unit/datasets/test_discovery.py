"""Labels come from folders or tables, however people arrange them."""

import os
import tracemalloc
from pathlib import Path

import pytest

from tlcore.datasets.files import Limits, Listing, list_files, sort_out
from tlcore.datasets.intake.discovery import discover, discover_by_table
from tlcore.datasets.names import UniquePaths, distinct, is_placeholder, part_of, safe_name, slug
from tlcore.errors import DatasetError, RunCancelledError

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


def test_a_folder_between_the_parts_and_the_classes_is_descended(tmp_path):
    lay(
        tmp_path,
        "train/images/cats/1",
        "train/images/dogs/1",
        "test/images/cats/2",
        "test/images/dogs/2",
        "test/cover.png",
    )
    labels, left_out, _ = found(tmp_path)
    assert labels == {
        "train/images/cats/1": ("cats", "train"),
        "train/images/dogs/1": ("dogs", "train"),
        "test/images/cats/2": ("cats", "test"),
        "test/images/dogs/2": ("dogs", "test"),
    }
    assert left_out == {"test/cover.png": "not in a class folder"}


def test_folders_below_the_only_class_of_a_part_are_no_classes(tmp_path):
    labels, _, _ = found(lay(tmp_path, "train/cats/a/1", "train/dogs/a/1", "test/cats/a/2"))
    assert set(labels.values()) == {("cats", "train"), ("dogs", "train"), ("cats", "test")}


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
    labels, left_out, notes = found(lay(tmp_path, "cats/1", "dogs/1", results_csv="id,label\n77,x\n"))
    assert set(labels) == {"cats/1", "dogs/1"}
    assert notes == ["results.csv names none of the images: it was not used."]
    assert left_out == {"results.csv": "not an image but text"}


def test_a_table_that_names_other_files_alone_leaves_the_folders_to_speak(tmp_path):
    lay(tmp_path, "cats/1", "dogs/1", results_csv="id,label\nweights,x\n", weights_csv="a,b\n")
    labels, _, notes = found(tmp_path)
    assert set(labels) == {"cats/1", "dogs/1"}
    assert notes == ["results.csv names none of the images: it was not used."]


@pytest.mark.parametrize("text", ["id,class,set\n7,x,train\n8\n", "id,class\n" + '9,"x\n' + "x\n" * 200_000])
def test_a_broken_table_at_the_top_is_told_of_where_folders_have_labels(tmp_path, text):
    labels, _, notes = found(lay(tmp_path, "cats/1", "dogs/1", results_csv=text))
    assert set(labels) == {"cats/1", "dogs/1"}
    assert len(notes) == 1
    assert notes[0].startswith("results.csv was not used: results.csv")


def test_a_broken_table_at_the_top_is_told_where_nothing_else_has_labels(tmp_path):
    lay(tmp_path, "images/1.png", "images/2.png", results_csv="id,class\n1,x\n2\n")
    with pytest.raises(DatasetError, match=r"^results\.csv, line 3, has 1 columns, fewer than the header"):
        found(tmp_path)


@pytest.mark.parametrize("header", ["fold", "set", "dataset", "subset", "split"])
def test_a_column_that_says_other_things_than_parts_is_no_split(tmp_path, header):
    rows = "1.png,a,train,7\n2.png,b,,8\n3.png,b,spring,9\n"
    labels, _, notes = found(
        lay(tmp_path, "img/1.png", "img/2.png", "img/3.png", t_csv=f"path,label,{header},n\n{rows}")
    )
    assert labels == {"img/1.png": ("a", ""), "img/2.png": ("b", ""), "img/3.png": ("b", "")}
    assert notes == [
        "Labels were read from t.csv.",
        f"The column '{header}' of t.csv was not taken for the split, as 'spring' is no part (train, val or test).",
    ]


def test_the_first_column_of_parts_alone_is_the_split_and_an_empty_cell_is_no_part(tmp_path):
    text = "path,label,fold,set,split\n1.png,a,1,test,2019\n2.png,b,2, ,2020\n3.png,b,2\n4.png,a,2,Train\n"
    lay(tmp_path, *(f"img/{n}.png" for n in (1, 2, 3, 4)), t_csv=text)
    labels, _, notes = found(tmp_path)
    assert [part for _, part in labels.values()] == ["test", "", "", "train"]
    assert notes[1:] == [
        "The column 'split' of t.csv was not taken for the split, as '2019' is no part (train, val or test)."
    ]


def test_a_column_without_any_part_leaves_the_name_of_the_table_to_speak(tmp_path):
    lay(tmp_path, "1.png", "2.png", train_csv="file,label,split\n1.png,a,\n", test_csv="file,label,set\n2.png,b,9\n")
    assert found(tmp_path)[0] == {"1.png": ("a", "train"), "2.png": ("b", "test")}


def test_notes_on_columns_of_many_tables_are_few(tmp_path):
    for n in range(9):
        lay(tmp_path, f"x{n}/1.png")
        (tmp_path / f"x{n}" / "t.csv").write_text(f"path,label,fold\n1.png,{n % 2},7\n")
    _, _, notes = found(tmp_path)
    assert len(notes) == 6
    assert notes[-1] == "So it is with 5 more columns."


def deep(tmp_path: Path, depth: int, width: int, tables: int) -> Listing:
    """As a small archive may say: many files, and tables that name none of them, below one long chain of folders."""
    image = lay(tmp_path, "1.png") / "1.png"
    (tmp_path / "t").write_text("path,label\n" + "".join(f"{'x/' * n}1.png,a\n" for n in range(1, 21)))
    chain = tuple(f"f{n}" for n in range(depth))
    images = {(*chain, f"{n}.png"): image for n in range(width)}
    return Listing(images, {(*chain, f"{n}.csv"): tmp_path / "t" for n in range(tables)}, [])


def test_tables_in_deep_folders_take_memory_for_the_files_alone(tmp_path):
    listing = deep(tmp_path, 64, 2000, 1)
    tracemalloc.start()
    try:
        assert len(discover(listing, LIMITS, "the source").entries) == 2000
        assert tracemalloc.get_traced_memory()[1] < 10_000_000  # an index per folder and length took 1.2 GB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("stage", ["reading", "matching at the top", "matching below"])
def test_a_look_at_tables_can_be_cancelled(tmp_path, stage):
    """Each stage asks as often as there are lines or rows; in a folder below, once more for each folder above."""
    listing = deep(tmp_path, 10, 3, 1)
    if stage != "matching below":
        listing = Listing({("1.png",): next(iter(listing.images.values()))}, {("t.csv",): tmp_path / "t"}, [])
    before = {"reading": 3, "matching at the top": 21 + 3, "matching below": 21 + 20 + 21 + 5 * 20 + 3}[stage]
    asked = []
    with pytest.raises(RunCancelledError):
        discover(listing, LIMITS, "the source", None, lambda: asked.append(1) or len(asked) > before)
    assert len(asked) == before + 1


def test_a_table_that_is_read_can_be_cancelled(tmp_path):
    asked = []
    lay(tmp_path, "1.png", t_csv="path,label\n" + "1.png,a\n" * 20 + "broken\n")
    with pytest.raises(RunCancelledError):
        discover_by_table(tmp_path / "t.csv", LIMITS, lambda: asked.append(1) or len(asked) > 5)


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


def test_safe_names_have_no_spaces_of_any_alphabet_around_them():
    assert safe_name("\u2003a b.png\u00a0") == "a b.png"
    assert safe_name("\u3000x .\u2003.") == "x"
    assert safe_name("x" * 119 + "\u2003y" * 20) == "x" * 119


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


def test_a_table_in_each_part_folder_with_paths_of_its_own(tmp_path):
    """As the Hugging Face hub has them: `metadata.csv` in train, validation and test, or one JSON object per line."""
    lay(tmp_path, "train/1.png", "train/sub/2.png", "validation/1.png", "test/1.png", "test/unnamed.png")
    (tmp_path / "train" / "metadata.csv").write_text("file_name,text,label\n1.png,one,a\nsub/2.png,two,b\n")
    (tmp_path / "validation" / "metadata.jsonl").write_text('{"file_name": "1.png", "label": "b", "boxes": [1, 2]}\n')
    (tmp_path / "test" / "metadata.jsonl").write_text('\n{"file_name": "1.png", "label": ["a"]}\n')
    labels, left_out, notes = found(tmp_path)
    assert labels == {
        "train/1.png": ("a", "train"),
        "train/sub/2.png": ("b", "train"),
        "validation/1.png": ("b", "val"),
        "test/1.png": ("a", "test"),
    }
    assert left_out == {"test/unnamed.png": "not in the table"}
    assert notes == ["Labels were read from test/metadata.jsonl, train/metadata.csv and validation/metadata.jsonl."]


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl", "METADATA.CSV"])
def test_a_metadata_table_at_the_top_names_files_in_part_folders(tmp_path, name):
    lay(tmp_path, "data/train/1.png", "data/train/2.png", "data/test/1.png")
    rows = [("train/1.png", 3), ("train/2.png", 4), ("test/1.png", 3)]
    csv = "\n".join(["file_name,label", *(f"{path},{label}" for path, label in rows)])
    jsonl = "\n".join(f'{{"file_name": "{path}", "label": {label}}}' for path, label in rows)
    (tmp_path / "data" / name).write_text(jsonl if name.endswith("l") else csv)
    labels, _, notes = found(tmp_path)
    assert labels == {
        "data/train/1.png": ("3", "train"),
        "data/train/2.png": ("4", "train"),
        "data/test/1.png": ("3", "test"),
    }
    assert notes == [f"Labels were read from data/{name}.", "The parts are those of the folders test and train."]


def test_a_metadata_table_without_labels_leaves_the_class_folders(tmp_path):
    lay(tmp_path, "train/cats/1", "train/dogs/1", "test/cats/2", "test/dogs/2")
    (tmp_path / "train" / "metadata.csv").write_text("file_name,text\ncats/1,a cat\n")
    labels, left_out, _ = found(tmp_path)
    assert labels["train/cats/1"] == ("cats", "train")
    assert left_out == {"train/metadata.csv": "not an image but text"}


def test_tables_in_class_folders_that_name_few_images_are_stray_files(tmp_path):
    lay(tmp_path, "cats/1.png", "cats/2.png", "cats/3.png", "dogs/1.png", "dogs/2.png")
    (tmp_path / "cats" / "breeds.csv").write_text("file,class\n1.png,siamese\n2.png,persian\n")
    (tmp_path / "dogs" / "breeds.csv").write_text("file,class\n1.png\n")
    labels, left_out, _ = found(tmp_path)
    assert set(labels.values()) == {("cats", ""), ("dogs", "")}
    assert left_out == dict.fromkeys(["cats/breeds.csv", "dogs/breeds.csv"], "not an image but text")


def test_tables_of_batches_in_folders_are_joined(tmp_path):
    lay(tmp_path, *(f"{batch}/images/{n}.png" for batch in ("one", "two") for n in (1, 2)), "one/readme.png")
    for batch, labels in (("one", "ab"), ("two", "ba")):
        rows = [f"{n}.png,{label}" for n, label in enumerate(labels, start=1)]
        (tmp_path / batch / "images" / "labels.csv").write_text("\n".join(["image;y".replace(";", ","), *rows]))
    labels, left_out, _ = found(tmp_path)
    assert labels == {
        "one/images/1.png": ("a", ""),
        "one/images/2.png": ("b", ""),
        "two/images/1.png": ("b", ""),
        "two/images/2.png": ("a", ""),
    }
    assert left_out == {"one/readme.png": "not in the table"}


def test_a_table_in_a_folder_beside_that_of_the_images(tmp_path):
    lay(tmp_path, "set/images/1.png", "set/images/2.png", "set/images/3.png")
    (tmp_path / "set" / "tables").mkdir()
    (tmp_path / "set" / "tables" / "labels.csv").write_text("id,dx\n1,a\n2,b\n9,b\n")
    labels, left_out, _ = found(tmp_path)
    assert labels == {"set/images/1.png": ("a", ""), "set/images/2.png": ("b", "")}
    assert left_out == {"set/9": "named in the table, but not there", "set/images/3.png": "not in the table"}


def test_tables_that_contradict_each_other_label_nothing(tmp_path):
    lay(tmp_path, "x/1.png", "x/2.png", "y/1.png")
    (tmp_path / "x" / "a.csv").write_text("path,label\n1.png,cat\n2.png,cat\n")
    (tmp_path / "x" / "b.csv").write_text("path,label\n1.png,dog\n2.png,cat\n")
    (tmp_path / "y" / "a.csv").write_text("path,label\n1.png,dog\n")
    labels, left_out, _ = found(tmp_path)
    assert labels == {"x/2.png": ("cat", ""), "y/1.png": ("dog", "")}
    assert left_out == {"x/1.png": "named in several tables, with different labels or parts"}


def test_images_of_tables_without_a_part_stay_out_where_others_have_one(tmp_path):
    lay(tmp_path, "train/1.png", "test/1.png", "spare/1.png")
    for folder in ("train", "test", "spare"):
        (tmp_path / folder / "labels.csv").write_text("path,label\n1.png,cat\n")
    labels, left_out, _ = found(tmp_path)
    assert labels == {"train/1.png": ("cat", "train"), "test/1.png": ("cat", "test")}
    assert left_out == {"spare/1.png": "its table says no part (train, val or test), as others do"}


@pytest.mark.parametrize("images", [("data/images/1.png", "data/images/2.png"), ("1.png", "2.png")])
def test_a_broken_table_below_is_told_where_nothing_else_has_labels(tmp_path, images):
    lay(tmp_path, *images)
    (tmp_path / "readme.txt").write_text("about these data")
    (tmp_path / "data" / "tables").mkdir(parents=True)
    (tmp_path / "data" / "tables" / "labels.csv").write_text("path,label\n1.png\n")
    with pytest.raises(DatasetError, match=r"data/tables/labels\.csv, line 2, has 1 columns"):
        found(tmp_path)


def test_a_broken_table_is_no_matter_where_class_folders_are(tmp_path):
    lay(tmp_path, "cats/1.png", "dogs/1.png")
    (tmp_path / "dogs" / "x.csv").write_text("path,label,split\n1.png\n")
    assert set(found(tmp_path)[0].values()) == {("cats", ""), ("dogs", "")}


def test_a_table_in_a_folder_does_not_reach_beyond_it_where_half_of_its_files_are_there(tmp_path):
    lay(tmp_path, "one/1.png", "one/2.png", "two/1.png", "two/8.png", "two/9.png")
    (tmp_path / "one" / "t.csv").write_text("path,label\n1.png,a\n2.png,b\n8.png,wrong\n9.png,wrong\n")
    (tmp_path / "two" / "t.csv").write_text("path,label\n1.png,a\n8.png,a\n9.png,b\n")
    labels, left_out, _ = found(tmp_path)
    assert {path: label for path, (label, _) in labels.items()} == {
        "one/1.png": "a", "one/2.png": "b", "two/1.png": "a", "two/8.png": "a", "two/9.png": "b",
    }  # fmt: skip
    assert left_out == dict.fromkeys(["one/8.png", "one/9.png"], "named in the table, but not there")


def test_a_file_that_is_called_as_the_folder_of_a_table(tmp_path):
    """Archives can hold both; names in a listing are paths in an archive, the files lie elsewhere."""
    lay(tmp_path, "1", "2", "3", table_csv="path,label\n1.png,a\n2.png,b\n")
    images = {("x",): tmp_path / "3", ("x", "1.png"): tmp_path / "1", ("x", "2.png"): tmp_path / "2"}
    result = discover(Listing(images, {("x", "t.csv"): tmp_path / "table.csv"}, []), LIMITS, "the source")
    assert {entry.below: entry.label for entry in result.entries} == {("x", "1.png"): "a", ("x", "2.png"): "b"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.jsonl", '{"path": "1.png", "label": "a"}\nno json\n', r"m\.jsonl, line 2, is no JSON object: write one"),
        ("m.jsonl", "[" * 100_000, r"m\.jsonl has no columns for path and label"),
        ("m.jsonl", "[1, 2]\n", r"m\.jsonl has no columns for path and label"),
        ("m.csv", "path,label\n" + "x" * 2_000_000, r"m\.csv has a line beyond 1,048,576 characters"),
        ("m.csv", "\ufeff", r"m\.csv has no columns for path and label \(its first line is ''\)"),
        ("m.csv", 'path,label\n1.png,"a\n' + "x\n" * 200_000, r"m\.csv is no valid CSV \(field larger than"),
    ],
)
def test_tables_that_are_broken_are_one_clear_line(tmp_path, name, text, message):
    (lay(tmp_path, "1.png") / name).write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=message):
        discover_by_table(tmp_path / name, LIMITS)


def test_more_rows_than_a_dataset_may_have(tmp_path):
    text = "path,label\n" + "1.png,a\n" * 3
    with pytest.raises(
        DatasetError, match=r"more than 2 rows: split it, or raise the limit .* TLCORE_MAX_DATASET_FILES"
    ):
        discover_by_table(lay(tmp_path, "1.png", labels_csv=text) / "labels.csv", Limits(2, 10**9))


def test_names_that_read_the_same_are_told_apart(tmp_path):
    """An accent in one character or two, bytes that are no text, control characters: no file replaces another."""
    names = ["e\u0301.png", "\u00e9.png", "a\udcff.png", "a\udcfe.png", "b\x1b[2J.png", "b\x1c[2J.png"]
    lay(tmp_path, *(f"cats/{name}" for name in names), "dogs/1.png")
    labels, _, _ = found(tmp_path)
    assert sorted(labels) == sorted(
        [
            "cats/é.png",
            "cats/é~2.png",
            "cats/a?.png",
            "cats/a?~2.png",
            "cats/b\ufffd[2J.png",
            "cats/b\ufffd[2J~2.png",
            "dogs/1.png",
        ]
    )


def test_many_files_of_one_name_are_told_apart_in_two_looks_each():
    """Counting from the start each time took minutes for 30,000 files of one name, as slices of scans have."""
    looks = []

    class Counting(set):
        def __contains__(self, path: object) -> bool:
            looks.append(path)
            return super().__contains__(path)

    names = UniquePaths()
    names._taken = Counting()
    assert len({names.take(["cats", "slice.png"]) for _ in range(500)}) == 500
    assert len(looks) <= 1000
    looks.clear()
    taken, numbers = Counting(), {}
    for _ in range(500):
        taken.add(distinct(("cats", "slice.png"), taken, numbers))
    assert len(taken) == 500
    assert len(looks) <= 1000


def test_thumbnails_are_left_out_but_no_class_that_is_called_so(tmp_path):
    large = (
        "cats/1.jpg",
        "cats/2.jpg",
        "dogs/1.jpg",
        "dogs/2.jpg",
        "thumbs/7.jpg",
        "thumbs/8.jpg",
        "dogs/big_thumb.jpg",
    )
    small = (
        "cats/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.png",
        "cats/thumbs/1.jpg",
        "cats/Thumbnails/2.png",
        "dogs/1_thumb.png",
    )
    root = lay(tmp_path, *large, *small)
    for path in large:
        (root / path).write_bytes(PNG + bytes(100))
    labels, left_out, _ = found(root)
    assert set(labels) == set(large)
    assert left_out == {
        small[0]: "a thumbnail that a system left",
        **dict.fromkeys(small[1:], "a thumbnail of another picture"),
    }


def test_folders_of_thumbnails_beside_all_classes_are_left_out(tmp_path):
    root = lay(tmp_path, "cats/1.jpg", "dogs/1.jpg", "thumbs/cats/1.jpg", "thumbs/dogs/1.jpg")
    for path in ("cats/1.jpg", "dogs/1.jpg"):
        (root / path).write_bytes(PNG + bytes(100))
    assert set(found(root)[0]) == {"cats/1.jpg", "dogs/1.jpg"}


def test_folders_below_classes_that_are_merged_are_told(tmp_path):
    labels, _, notes = found(lay(tmp_path, "animals/cat/1", "animals/dog/1", "plants/rose/1"))
    assert {label for label, _ in labels.values()} == {"animals", "plants"}
    assert notes == [
        "The first folders were taken for the classes, and those below were merged into them: animals (cat, dog), "
        "plants (rose). If the folders below are the classes, put them side by side in one folder (cat, dog, rose) "
        "and add that."
    ]
    assert found(lay(tmp_path / "flat", "cats/1", "cats/deep/2", "dogs/1"))[2] == []


def test_an_archive_in_a_folder_is_to_be_unpacked_once(tmp_path):
    root = lay(tmp_path, "cats/1", "dogs/1")
    (root / "more.zip").write_bytes(b"PK\3\4and so on")
    assert found(root)[1] == {"more.zip": "not an image but a zip archive: unpack it once and add what is in it"}


def test_a_table_may_write_names_in_another_case_where_that_is_clear(tmp_path):
    labels = "path,label\nimg0.png,cat\nimg1.PNG,dog\nimg2,cat\ntwo.png,dog\n"
    root = lay(tmp_path, "IMG0.PNG", "IMG1.PNG", "IMG2.PNG", "Two.png", "TWO.png", labels_csv=labels)
    taken, left_out, _ = found(root)
    assert taken == {"IMG0.PNG": ("cat", ""), "IMG1.PNG": ("dog", ""), "IMG2.PNG": ("cat", "")}
    assert left_out["two.png"] == "names 2 files that differ from it by upper and lower case"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_a_table_in_utf_16_is_read(tmp_path, encoding):
    """As Excel saves "Unicode text": tabs between the columns."""
    root = lay(tmp_path, "1.png", "2.png")
    text = "path\tlabel\n1.png\tpêche\n2.png\tdog\n"
    mark = b"" if encoding == "utf-16" else b"\xfe\xff"
    (root / "labels.txt").write_bytes(mark + text.encode(encoding))
    assert found(root)[0] == {"1.png": ("pêche", ""), "2.png": ("dog", "")}


@pytest.mark.parametrize("table", ["1.png,cat\n2.png,dog\n", "path,cat,dog\n1.png,1,0\n2.png,0,1\n"])
def test_a_table_that_was_not_used_is_named_with_the_reason(tmp_path, table):
    first = table.splitlines()[0]
    with pytest.raises(DatasetError, match=f"labels.csv was not used, as its first line, '{first}', names no columns"):
        found(lay(tmp_path, "1.png", "2.png", labels_csv=table))


def test_images_of_a_part_that_are_in_no_class_folder_are_told_so(tmp_path):
    _, left_out, _ = found(lay(tmp_path, "train/cats/1", "train/dogs/1", "test/0.png", "more/1"))
    assert left_out == {
        "test/0.png": "in no class folder inside of test",
        "more/1": "outside the train, val and test folders",
    }

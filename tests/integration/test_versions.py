"""Versions of a dataset: what edits make of one, and that the old one stays as it was."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tracemalloc
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers import draw, make_image_folder
from tlcore.datasets.dataset import Dataset, DatasetInfo
from tlcore.datasets.health import health_of
from tlcore.datasets.intake import add_dataset
from tlcore.datasets.splits import make_split
from tlcore.datasets.staging import remove_dataset_folder
from tlcore.datasets.store import check_dataset, delete_dataset, find_rows, gallery, list_datasets, load_dataset
from tlcore.datasets.versions import (
    DataCard,
    LeaveOut,
    Move,
    Relabel,
    RenameClass,
    derive,
    freed_bytes,
    pack,
    packing,
    read_card,
    versions_of,
    write_card,
)
from tlcore.datasets.versions import derive as derive_function
from tlcore.datasets.versions.edits import keep_one, leave_out_all
from tlcore.errors import DatasetError, NotFoundError, RunCancelledError, StorageError

derive_module = sys.modules[derive_function.__module__]


@pytest.fixture
def info(tmp_path, settings) -> DatasetInfo:
    """Ants and bees, 8 each, drawn by lot; one bee is there twice."""
    folder = make_image_folder(tmp_path, ("ants", "bees"), 8)
    (folder / "bees" / "copy.png").write_bytes((folder / "bees" / "bees_0003.png").read_bytes())
    return add_dataset(folder, "insects", settings)


@pytest.fixture
def parted(tmp_path, settings) -> DatasetInfo:
    return add_dataset(make_image_folder(tmp_path / "parted", 2, 6, 32, ("train", "val")), "parted", settings)


def content(dataset: Dataset) -> Counter:
    """(class, hash, part) of every row, whatever the files are called."""
    rows = zip(dataset.images["label"], dataset.images["sha256"], dataset.images["part"], strict=True)
    return Counter((dataset.info.classes[label], sha, part) for label, sha, part in rows)


def everything_below(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and time of last change of every file."""
    return {
        p.relative_to(folder).as_posix(): (p.read_bytes(), p.stat().st_mtime_ns)
        for p in folder.rglob("*")
        if p.is_file()
    }


def names(settings) -> set[str]:
    return {path.name for path in settings.datasets.iterdir()} - {".lock"}


def test_an_edit_makes_a_version_and_leaves_the_old_one_alone(info, settings):
    before = everything_below(settings.datasets / info.id)
    made = derive(info.id, [LeaveOut(paths=("ants/ants_0000.png", "bees/copy.png"))], settings)
    assert everything_below(settings.datasets / info.id) == before
    assert (made.parent, made.version, made.name, made.ancestors) == (info.id, 2, "insects v2", (info.id,))
    assert made.id == f"insects-v2-{made.fingerprint[:8]}"
    assert made.changes == ("Left out 2 images (ants/ants_0000.png, bees/copy.png).",)
    assert [(left.path, left.reason) for left in made.left_out] == [
        ("ants/ants_0000.png", f"left out of {info.id}"),
        ("bees/copy.png", f"left out of {info.id}"),
    ]
    assert (made.num_images, made.class_counts) == (15, {"ants": 7, "bees": 8})
    assert made.total_bytes == sum(p.stat().st_size for p in (settings.datasets / made.id / "files").rglob("*.png"))
    assert list_datasets(settings) == [made, info]
    assert check_dataset(made.id, settings) == ()
    assert len(make_split(load_dataset(made.id, settings), 0).test) == 3
    shown = load_dataset(made.id, settings)
    assert all(row.thumbnail.is_file() for row in gallery(shown, find_rows(shown)))


def test_a_relabelled_image_lies_with_its_class_and_overwrites_nothing(tmp_path, settings):
    folder = tmp_path / "photos"
    for label, name in enumerate(("ants", "bees")):
        (folder / name).mkdir(parents=True)
        for i in range(5):
            draw(label, 2, i).save(folder / name / f"{i}.png")
    info = add_dataset(folder, settings=settings)
    made = derive(info.id, [Relabel(paths=("ants/3.png", "ants/4.png"), label="bees")], settings)
    dataset = load_dataset(made.id, settings)
    bees = dataset.images[dataset.images["label"] == 1]
    assert sorted(bees["path"]) == ["bees/0.png", "bees/1.png", "bees/2.png", "bees/3.png", "bees/3~2.png",
                                    "bees/4.png", "bees/4~2.png"]  # fmt: skip
    assert check_dataset(made.id, settings) == ()
    hashes = dict(zip(dataset.images["path"], dataset.images["sha256"], strict=True))
    assert hashes["bees/3.png"] == hashlib.sha256((folder / "bees" / "3.png").read_bytes()).hexdigest()
    assert hashes["bees/3~2.png"] == hashlib.sha256((folder / "ants" / "3.png").read_bytes()).hexdigest()


def test_rows_are_sorted_and_labelled_as_in_every_dataset(info, settings):
    images = load_dataset(derive(info.id, [RenameClass(old="ants", new="wasps")], settings).id, settings).images
    assert images.equals(images.sort_values(["label", "sha256", "path"], ignore_index=True))
    assert set(images["path"].str.split("/").str[0]) == {"bees", "wasps"}
    assert images["label"][images["path"].str.startswith("bees/")].unique().tolist() == [0]


def test_a_version_equals_the_import_of_the_same_images(info, tmp_path, settings):
    """The same fingerprint and the same rows as if the folder itself had been changed."""
    made = derive(
        info.id, [Relabel(paths=("ants/ants_0001.png",), label="wasps"), RenameClass(old="bees", new="wasps")], settings
    )
    folder = tmp_path / "images"
    (folder / "ants" / "ants_0001.png").rename(folder / "bees" / "ants_0001.png")
    (folder / "bees").rename(folder / "wasps")
    again = add_dataset(folder, "by hand", settings)
    assert again.id == made.id
    assert any("added before" in note for note in again.notes)


def test_notes_that_still_hold_go_along(settings, tmp_path):
    """On a name, a card and a part without a class; not those that count images which are no longer there."""
    root = make_image_folder(tmp_path, ("ants", "bees"), 6, parts=("train", "test"))
    shutil.rmtree(root / "test" / "bees")
    shutil.copy(root / "train" / "ants" / "ants_0000.png", root / "train" / "ants" / "copy.png")
    (root / "card.json").write_text('{"transfer_lab_card": 2}')
    old = add_dataset(Path(shutil.make_archive(str(tmp_path / "packed"), "zip", root)), settings=settings)
    gap = "The given test part has no image of bees."
    assert {note.split()[0] for note in old.notes} == {"card.json", "1", "The"}
    made = derive(old.id, [LeaveOut(paths=("train/ants/copy.png",))], settings)
    assert made.notes == (next(note for note in old.notes if note.startswith("card.json")), gap)
    moved = load_dataset(old.id, settings).images["path"]
    given = next(path for path in moved if path.startswith("train/bees"))
    assert gap not in derive(old.id, [Move(paths=(given,), part="test")], settings).notes


def test_edits_work_one_after_the_other(info, settings):
    made = derive(
        info.id,
        [
            Relabel(paths=("ants/ants_0000.png",), label="flies"),
            RenameClass(old="flies", new="bees"),
            RenameClass(old="ants", new="Ants"),
        ],
        settings,
    )
    assert made.class_counts == {"Ants": 7, "bees": 10}
    assert made.changes == (
        "Relabelled as 'flies': 1 image (ants/ants_0000.png).",
        "Merged the class 'flies' into 'bees'.",
        "Renamed the class 'ants' to 'Ants'.",
    )


def test_images_move_between_the_parts_that_the_data_brought(parted, settings):
    paths = ("train/class_0/class_0_0000.png", "train/class_1/class_1_0000.png")
    made = derive(parted.id, [Move(paths=paths, part="val")], settings)
    assert (made.given, made.part_counts) == ("train_val", {"train": 10, "val": 14})
    dataset = load_dataset(made.id, settings)
    assert {p.split("/")[0] for p in dataset.images["path"][dataset.images["part"] == "val"]} == {"val"}
    moved = dataset.images["path"].isin(["val/class_0/class_0_0000.png", "val/class_1/class_1_0000.png"])
    assert dataset.images["part"][moved].tolist() == ["val", "val"]
    assert made.fingerprint == parted.fingerprint, "parts are no part of it"
    everything = tuple(dataset.images["path"][dataset.images["part"] == "val"])
    drawn = derive(made.id, [Move(paths=everything, part="train")], settings)
    assert (drawn.given, drawn.part_counts) == ("none", {"": 24})


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ([], "name at least one"),
        ([LeaveOut(paths=())], "names no image"),
        ([LeaveOut(paths=("ants/ants_000.png",))], r"no image 'ants/ants_000.png' in this version: did you mean ants/"),
        ([LeaveOut(paths=("wrong/copy.png",))], "did you mean bees/copy.png"),
        ([RenameClass(old="ant", new="wasps")], "no class 'ant' to rename: did you mean ants"),
        ([Relabel(paths=("ants/ants_0000.png",), label="  ")], "is no name for a class"),
        ([RenameClass(old="ants", new="a\nb")], "is no name for a class"),
        ([RenameClass(old="ants", new="a/b")], r"'a/b' is no name for a class, .*: use 1 to 100 characters without /"),
        ([RenameClass(old="ants", new="..")], "'..' is no name for a class"),
        ([Relabel(paths=("ants/ants_0000.png",), label="a\\b")], "is no name for a class"),
        ([Relabel(paths=("ants/ants_0000.png",), label="x" * 101)], "is no name for a class"),
        ([Move(paths=("ants/ants_0000.png",), part="val")], "brings no parts"),
        ([RenameClass(old="ants", new="bees")], "leave the class 'bees' alone"),
        ([Relabel(paths=("ants/ants_0000.png",), label="ants")], "change nothing"),
        (
            [LeaveOut(paths=("bees/copy.png",)), Relabel(paths=("bees/copy.png",), label="ants")],
            "is left out by an edit before",
        ),
    ],
)  # fmt: skip
def test_edits_that_cannot_be_done_say_why_and_leave_nothing(info, settings, edits, message):
    with pytest.raises(DatasetError, match=message):
        derive(info.id, edits, settings)
    assert names(settings) == {info.id}


def test_each_version_of_one_origin_has_a_number_of_its_own(info, settings):
    first = derive(info.id, [LeaveOut(paths=("ants/ants_0000.png",))], settings)
    second = derive(info.id, [LeaveOut(paths=("ants/ants_0001.png",))], settings)
    assert (first.version, second.version, second.parent) == (2, 3, info.id)
    assert first.name != second.name


def test_a_version_that_looks_like_a_dataset_of_other_origin_is_still_a_version(tmp_path, info, settings):
    """Else a click on one dataset would lead to quite another, without a history."""
    left = [p for p in load_dataset(info.id, settings).images["path"] if p != "ants/ants_0000.png"]
    other = tmp_path / "other"
    for path in left:
        (other / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(settings.datasets / info.id / "files" / path, other / path)
    plain = add_dataset(other, "plain", settings)
    made = derive(info.id, [LeaveOut(paths=("ants/ants_0000.png",))], settings)
    assert made.fingerprint == plain.fingerprint
    assert (made.parent, made.version) == (info.id, 2)
    assert made.id != plain.id


def test_parts_that_the_data_does_not_have(parted, settings):
    with pytest.raises(DatasetError, match="no part 'test': this dataset has train and val"):
        derive(parted.id, [Move(paths=("train/class_0/class_0_0000.png",), part="test")], settings)


def test_a_version_that_cannot_be_split_yet_may_be_made(parted, settings):
    """Cleaning up takes several steps; the health report says what is still wrong."""
    paths = tuple(p for p in load_dataset(parted.id, settings).images["path"] if p.startswith("train/class_0/"))
    made = derive(parted.id, [LeaveOut(paths=paths)], settings)
    found = health_of(load_dataset(made.id, settings)).of("too_small")
    assert found is not None
    assert "class_0" in found.words


def test_groups_of_duplicates_become_edits(info, settings):
    groups = [["bees/bees_0003.png", "bees/copy.png"], ["ants/ants_0001.png", "ants/ants_0002.png"]]
    assert keep_one(groups).paths == ("bees/copy.png", "ants/ants_0002.png")
    assert leave_out_all(groups).paths == tuple(groups[0] + groups[1])
    made = derive(info.id, [keep_one(groups[:1])], settings)
    assert load_dataset(made.id, settings).images["sha256"].is_unique


def test_a_group_is_named_by_its_smallest_member_that_is_left(info, settings):
    folder = settings.datasets / info.id
    images = pd.read_parquet(folder / "images.parquet")
    images["group"] = images["sha256"]
    near = images.sort_values("sha256").index[:3]
    images.loc[near, "group"] = images["sha256"].min()
    images["num_bytes"] = 7
    images = images.drop(columns="phash")  # else the groups are looked for anew
    images.to_parquet(folder / "images.parquet", index=False)
    first, second, third = images.loc[near, ["path", "sha256"]].itertuples(index=False)
    made = derive(info.id, [LeaveOut(paths=(first.path,))], settings)
    left = load_dataset(made.id, settings).images.set_index("sha256")["group"]
    assert set(left[[second.sha256, third.sha256]]) == {second.sha256}
    assert made.total_bytes == 7 * 16
    alone = left.drop([second.sha256, third.sha256])
    assert (alone == alone.index).all()


def test_the_same_edits_again_give_the_same_version(info, settings):
    edits = [LeaveOut(paths=("bees/copy.png",))]
    first, second = derive(info.id, edits, settings), derive(info.id, edits, settings)
    assert second.id == first.id
    assert any(f"This is the content of {first.id}" in note for note in second.notes)
    assert names(settings) == {info.id, first.id}


def test_files_are_shared_where_the_disk_can_and_copied_where_not(info, settings, monkeypatch):
    shared = derive(info.id, [LeaveOut(paths=("bees/copy.png",))], settings)
    root, old = settings.datasets / shared.id, settings.datasets / info.id
    for path in ("files/bees/bees_0003.png", *(p.relative_to(root) for p in root.glob("thumbnails/*/*.jpg"))):
        assert (root / path).samefile(old / path)

    def no_links(*_, **__):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", no_links)
    copied = derive(info.id, [LeaveOut(paths=("ants/ants_0000.png",))], settings)
    assert not (settings.datasets / copied.id / "files/bees/copy.png").samefile(old / "files/bees/copy.png")
    assert check_dataset(copied.id, settings) == ()
    assert freed_bytes(copied.id, settings) > copied.total_bytes


def test_deleting_frees_what_no_other_version_has(info, tmp_path, settings):
    made = derive(info.id, [LeaveOut(paths=("ants/ants_0000.png",))], settings)
    old, new = settings.datasets / info.id, settings.datasets / made.id
    shown = load_dataset(info.id, settings)
    (thumbnail,) = (row.thumbnail for row in gallery(shown, find_rows(shown, search="ants_0000.png")))
    own = [old / "files/ants/ants_0000.png", thumbnail, old / "dataset.json", old / "images.parquet"]
    assert freed_bytes(info.id, settings) == sum(p.stat().st_size for p in own)
    assert freed_bytes(made.id, settings) == sum((new / n).stat().st_size for n in ("dataset.json", "images.parquet",
                                                                                    "card.json"))  # fmt: skip
    cached = settings.cache / "images" / f"{info.fingerprint[:16]}-224"
    cached.mkdir(parents=True)
    (cached / "data").write_bytes(b"x" * 1000)
    assert freed_bytes(info.id, settings) == 1000 + sum(p.stat().st_size for p in own)
    delete_dataset(info.id, settings)
    assert not cached.exists()
    assert check_dataset(made.id, settings) == (), "the other version is whole"
    everything = sum(p.stat().st_size for p in new.rglob("*") if p.is_file())
    assert freed_bytes(made.id, settings) == everything
    delete_dataset(made.id, settings)
    assert names(settings) == set()


def test_the_history_is_told_oldest_first_and_deleted_versions_by_their_id(info, parted, settings):
    second = derive(info.id, [LeaveOut(paths=("bees/copy.png",))], settings)
    third = derive(second.id, [RenameClass(old="ants", new="Ants")], settings)
    other = derive(info.id, [RenameClass(old="bees", new="Bees")], settings)
    told = versions_of(third.id, settings)
    assert [(v.id, v.version, v.parent) for v in told] == [
        (info.id, 1, None), (second.id, 2, info.id), (third.id, 3, second.id), (other.id, 4, info.id)
    ]  # fmt: skip
    assert [v.info for v in told] == [info, second, third, other]
    assert versions_of(info.id, settings) == versions_of(other.id, settings) == told
    assert [v.id for v in versions_of(parted.id, settings)] == [parted.id]
    delete_dataset(second.id, settings)
    delete_dataset(info.id, settings)
    told = versions_of(other.id, settings)
    assert [(v.id, v.info) for v in told] == [(info.id, None), (second.id, None), (third.id, third), (other.id, other)]
    with pytest.raises(NotFoundError):
        versions_of(second.id, settings)


def test_a_description_from_before_versions_still_loads(info, settings):
    path = settings.datasets / info.id / "dataset.json"
    known = json.loads(path.read_text())
    for name in ("parent", "version", "changes", "ancestors"):
        del known[name]
    path.write_text(json.dumps(known))
    assert load_dataset(info.id, settings).info == info
    assert derive(info.id, [LeaveOut(paths=("bees/copy.png",))], settings).version == 2


# The card


def test_a_card_is_typed_kept_and_handed_down(info, settings):
    assert read_card(info.id, settings) == DataCard()
    card = DataCard(source="our garden", licence="CC BY 4.0", notes="taken in June\nby Ann")
    assert write_card(info.id, card, settings) == card == read_card(info.id, settings)
    made = derive(info.id, [LeaveOut(paths=("bees/copy.png",))], settings)
    assert read_card(made.id, settings) == card
    write_card(made.id, card.model_copy(update={"licence": "own"}), settings)
    assert (read_card(info.id, settings).licence, read_card(made.id, settings).licence) == ("CC BY 4.0", "own")
    assert load_dataset(info.id, settings).info == info
    assert {p.name for p in (settings.datasets / info.id).iterdir()} == {
        "card.json", "dataset.json", "files", "images.parquet", "thumbnails",
    }  # fmt: skip


def test_cards_that_cannot_be_kept(info, settings):
    with pytest.raises(DatasetError, match="the notes on a data card has 20,001 characters"):
        write_card(info.id, DataCard(notes="x" * 20_001), settings)
    with pytest.raises(NotFoundError):
        write_card("nothing", DataCard(), settings)
    assert write_card(info.id, DataCard(source="\udce9t\udce9 "), settings).source == "?t?"
    (settings.datasets / info.id / "card.json").write_text("{")
    with pytest.raises(DatasetError, match=r"card\.json is damaged"):
        read_card(info.id, settings)


# The zip


@pytest.mark.parametrize("which", ["info", "parted"])
def test_a_packed_version_imported_again_is_the_same_dataset(which, request, settings, tmp_path, monkeypatch):
    info = request.getfixturevalue(which)
    write_card(info.id, DataCard(source="path,label", licence="CC0", notes="train,test"), settings)
    file = pack(info.id, tmp_path / "out.zip", settings)
    monkeypatch.setenv("TLCORE_HOME", str(tmp_path / "other"))
    again = add_dataset(file)
    assert (again.fingerprint, again.given, again.part_counts) == (info.fingerprint, info.given, info.part_counts)
    assert {left.path for left in again.left_out} <= {"README.txt"}
    assert content(load_dataset(again.id)) == content(load_dataset(info.id, settings))


def test_a_card_that_comes_with_content_that_is_there_is_taken_or_told_of(info, settings, tmp_path):
    card = DataCard(source="our garden", licence="CC0")
    write_card(info.id, card, settings)
    file = pack(info.id, tmp_path / "out.zip", settings)
    same = add_dataset(file, settings=settings)
    assert (same.id, [note for note in same.notes if "card" in note]) == (info.id, [])
    write_card(info.id, DataCard(), settings)
    filled = add_dataset(file, settings=settings)
    assert (filled.id, [note for note in filled.notes if "card" in note]) == (info.id, [])
    assert read_card(info.id, settings) == card
    write_card(info.id, DataCard(licence="own"), settings)
    other = add_dataset(file, settings=settings)
    note = f"{info.id} has another data card, which is kept; the card in this source was not taken."
    assert (other.id, other.notes[-1]) == (info.id, note)
    assert read_card(info.id, settings) == DataCard(licence="own")


@pytest.mark.parametrize("name", ["odd.png\u00a0", "odd\u2003", "odd\u3000. .", "\u2003odd.png"])
def test_names_with_spaces_of_any_alphabet_come_back_with_the_zip(tmp_path, settings, monkeypatch, name):
    folder = make_image_folder(tmp_path, ("ants", "bees"), 4)
    (folder / "ants" / "ants_0000.png").rename(folder / "ants" / name)
    info = add_dataset(folder, settings=settings)
    file = pack(info.id, tmp_path / "out.zip", settings)
    monkeypatch.setenv("TLCORE_HOME", str(tmp_path / "other"))
    again = add_dataset(file)
    assert (again.num_images, again.fingerprint) == (8, info.fingerprint)
    assert again.left_out == ()


def test_the_card_comes_back_with_the_zip(info, settings, tmp_path, monkeypatch):
    card = DataCard(source="our garden\x1b[31m", licence="CC BY 4.0", notes="<b>taken</b> in June\nby Ann")
    write_card(info.id, card, settings)
    file = pack(info.id, tmp_path / "renamed.zip", settings)
    monkeypatch.setenv("TLCORE_HOME", str(tmp_path / "other"))
    again = add_dataset(file)
    assert (again.name, again.id) == ("insects", info.id)
    assert read_card(again.id) == card.model_copy(update={"source": "our garden\ufffd[31m"})
    assert again.left_out == ()
    delete_dataset(again.id)
    shutil.unpack_archive(file, tmp_path / "unpacked")
    named = add_dataset(tmp_path / "unpacked", "mine")
    assert (named.name, read_card(named.id).licence) == ("mine", "CC BY 4.0")


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ('{"transfer_lab_card": 1, "name": 7}', "card.json was not taken: its name: Input should be a valid string."),
        ('{"transfer_lab_card": 1, "notes": "' + "x" * 20_001 + '"}', "card.json was not taken: its notes: String sho"),
        ('{"transfer_lab_card": 2}', "card.json was not taken: its transfer_lab_card: Input should be 1."),
        ('{"name": "foreign", "licence": "mine"}', ""),
        ('["transfer_lab_card"]', ""),
        ("[" * 100_000, ""),
        ('{"transfer_lab_card": 1, "name": "cut', ""),
        ('{"transfer_lab_card": 1, "notes": "' + " " * 1_000_000 + '"}', ""),
        ("\xff\x00", ""),
    ],
)  # fmt: skip
def test_a_card_that_cannot_be_used_breaks_no_import(settings, tmp_path, text, note):
    folder = make_image_folder(tmp_path, 2, 4)
    (folder / "card.json").write_bytes(text.encode("latin-1"))
    info = add_dataset(Path(shutil.make_archive(str(tmp_path / "foreign"), "zip", folder)), settings=settings)
    assert (info.name, info.num_images, read_card(info.id, settings)) == ("foreign", 8, DataCard())
    assert [left.path for left in info.left_out] == ["card.json"]
    assert [said for said in info.notes if "card.json" in said] == [
        said for said in info.notes if note and note in said
    ]
    assert bool(note) == any(note and note in said for said in info.notes)


def test_what_a_zip_holds(parted, settings, tmp_path):
    made = derive(parted.id, [RenameClass(old="class_0", new="a,b:c")], settings)
    write_card(made.id, DataCard(source="garden", licence="CC0"), settings)
    with zipfile.ZipFile(pack(made.id, tmp_path / "out.zip", settings)) as archive:
        members = archive.namelist()
        table = archive.read("labels.csv").decode().splitlines()
        readme = archive.read("README.txt").decode()
        assert archive.testzip() is None
    paths = load_dataset(made.id, settings).images["path"].tolist()
    assert sorted(members) == sorted([*paths, "labels.csv", "README.txt", "card.json"])
    assert (table[0], table[1]) == ("path,label,split", '"train/a,b_c/class_0_0000.png","a,b:c",train')
    assert "Licence: CC0" in readme
    assert f"Version: 2, made from {parted.id}" in readme
    assert "- Renamed the class 'class_0' to 'a,b:c'." in readme
    assert pack(made.id, tmp_path / "again.zip", settings).read_bytes() == (tmp_path / "out.zip").read_bytes()


@pytest.mark.parametrize("label", ["__MACOSX", "train", "Thumbs.db", ".hidden", "ü:ß", "x" * 100, 'con,"a"', "a;b"])
def test_classes_with_difficult_names_survive_the_zip(info, settings, tmp_path, monkeypatch, label):
    made = derive(info.id, [RenameClass(old="ants", new=label), RenameClass(old="bees", new="test")], settings)
    file = pack(made.id, tmp_path / "out.zip", settings)
    monkeypatch.setenv("TLCORE_HOME", str(tmp_path / "other"))
    again = add_dataset(file)
    assert (again.classes, again.fingerprint, again.given) == (made.classes, made.fingerprint, "none")


def test_a_zip_that_cannot_be_made_leaves_nothing(info, settings, tmp_path):
    place = tmp_path / "out"
    place.mkdir()
    (place / "there.zip").write_bytes(b"mine")
    with pytest.raises(StorageError, match="exists already"):
        pack(info.id, place / "there.zip", settings)
    with pytest.raises(StorageError, match="no folder"):
        pack(info.id, place / "nowhere" / "a.zip", settings)
    with pytest.raises(RunCancelledError):
        pack(info.id, place / "a.zip", settings, should_stop=lambda: True)
    file = settings.datasets / info.id / "files" / "ants" / "ants_0000.png"
    file.write_bytes(b"x" + file.read_bytes()[1:])
    with pytest.raises(DatasetError, match=r"ants_0000\.png of .* has changed since it was imported"):
        pack(info.id, place / "a.zip", settings)
    file.unlink()
    with pytest.raises(DatasetError, match=r"ants_0000\.png of .* is gone"):
        pack(info.id, place / "a.zip", settings)
    assert {p.name: p.read_bytes() for p in place.iterdir()} == {"there.zip": b"mine"}


@pytest.mark.parametrize("links", [True, False])
def test_a_zip_replaces_no_file_that_appears_while_it_is_made(info, settings, tmp_path, monkeypatch, links):
    """At the last moment: after every look at the place."""
    to = tmp_path / "out" / "a.zip"
    to.parent.mkdir()
    link = os.link

    def late(draft, target):
        to.write_bytes(b"mine")
        if not links:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        link(draft, target)

    monkeypatch.setattr(packing.os, "link", late)
    with pytest.raises(StorageError, match="exists already"):
        pack(info.id, to, settings)
    assert {p.name: p.read_bytes() for p in to.parent.iterdir()} == {"a.zip": b"mine"}


def test_a_zip_is_made_where_there_are_no_links(info, settings, tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(packing.os, "link", refused)
    assert zipfile.is_zipfile(pack(info.id, tmp_path / "out" / "a.zip", settings))
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a.zip"]


def test_packing_takes_no_more_memory_for_a_large_file(tmp_path, settings):
    folder = make_image_folder(tmp_path, 2, 3)
    with (folder / "class_0" / "class_0_0000.png").open("ab") as large:
        large.write(bytes(40_000_000))
    info = add_dataset(folder, settings=settings)
    told = []
    tracemalloc.start()
    pack(info.id, tmp_path / "out.zip", settings, progress=lambda done, words: told.append((done, words)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "out.zip").stat().st_size > 40_000_000
    assert peak < 10_000_000
    assert told == [(0.0, "Packed 0 of 6 images")]


# When things happen at once, or stop half-way


def test_many_derivations_at_once(info, settings):
    paths = [f"ants/ants_000{i}.png" for i in range(4)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda p: derive(info.id, [LeaveOut(paths=(p,))], settings), paths * 3))
    assert len({m.id for m in made}) == 4
    assert names(settings) == {info.id, *(m.id for m in made)}
    for m in made:
        assert check_dataset(m.id, settings) == ()
        assert m.class_counts == {"ants": 7, "bees": 9}


def test_a_version_that_is_deleted_while_another_is_made_of_it(info, settings):
    def delete(done: float, words: str) -> None:
        if info.id in names(settings):
            delete_dataset(info.id, settings)

    with pytest.raises(NotFoundError, match=f"there is no dataset '{info.id}'"):
        derive(info.id, [LeaveOut(paths=("bees/copy.png",))], settings, progress=delete)
    assert names(settings) == set()


def test_a_version_outlives_one_that_is_deleted_just_before_it_lands(info, settings, monkeypatch):
    put = derive_module.put_card

    def delete_first(folder, card):
        delete_dataset(info.id, settings)
        put(folder, card)

    monkeypatch.setattr(derive_module, "put_card", delete_first)
    made = derive(info.id, [LeaveOut(paths=("bees/copy.png",))], settings)
    assert names(settings) == {made.id}
    assert check_dataset(made.id, settings) == ()
    assert [v.info for v in versions_of(made.id, settings)] == [None, made]


def test_a_missing_file_is_named_and_can_be_left_out(info, settings):
    (settings.datasets / info.id / "files/ants/ants_0002.png").unlink()
    with pytest.raises(DatasetError, match=r"ants_0002\.png is gone: see what else with .* dataset check"):
        derive(info.id, [LeaveOut(paths=("bees/copy.png",))], settings)
    assert names(settings) == {info.id}
    made = derive(info.id, [LeaveOut(paths=("ants/ants_0002.png",))], settings)
    assert check_dataset(made.id, settings) == ()


def test_a_version_tells_how_far_it_is_from_the_first_look_at_its_pictures(info, settings):
    told = []
    derive(info.id, [LeaveOut(paths=("bees/copy.png",))], settings, lambda *news: told.append(news))
    assert [share for share, _ in told] == sorted(share for share, _ in told)
    assert [words for _, words in told] == ["Looking for near duplicates", "Placed 0 of 16 images"]


def test_cancelling_leaves_nothing(info, settings):
    with pytest.raises(RunCancelledError):
        derive(info.id, [LeaveOut(paths=("bees/copy.png",))], settings, should_stop=lambda: True)
    assert names(settings) == {info.id}


CRASH = """
import os, sys
from tlcore.datasets.versions import LeaveOut, derive
from tlcore.datasets.versions import derive as function
module = sys.modules[function.__module__]
place = module._link
def link(source, target):
    place(source, target)
    if "bees" in str(target):
        os._exit(9)
module._link = link
derive(sys.argv[1], [LeaveOut(paths=("ants/ants_0000.png",))])
"""


def test_a_crash_half_way_leaves_nothing_for_long(info, settings):
    before = everything_below(settings.datasets / info.id)
    done = subprocess.run([sys.executable, "-c", CRASH, info.id], check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 9
    assert list_datasets(settings) == [info]
    assert len(names(settings)) == 3, "the half-made version and its lock are there"
    made = derive(info.id, [LeaveOut(paths=("bees/copy.png",))], settings)
    assert names(settings) == {info.id, made.id}
    assert everything_below(settings.datasets / info.id) == before


def test_two_who_delete_the_same_version(info, settings):
    def delete(_: int) -> str:
        try:
            delete_dataset(info.id, settings)
        except NotFoundError:
            return "gone"
        return "deleted"

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(delete, range(4))) == ["deleted", "gone", "gone", "gone"]
    assert names(settings) == set()


def test_a_deletion_that_comes_too_late_leaves_nothing(info, settings):
    with pytest.raises(FileNotFoundError) as caught:
        remove_dataset_folder(settings.datasets / "gone-00000000")
    assert caught.value.filename.endswith("gone-00000000")
    assert names(settings) == {info.id}

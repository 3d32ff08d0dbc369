"""Listing, opening, looking at, checking and deleting datasets."""

import pytest
from filelock import Timeout
from PIL import Image

from tests.helpers import make_image_folder
from tlcore.datasets import store
from tlcore.datasets.dataset import DatasetInfo
from tlcore.datasets.intake import add_dataset
from tlcore.datasets.staging import datasets_lock
from tlcore.datasets.store import (
    check_dataset,
    delete_dataset,
    find_rows,
    gallery,
    list_datasets,
    load_dataset,
    load_info,
)
from tlcore.errors import DatasetError, NotFoundError


@pytest.fixture
def info(tmp_path, settings) -> DatasetInfo:
    return add_dataset(make_image_folder(tmp_path, ("ants", "bees"), 4, (320, 200)), settings=settings)


def test_a_home_without_datasets(settings):
    assert list_datasets(settings) == []
    with pytest.raises(
        NotFoundError, match=r"there is no dataset 'x': add one with `python -m tlcore dataset add PATH`"
    ):
        load_info("x", settings)


def test_list_and_load(info, tmp_path, settings):
    newer = add_dataset(make_image_folder(tmp_path / "2", 2, 3), "newer", settings)
    assert list_datasets(settings) == [newer, info]
    assert list_datasets() == [newer, info]  # the home of the environment
    assert load_info(info.id, settings) == info
    assert load_dataset(info.id, settings).info == info


@pytest.mark.parametrize("dataset_id", ["../secrets", "", ".staging-x", "images-00000000", "/etc", "a/../b"])
def test_ids_that_name_nothing(info, settings, dataset_id):
    with pytest.raises(NotFoundError, match=f"did you mean {info.id}"):
        load_dataset(dataset_id, settings)


def test_damaged_files_of_the_store_are_named(info, settings):
    folder = settings.datasets / info.id
    (folder / "images.parquet").write_bytes(b"x")
    with pytest.raises(DatasetError, match=r"images\.parquet is damaged or gone"):
        load_dataset(info.id, settings)
    (folder / "dataset.json").write_text("{}")
    with pytest.raises(DatasetError, match=r"dataset\.json is damaged: remove the folder"):
        list_datasets(settings)


def test_gallery_pages_through_a_class_in_the_order_of_paths(info, settings):
    dataset = load_dataset(info.id, settings)
    everything = gallery(dataset, find_rows(dataset))
    assert [row.path for row in everything] == sorted(dataset.images["path"])
    bees = gallery(dataset, find_rows(dataset, label=1)[1:3])
    assert [row.path for row in bees] == ["bees/bees_0001.png", "bees/bees_0002.png"]
    found = [row.path for row in gallery(dataset, find_rows(dataset, search="S_0002.P"))]
    assert found == ["ants/ants_0002.png", "bees/bees_0002.png"], "in any case, and a dot is a dot"
    assert find_rows(dataset, part="test") == []
    for row in everything:
        assert dataset.images["path"][row.row] == row.path
        assert (row.label, row.width, row.height) == (row.path.split("/")[0], 320, 200)
        with Image.open(row.thumbnail) as picture:
            assert (picture.format, picture.size) == ("JPEG", (160, 100))


def test_check_finds_missing_and_changed_files(info, settings):
    assert check_dataset(info.id, settings) == ()
    root = settings.datasets / info.id / "files"
    (root / "ants/ants_0000.png").unlink()
    (root / "bees/bees_0000.png").write_bytes(b"other")
    problems = {problem.path: problem.reason for problem in check_dataset(info.id, settings)}
    assert problems == {"ants/ants_0000.png": "missing", "bees/bees_0000.png": "changed since it was imported"}


def test_delete_frees_the_files_and_what_was_cached_of_them(info, settings):
    key, other = info.fingerprint[:16], "0" * 16
    for folder in (f"images/{key}-224", f"images/{other}-224", f"features/{key}-x"):
        (settings.cache / folder).mkdir(parents=True)
        (settings.cache / folder / "data").write_bytes(b"x")
    delete_dataset(info.id, settings)
    assert list_datasets(settings) == []
    assert {p.name for p in settings.datasets.iterdir()} == {".lock"}
    assert [p.name for p in sorted(settings.cache.glob("*/*"))] == [f"{other}-224"]
    with pytest.raises(NotFoundError):
        delete_dataset(info.id, settings)


def test_delete_keeps_the_cache_that_another_dataset_of_the_same_content_uses(info, tmp_path, settings):
    for label in ("ants", "bees"):
        folder = tmp_path / "parts" / "test" / label
        folder.mkdir(parents=True)
        for path in (tmp_path / "images" / label).iterdir():
            part = "test" if "0000" in path.name else "train"
            target = tmp_path / "parts" / part / label / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    other = add_dataset(tmp_path / "parts", settings=settings)
    cached = settings.cache / "images" / f"{info.fingerprint[:16]}-224"
    cached.mkdir(parents=True)
    delete_dataset(info.id, settings)
    assert cached.exists()
    delete_dataset(other.id, settings)
    assert not cached.exists()


def test_caches_go_before_the_same_content_can_land_again(info, settings, monkeypatch):
    cached = settings.cache / "images" / f"{info.fingerprint[:16]}-224"
    cached.mkdir(parents=True)
    held = []
    remove = store.shutil.rmtree

    def removed(folder, *more, **options):
        if folder == cached:
            with pytest.raises(Timeout):
                datasets_lock(settings.datasets).acquire(timeout=0)
            held.append(folder)
        remove(folder, *more, **options)

    monkeypatch.setattr(store.shutil, "rmtree", removed)
    delete_dataset(info.id, settings)
    assert held == [cached]


def test_the_same_content_again_tells_its_own_left_out_files(info, tmp_path, settings):
    again = make_image_folder(tmp_path / "again", ("ants", "bees"), 4, (320, 200))
    (again / "notes.txt").write_text("not an image")
    second = add_dataset(again, "another name", settings)
    assert second.id == info.id
    assert [left.path for left in second.left_out] == ["notes.txt"]
    assert any(info.id in note for note in second.notes)

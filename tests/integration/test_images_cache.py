"""The cache of decoded images on disk: built once by child processes, whole or not at all."""

import errno
import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import make_image_folder
from tests.training_support import dataset_of, tiny_dataset
from tlcore.datasets.intake import add_dataset
from tlcore.datasets.pictures.decoding import open_rgb
from tlcore.datasets.pictures.geometry import evaluation_pixels, train_side, whole_pixels
from tlcore.datasets.store import delete_dataset, load_dataset
from tlcore.errors import ImageError, RunCancelledError, StorageError
from tlcore.recipes import Preprocessing
from tlcore.training.images import cache as images
from tlcore.training.images.cache import cache_key, open_cache
from tlcore.training.room import begin, lock_of, make_room, used_stays

LOOKS = Preprocessing(size=24, resize=28, interpolation="bicubic", mean=(0, 0, 0), std=(1, 1, 1))


@pytest.fixture
def dataset(tmp_path):
    return tiny_dataset(tmp_path / "pictures", classes=2, per_class=6)


def _left(folder):
    return sorted(p.name for p in (folder / "images").iterdir() if p.suffix != ".lock")


def test_rows_are_those_of_the_dataset(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "_IMAGES_PER_CHILD", 3)
    monkeypatch.setattr(images, "usable_cores", lambda: 3)
    told = []
    cache = open_cache(dataset, LOOKS, tmp_path / "cache", lambda done, message: told.append((done, message)))
    assert cache.eval_pixels.shape == (12, 24, 24, 3)
    assert cache.train_pixels.shape == (12, train_side(LOOKS), train_side(LOOKS), 3)
    for row, path in enumerate(dataset.images["path"]):
        image = open_rgb(dataset.root / path)
        assert np.array_equal(cache.eval_pixels[row], evaluation_pixels(image, LOOKS))
        assert np.array_equal(cache.train_pixels[row], whole_pixels(image, LOOKS))
    assert np.allclose(cache.aspect, dataset.images["width"] / dataset.images["height"])
    assert told
    assert all(0 <= done <= 1 for done, _ in told)
    assert sorted(p.name for p in (tmp_path / "cache/images" / cache_key(dataset, LOOKS)).iterdir()) == [
        "eval.npy",
        "train.npy",
    ]


def test_a_second_time_decodes_nothing(dataset, tmp_path, monkeypatch):
    first = open_cache(dataset, LOOKS, tmp_path)
    monkeypatch.setattr(images, "_decode", lambda *args: pytest.fail("decoded again"))
    second = open_cache(dataset, LOOKS.model_copy(update={"mean": (0.5, 0.5, 0.5)}), tmp_path)
    assert np.array_equal(first.eval_pixels, second.eval_pixels)


def of_size(size):
    return LOOKS.model_copy(update={"size": size, "resize": size})


def test_caches_are_bounded_and_what_was_used_longest_ago_goes_first(dataset, tmp_path, monkeypatch):
    """Room for two and a half of them: the third drives out the one that was not opened again."""
    first, second, third = (of_size(size) for size in (24, 25, 26))
    pixels = open_cache(dataset, first, tmp_path).eval_pixels
    before = pixels.copy()
    taken = sum(file.stat().st_size for file in (tmp_path / "images").rglob("*.npy"))
    monkeypatch.setenv("TLCORE_MAX_CACHE_GB", str(2.5 * taken / 1e9))
    open_cache(dataset, second, tmp_path)
    assert _left(tmp_path) == sorted(cache_key(dataset, looks) for looks in (first, second))
    features = tmp_path / "features" / "made-by-somebody"
    features.mkdir(parents=True)
    (features / "features.npy").write_bytes(bytes(int(0.4 * taken)))
    age = {cache_key(dataset, first): 300, cache_key(dataset, second): 200, "made-by-somebody": 250}
    for name, seconds in age.items():
        (folder,) = tmp_path.glob(f"*/{name}")
        os.utime(folder, (time.time() - seconds,) * 2)
    open_cache(dataset, first, tmp_path)  # used again
    open_cache(dataset, third, tmp_path)
    assert _left(tmp_path) == sorted(cache_key(dataset, looks) for looks in (first, third))
    assert not features.exists()
    open_cache(dataset, of_size(27), tmp_path)
    assert np.array_equal(pixels, before), "a run that has the file open reads on"


def test_what_a_run_uses_stays_while_it_lasts_and_it_is_told_where_that_is_more_than_the_limit(
    dataset, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("TLCORE_MAX_CACHE_GB", "0")
    first, second, third = (of_size(size) for size in (24, 25, 26))
    with used_stays():
        open_cache(dataset, first, tmp_path)
        open_cache(dataset, second, tmp_path)
        assert _left(tmp_path) == sorted(cache_key(dataset, looks) for looks in (first, second))
        assert "raise TLCORE_MAX_CACHE_GB" in caplog.text
    caplog.clear()
    open_cache(dataset, third, tmp_path)
    assert _left(tmp_path) == [cache_key(dataset, third)]
    assert "TLCORE_MAX_CACHE_GB" not in caplog.text, "outside a run, nobody uses them"


def test_what_somebody_is_making_or_opening_stays(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("TLCORE_MAX_CACHE_GB", "0")
    first = tmp_path / "images" / cache_key(dataset, of_size(24))
    open_cache(dataset, of_size(24), tmp_path)
    with lock_of(first):
        open_cache(dataset, of_size(25), tmp_path)
        assert first.exists()
    open_cache(dataset, of_size(26), tmp_path)
    assert _left(tmp_path) == [cache_key(dataset, of_size(26))]


def test_key_follows_what_pixels_depend_on(dataset):
    key = cache_key(dataset, LOOKS)
    assert cache_key(dataset, LOOKS.model_copy(update={"std": (2.0, 2.0, 2.0)})) == key
    for change in ({"size": 32}, {"resize": None}, {"interpolation": "bilinear"}):
        assert cache_key(dataset, LOOKS.model_copy(update=change)) != key
    turned = dataset.images.iloc[::-1].reset_index(drop=True)
    assert cache_key(type(dataset)(dataset.info, turned, dataset.root), LOOKS) != key


def test_a_stop_leaves_nothing_behind_and_can_be_followed_by_success(dataset, tmp_path):
    def stop(done, message):
        raise RunCancelledError("stop")

    with pytest.raises(RunCancelledError):
        open_cache(dataset, LOOKS, tmp_path, stop)
    assert _left(tmp_path) == []
    assert open_cache(dataset, LOOKS, tmp_path).eval_pixels.any()


def half_made(folder, size=4):
    """What a process that is killed while it makes a folder leaves."""
    staging = begin(folder)
    (staging / "eval.npy").write_bytes(bytes(size))
    return staging


@pytest.mark.parametrize("place", ["images/{}", "images/other-1", "features/other-2"])
def test_what_a_killed_builder_left_is_cleared(dataset, tmp_path, place):
    half_made(tmp_path / place.format(cache_key(dataset, LOOKS)))
    open_cache(dataset, LOOKS, tmp_path)
    assert _left(tmp_path) == [cache_key(dataset, LOOKS)]
    assert not list(tmp_path.glob("*/.*"))


def test_what_somebody_is_making_takes_room(dataset, tmp_path, monkeypatch):
    open_cache(dataset, of_size(24), tmp_path)
    taken = sum(file.stat().st_size for file in (tmp_path / "images").rglob("*.npy"))
    monkeypatch.setenv("TLCORE_MAX_CACHE_GB", str(2.5 * taken / 1e9))
    other = tmp_path / "features" / "other-1"
    half_made(other, taken)
    with lock_of(other):
        open_cache(dataset, of_size(25), tmp_path)
        assert [path.name for path in tmp_path.glob("features/.*")] == [".other-1.making"]
    assert _left(tmp_path) == [cache_key(dataset, of_size(25))]


@pytest.mark.parametrize("size", [0, 60, 1000, None])
def test_a_damaged_cache_is_made_again(dataset, tmp_path, size):
    """As a power cut may leave it. None: the file is gone."""
    before = open_cache(dataset, LOOKS, tmp_path).eval_pixels.copy()
    damaged = tmp_path / "images" / cache_key(dataset, LOOKS) / "eval.npy"
    if size is None:
        damaged.unlink()
    else:
        os.truncate(damaged, size)
    assert np.array_equal(open_cache(dataset, LOOKS, tmp_path).eval_pixels, before)


def test_pixels_are_on_the_disk_before_they_are_in_place(dataset, tmp_path, monkeypatch):
    """Else a power cut leaves a cache of zeros that looks complete."""
    synced, real = [], os.fsync

    def fsync(file):
        synced.append(os.fstat(file).st_size)
        assert not (tmp_path / "images" / cache_key(dataset, LOOKS)).exists()
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    open_cache(dataset, LOOKS, tmp_path)
    folder = tmp_path / "images" / cache_key(dataset, LOOKS)
    assert sorted(synced) == sorted(file.stat().st_size for file in folder.iterdir())


def test_folders_that_vanish_while_room_is_made_are_no_error(dataset, tmp_path, monkeypatch):
    """`delete_dataset` takes caches away while runs of other datasets make theirs."""
    gone = tmp_path / "features" / "gone-1"
    gone.mkdir(parents=True)
    real = Path.glob

    def glob(path, pattern):
        found = list(real(path, pattern))
        if gone in found:
            gone.rmdir()
        return iter(found)

    monkeypatch.setattr(Path, "glob", glob)
    make_room(tmp_path, 1)
    assert not gone.exists()


def test_an_unreadable_image_is_named(dataset, tmp_path):
    bad = dataset.root / dataset.images["path"][5]
    bad.write_bytes(b"no picture")
    with pytest.raises(ImageError, match=bad.name):
        open_cache(dataset, LOOKS, tmp_path)
    assert _left(tmp_path) == []


def test_a_full_disk_is_one_clear_error(dataset, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match=r"disk is full.*MB are free"):
        open_cache(dataset, LOOKS, tmp_path)
    assert _left(tmp_path) == []


def test_pictures_of_any_mode(tmp_path):
    folder = tmp_path / "modes" / "a"
    folder.mkdir(parents=True)
    for mode in ("L", "P", "RGBA", "1", "LA", "I;16"):
        Image.new(mode, (40, 30)).save(folder / f"{mode.replace(';', '')}.png")
    cache = open_cache(dataset_of(tmp_path / "modes"), LOOKS, tmp_path)
    assert cache.eval_pixels.shape == (6, 24, 24, 3)


def test_deleting_a_dataset_frees_its_decoded_images(tmp_path, settings):
    info = add_dataset(make_image_folder(tmp_path, 2, 6), None, settings)
    open_cache(load_dataset(info.id, settings), LOOKS, settings.cache)
    left = _left(settings.cache)
    assert left
    half_made(settings.cache / "features" / f"{left[0]}-half")
    delete_dataset(info.id, settings)
    assert _left(settings.cache) == []
    assert not list(settings.cache.glob("*/.*"))

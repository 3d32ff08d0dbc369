"""The feature cache: shared, paid for, and safe against crashes."""

import errno
import json
import os

import numpy as np
import pytest
from filelock import FileLock
from safetensors.torch import load_file, save_file

from tests.training_support import Bench, Crash, Recorder, pretrained, tiny_dataset
from tlcore.errors import RunCancelledError, StorageError
from tlcore.training.features import store as features_module


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path, tiny_dataset(tmp_path, classes=2, per_class=8))


def only_cache(bench):
    (meta,) = (bench.folder / "cache" / "features").glob("*/meta.json")
    return meta.parent


def test_runs_share_features_and_each_pays_for_them(bench, monkeypatch):
    first = bench.run(bench.spec("feature_extraction"), "first")
    meta = only_cache(bench) / "meta.json"
    assert first.train_seconds > json.loads(meta.read_text())["seconds_per_image"]
    assert only_cache(bench).name.startswith(bench.dataset.info.fingerprint[:16])
    meta.write_text(json.dumps({"seconds_per_image": 100.0}))
    monkeypatch.setattr(features_module, "feature_batches", None)
    recorder = Recorder()
    second = bench.run(bench.spec("feature_extraction", seed=1), "second", recorder)
    used = recorder.resolution.num_train + recorder.resolution.num_val
    assert 100 * used < second.train_seconds < 100 * used + second.total_seconds
    assert second.total_seconds < second.train_seconds, "what others paid for is no part of it"


@pytest.mark.parametrize("other", ["weights", "size"])
def test_other_weights_or_another_size_have_other_features(bench, other):
    bench.run(bench.spec("feature_extraction"), "first")
    first = np.load(only_cache(bench) / "features.npy")
    assert len(first) == len(bench.dataset.images)
    trained = load_file(pretrained(bench.folder / "weights", bench.model))
    save_file({n: t * 1.5 if n == "conv1.0.weight" else t for n, t in trained.items()}, bench.folder / "w.safetensors")
    change = {"weights": {"weights": f"file:{bench.folder / 'w.safetensors'}"}, "size": {"image_size": 48}}[other]
    bench.run(bench.spec("feature_extraction", **change), "other")
    made = [np.load(path) for path in (bench.folder / "cache" / "features").glob("*/features.npy")]
    assert len(made) == 2
    assert not np.allclose(*made)


def test_a_crash_while_making_features_leaves_nothing_that_looks_complete(bench, monkeypatch):
    real = features_module.feature_batches

    def breaks(*args):
        yield next(real(*args))
        raise Crash

    monkeypatch.setattr(features_module, "feature_batches", breaks)
    bench.batch_size = 4
    with pytest.raises(Crash):
        bench.run(bench.spec("feature_extraction"), "crash")
    assert not list((bench.folder / "cache" / "features").glob("*/"))
    monkeypatch.setattr(features_module, "feature_batches", real)
    assert bench.run(bench.spec("feature_extraction"), "crash").test.num_images > 0


def test_features_that_lost_their_description_are_made_again(bench, monkeypatch):
    bench.run(bench.spec("feature_extraction"), "first")
    meta = only_cache(bench) / "meta.json"
    meta.unlink()
    tries, real = [], FileLock.acquire

    def acquire(lock, *arguments, **named):
        tries.append(lock)
        assert len(tries) < 20, "it goes round in circles"
        return real(lock, *arguments, **named)

    monkeypatch.setattr(FileLock, "acquire", acquire)
    again = bench.run(bench.spec("feature_extraction", seed=1), "second")
    assert again.test.num_images > 0
    assert meta.exists()


@pytest.mark.parametrize(("name", "size"), [("meta.json", 0), ("features.npy", 0), ("features.npy", 300)])
def test_damaged_features_are_made_again(bench, name, size):
    """As a power cut may leave them."""
    bench.run(bench.spec("feature_extraction"), "first")
    before = np.load(only_cache(bench) / "features.npy")
    os.truncate(only_cache(bench) / name, size)
    bench.run(bench.spec("feature_extraction", seed=1), "second")
    assert np.array_equal(np.load(only_cache(bench) / "features.npy"), before)


def test_a_disk_too_full_for_features_is_one_clear_error(bench, monkeypatch):
    """Instead of a worker that is killed as it writes into a hole of a mapped file."""
    bench.run(bench.spec("from_scratch"), "decodes the images")

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match=r"disk is full: features need .*MB are free"):
        bench.run(bench.spec("feature_extraction"), "full")
    assert not list((bench.folder / "cache" / "features").glob(".*"))


def test_waiting_for_anothers_features_can_be_stopped(bench):
    bench.run(bench.spec("feature_extraction"), "first")
    folder = only_cache(bench)
    (folder / "meta.json").unlink()
    with FileLock(f"{folder}.lock"), pytest.raises(RunCancelledError):
        bench.run(bench.spec("feature_extraction", seed=1), "second", Recorder(stop_after=5))

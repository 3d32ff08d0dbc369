"""The floors of a run against scikit-learn on features that the test makes itself, and that they change nothing."""

import shutil
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.dummy import DummyClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import NearestCentroid

from tests.training_support import FLOAT32, Bench, Recorder, pretrained, tiny_dataset
from tlcore.errors import ModelError, RunCancelledError, StorageError
from tlcore.training import floors, prepare, run
from tlcore.training.features import store
from tlcore.training.images.batches import evaluation_batch, open_source
from tlcore.training.images.cache import open_cache
from tlcore.training.networks import models
from tlcore.training.outcome import costs
from tlcore.training.weights.loading import load_backbone


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "pick_device", lambda asked: FLOAT32)
    return Bench(tmp_path, tiny_dataset(tmp_path, classes=3, per_class=10))


def ground_of(bench, spec):
    places = bench.work("oracle"), bench.folder / "cache"
    return prepare.Ground(spec, bench.dataset, bench.split(spec), *places, Recorder(), None, FLOAT32, 0)


def oracle(bench, spec):
    """Test and validation accuracies that scikit-learn gives on the network's penultimate features."""
    preprocessing = prepare.recipe_of(ground_of(bench, spec)).preprocessing
    cache = open_cache(bench.dataset, preprocessing, bench.folder / "own_cache")
    source = open_source(cache, bench.dataset, preprocessing, FLOAT32)
    network = models.build_network(bench.model, 3, 32)
    load_backbone(network, f"file:{pretrained(bench.folder / 'weights', bench.model)}")
    network.module.eval()
    with torch.inference_mode():
        features = models.features(network, evaluation_batch(source, np.arange(len(bench.dataset.images)))).numpy()
    labels = bench.dataset.images["label"].to_numpy()
    split = bench.split(spec)
    train, parts = list(split.train), {"val": list(split.val), "test": list(split.test)}
    means = NearestCentroid().fit(features[train], labels[train])
    dummy = DummyClassifier(strategy="most_frequent").fit(features[train], labels[train])
    return {
        (name, part): (
            model.score(features[rows], labels[rows]),
            balanced_accuracy_score(labels[rows], model.predict(features[rows])),
        )
        for name, model in (("nearest_class_mean", means), ("majority_class", dummy))
        for part, rows in parts.items()
    }


def scores(outcome):
    return {
        (found.name, part): (getattr(found, part).accuracy, getattr(found, part).balanced_accuracy)
        for found in outcome.floors
        for part in ("val", "test")
    }


@pytest.mark.parametrize(
    ("strategy", "changes"),
    [
        ("feature_extraction", {}),
        ("fine_tuning", {}),
        ("fine_tuning", {"fraction": 0.5, "seed": 3}),
        ("transfer_learning", {"overrides": {"hidden_units": 4}}),
        ("fine_tuning", {"overrides": {"cut_at": 3}}),
        ("lora", {"model": "test_vit"}),
        ("fine_tuning", {"model": "torchvision:resnet18"}),
    ],
)
def test_floors_are_those_of_scikit_learn(bench, strategy, changes):
    bench.model = changes.get("model", bench.model)
    spec = bench.spec(strategy, **changes)
    outcome = bench.run(spec, "run")
    expected = oracle(bench, spec)
    found = scores(outcome)
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        assert found[key] == pytest.approx(values), key
    assert outcome.notes == () or strategy == "feature_extraction"


def test_a_random_start_has_the_majority_alone(bench):
    outcome = bench.run(bench.spec("from_scratch"), "run")
    assert [found.name for found in outcome.floors] == ["majority_class"]
    assert not list((bench.folder / "cache").glob("features/*/"))


def test_all_runs_of_a_model_share_one_pass(bench, monkeypatch):
    first = bench.run(bench.spec("fine_tuning"), "first")
    monkeypatch.setattr(store, "feature_batches", None)
    second = bench.run(bench.spec("transfer_learning", overrides={"hidden_units": 4}), "second")
    third = bench.run(bench.spec("feature_extraction"), "third")
    assert second.floors == first.floors == third.floors


@pytest.mark.parametrize("changes", [{}, {"overrides": {"hidden_units": 4}}])
def test_measuring_floors_changes_no_bit_of_the_curve(bench, monkeypatch, changes):
    def curve(name):
        recorder = Recorder()
        bench.run(bench.spec("staged_fine_tuning", **changes), name, recorder)
        points = recorder.histories[-1][0]
        return [p.model_copy(update={"train_seconds": 0, "timestamp_ms": 0}) for p in points]

    with_floors = curve("with")
    monkeypatch.setattr(run, "floors_of", lambda *_: ((), ()))
    assert curve("without") == with_floors


def test_a_resumed_run_has_the_floors_of_a_whole_one(bench):
    spec = bench.spec("fine_tuning")
    whole = bench.run(spec, "whole")
    with pytest.raises(RunCancelledError):
        bench.run(spec, "stopped", Recorder(stop_at=4))
    shutil.rmtree(bench.folder / "cache" / "features")  # made again, of the network as it starts, not as it stands
    assert bench.run(spec, "stopped").floors == whole.floors


def test_the_pass_is_charged_to_the_wall_clock_alone(bench, monkeypatch):
    real, clock, later = run.floors_of, time.perf_counter, [0.0]

    def slow(*args):
        found = real(*args)
        later[0] = 1000.0
        return found

    monkeypatch.setattr(time, "perf_counter", lambda: clock() + later[0])
    monkeypatch.setattr(run, "floors_of", slow)
    outcome = bench.run(bench.spec("fine_tuning"), "run")
    assert outcome.train_seconds < 1000 < outcome.total_seconds


def test_weights_of_which_only_a_part_was_loaded_are_no_floor_and_that_is_said(bench):
    whole = load_file(pretrained(bench.folder / "weights", bench.model))
    part = {name: tensor for name, tensor in whole.items() if not name.startswith("layer4")}
    save_file(part, bench.folder / "part.safetensors")
    spec = bench.spec("fine_tuning", weights=f"file:{bench.folder / 'part.safetensors'}", allow_partial_weights=True)
    outcome = bench.run(spec, "run")
    assert [found.name for found in outcome.floors] == ["majority_class"]
    (note,) = outcome.notes
    assert "the pretrained network as it is was not measured: only a part of its weights was loaded" in note


def test_a_full_disk_costs_the_floor_and_not_the_run(bench, monkeypatch):
    def full(job):
        raise StorageError("cannot store features: no space left")

    monkeypatch.setattr(store, "stored_features", full)
    outcome = bench.run(bench.spec("fine_tuning"), "run")
    assert [found.name for found in outcome.floors] == ["majority_class"]
    assert any("cannot store features" in note for note in outcome.notes)


def test_equal_frequencies_and_distances_are_decided_as_scikit_learn_does():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 5)).astype(np.float32)
    features[40:] = features[:20]
    labels = np.array([2, 0, 3] * 20)
    rows = np.arange(40)
    with_ties = floors.class_means(features, rows, labels)
    expected = NearestCentroid().fit(features[rows], labels[rows]).predict(features)
    assert np.array_equal(floors.nearest(with_ties, features, np.arange(60)), expected)
    assert floors.majority_class(labels) == DummyClassifier().fit(features, labels).predict(features[:1])[0] == 0
    features[7] = np.nan
    with pytest.raises(ModelError, match="finite"):
        floors.class_means(features, rows, labels)


def test_costs_are_those_of_the_files_and_of_one_pass(bench, monkeypatch):
    seen, real = [], costs.logits
    monkeypatch.setattr(costs, "logits", lambda *given: seen.append(given[2]) or real(*given))
    monkeypatch.setattr(costs, "KNOWN", {})
    ticks = iter(range(10_000))
    monkeypatch.setattr(costs.time, "perf_counter", lambda: next(ticks) / 1000)
    outcome = bench.run(bench.spec("fine_tuning"), "run")
    assert outcome.model_bytes == (bench.work("run") / "model" / "weights.safetensors").stat().st_size
    assert outcome.latency_ms == pytest.approx(1.0), "one tick of the clock per pass"
    assert len(seen) == costs.WARM_UP + costs.REPEATS
    assert {tuple(image.shape) for image in seen} == {(1, 3, 32, 32)}


def test_equal_networks_have_one_latency_and_others_their_own(bench, monkeypatch):
    """Two strategies that end with the same architecture differ in what it learned, which takes no time."""
    monkeypatch.setattr(costs, "KNOWN", {})
    found = iter([1.0, 2.0, 3.0])
    monkeypatch.setattr(costs, "latency_ms", lambda *_: next(found))
    runs = {
        "fine_tuning": bench.spec("fine_tuning"),
        "feature_extraction": bench.spec("feature_extraction"),
        "hidden": bench.spec("fine_tuning", overrides={"hidden_units": 8}),
        "larger": bench.spec("fine_tuning", image_size=64),
    }
    assert [bench.run(spec, name).latency_ms for name, spec in runs.items()] == [1.0, 1.0, 2.0, 3.0]


def test_a_slow_network_is_timed_by_few_passes(monkeypatch):
    passes = []
    monkeypatch.setattr(costs, "logits", lambda *_: passes.append(1))
    monkeypatch.setattr(costs.time, "perf_counter", lambda: 10.0 * len(passes))
    network = models.build_network("test_resnet", 2, 32)
    assert costs.latency_ms(network, FLOAT32, torch.zeros(1, 3, 32, 32)) == pytest.approx(10_000)
    assert len(passes) == 2


def test_the_files_beside_the_weights_count(tmp_path):
    for name, size in {"weights.safetensors": 7, "knn.safetensors": 5, "backbone.onnx": 11, "model.json": 100}.items():
        (tmp_path / name).write_bytes(bytes(size))
    assert costs.weights_bytes(tmp_path) == 23

"""A device that runs out of memory, made up: the batch is done in parts, and the run says so."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.training_support import FLOAT32, Bench, Recorder, tiny_dataset
from tlcore.errors import RunCancelledError, TrainingError
from tlcore.spec import Budget
from tlcore.training import prepare
from tlcore.training import run as run_module
from tlcore.training.device import Device
from tlcore.training.loop import steps as steps_module
from tlcore.training.networks import forward

STEPS = 6
ROOM = 3  # images at once that the made-up memory holds


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def dataset(folder):
    return tiny_dataset(folder, classes=3, per_class=10)


@pytest.fixture
def bench(folder, dataset, monkeypatch):
    monkeypatch.setattr(run_module, "pick_device", lambda asked: FLOAT32)
    return Bench(folder, dataset, budget=Budget(steps=STEPS))


def little_memory(monkeypatch, module, room=ROOM):
    """Let a forward pass of more images fail after it was done; the list of the sizes that failed."""
    failed, real = [], module.logits

    def short(network, device, images):
        scores = real(network, device, images)
        if len(images) > room:
            failed.append(len(images))
            raise torch.OutOfMemoryError("simulated")
        return scores

    monkeypatch.setattr(module, "logits", short)
    return failed


def network_of(bench, name):
    return torch.load(bench.work(name) / "checkpoint" / "last.pt", weights_only=True)


class Skewed(Bench):
    """Two training images of the first class, six of each of the others."""

    def split(self, spec):
        whole = super().split(spec)
        first = [row for row in whole.train if self.dataset.images["label"].iloc[row] == 0]
        return replace(whole, train=tuple(row for row in whole.train if row not in first[2:]))


@pytest.mark.parametrize("overrides", [{}, {"class_balance": "loss_weights", "label_smoothing": 0.1}])
def test_uneven_parts_of_uneven_classes_have_the_gradient_of_the_whole(bench, monkeypatch, overrides):
    """Batches of seven in four parts: 2, 2, 2 and 1."""
    skewed = Skewed(bench.folder, bench.dataset, budget=bench.budget, batch_size=7)
    spec, name = skewed.spec("fine_tuning", overrides=overrides), f"uneven-{len(overrides)}"
    skewed.run(spec, f"{name}-whole")
    little_memory(monkeypatch, steps_module)
    skewed.run(spec, f"{name}-parts")
    whole, parts = (network_of(skewed, f"{name}-{kind}") for kind in ("whole", "parts"))
    assert parts["plain"]["micro_batch"] == 2
    for key, tensor in parts["network"].items():
        torch.testing.assert_close(tensor, whole["network"][key], rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("overrides", [{}, {"class_balance": "loss_weights", "label_smoothing": 0.1}])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(bench, monkeypatch, caplog, overrides):
    spec = bench.spec("fine_tuning", overrides=overrides)
    whole = bench.run(spec, f"whole-{len(overrides)}")
    failed = little_memory(monkeypatch, steps_module)
    with caplog.at_level(logging.WARNING):
        parts = bench.run(spec, f"parts-{len(overrides)}")
    assert failed == [8, 4]
    expected = network_of(bench, f"whole-{len(overrides)}")["network"]
    found = network_of(bench, f"parts-{len(overrides)}")
    for name, tensor in found["network"].items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-3, atol=2e-5)
    assert found["plain"]["micro_batch"] == 2
    assert (whole.notes, len(parts.notes)) == ((), 1)
    assert "memory ran out at optimiser step 1" in parts.notes[0]
    assert "each batch of 8 went through the network 2 images at a time" in parts.notes[0]
    assert "BatchNorm" not in parts.notes[0]
    assert "optimiser step 1: out of memory with 8 images at once, trying 4" in caplog.text
    assert parts.images_seen == whole.images_seen


def test_batch_norm_in_train_mode_is_told_and_counts_no_failed_pass(bench, monkeypatch):
    little_memory(monkeypatch, steps_module, room=4)
    outcome = bench.run(bench.spec("from_scratch", overrides={"normalization": "train"}), "norms")
    assert "BatchNorm in train mode saw these smaller batches" in outcome.notes[0]
    tensors = network_of(bench, "norms")["network"]
    counted = {int(t) for name, t in tensors.items() if name.endswith("num_batches_tracked")}
    assert counted == {2 * STEPS}


def test_batch_norm_in_train_mode_never_sees_a_single_image(bench, monkeypatch):
    """Five images in parts of two would leave one alone, of which there are no statistics."""
    failed = little_memory(monkeypatch, steps_module, room=2)
    with pytest.raises(TrainingError, match="out of memory"):
        bench.run(bench.spec("from_scratch", overrides={"normalization": "train"}, batch_size=5), "alone")
    assert failed == [5, 3, 3]


def test_a_resumed_run_goes_on_in_parts(bench, monkeypatch):
    spec = bench.spec("from_scratch")
    failed = little_memory(monkeypatch, steps_module)
    bench.run(spec, "through")
    with pytest.raises(RunCancelledError):
        bench.run(spec, "pieces", Recorder(stop_at=3))
    failed.clear()
    bench.run(spec, "pieces")
    assert failed == []
    one, other = (load_file(bench.work(name) / "model" / "weights.safetensors") for name in ("through", "pieces"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_nothing_smaller_left_is_a_clear_error(bench, monkeypatch):
    failed = little_memory(monkeypatch, steps_module, room=0)
    with pytest.raises(TrainingError, match=r"out of memory.*--batch-size.*--image-size"):
        bench.run(bench.spec("transfer_learning"), "hopeless")
    assert failed == [8, 4, 2, 1]


@pytest.mark.parametrize("strategy", ["fine_tuning", "lp_ft"])
def test_evaluation_in_smaller_batches_gives_the_same(bench, monkeypatch, strategy):
    spec = bench.spec(strategy)
    whole = bench.run(spec, f"evaluated-{strategy}")
    failed, real = [], forward.features

    def short(network, device, images):
        found = real(network, device, images)
        if torch.is_inference_mode_enabled() and len(images) > ROOM:
            failed.append(len(images))
            raise torch.OutOfMemoryError("simulated")
        return found

    monkeypatch.setattr(forward, "features", short)
    parts = bench.run(spec, f"evaluated-in-parts-{strategy}")
    assert failed == [6]  # all validation images, once
    assert parts.test.loss == pytest.approx(whole.test.loss, rel=1e-5)
    assert parts.test.accuracy == whole.test.accuracy
    assert any("memory ran out while evaluating: from there on, 3 images" in note for note in parts.notes)


def test_features_are_made_in_smaller_batches(bench, monkeypatch):
    spec = bench.spec("feature_extraction")
    whole = bench.run(spec, "features")
    real = forward.features

    def short(network, device, images):
        if len(images) > ROOM:
            raise torch.OutOfMemoryError("simulated")
        return real(network, device, images)

    monkeypatch.setattr(forward, "features", short)
    fresh = Bench(bench.folder / "fresh", bench.dataset, budget=bench.budget)
    parts = fresh.run(spec, "features")
    one, other = (np.load(next((b.folder / "cache" / "features").glob("*/features.npy"))) for b in (bench, fresh))
    assert np.linalg.norm(other - one) < 1e-2 * np.linalg.norm(one)
    assert parts.test.accuracy == whole.test.accuracy


def test_an_automatic_batch_is_the_same_for_every_strategy_and_scales_the_rates(bench, monkeypatch):
    """A machine with an accelerator is made up, on which 128 images fit; the recipe's own batch would be 32."""
    monkeypatch.setattr(Device, "accelerated", property(lambda self: True))
    monkeypatch.setattr(prepare, "batch_limit", lambda images, usual: 512)
    asked = []

    def train(probe, device, size):
        asked.append((probe.changes.cut_at, size))
        if size > 128:
            raise torch.OutOfMemoryError("simulated")

    monkeypatch.setattr("tlcore.training.loop.auto_batch._train_twice", train)
    found = {}
    for strategy in ("fine_tuning", "transfer_learning"):
        recorder = Recorder()
        bench.run(bench.spec(strategy, batch_size="auto", budget=Budget(steps=1)), f"auto-{strategy}", recorder)
        found[strategy] = recorder.resolution
    bench.run(bench.spec("fine_tuning", batch_size="auto", budget=Budget(steps=1), overrides={"cut_at": 2}), "auto-cut")
    assert asked == [(None, 512), (None, 256), (None, 128), (2, 512), (2, 256), (2, 128)]
    assert {resolved.batch_size for resolved in found.values()} == {128}
    assert found["transfer_learning"].recipe["phases"][0]["learning_rate"] == pytest.approx(2 * 1e-2)
    assert all("batch size auto: 128, the largest power of two" in r.notes[0] for r in found.values())


def test_an_automatic_batch_on_a_cpu_is_the_recipes_own(bench):
    recorder = Recorder()
    outcome = bench.run(bench.spec("transfer_learning", batch_size="auto"), "auto-cpu", recorder)
    assert recorder.resolution.batch_size == 32
    assert outcome.images_seen == 32 * STEPS
    assert any("batch size auto: 32, the recipe's default" in note for note in recorder.resolution.notes)

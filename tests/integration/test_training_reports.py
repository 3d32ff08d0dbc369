"""What a run says that it did to its network, against its files."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.training_support import Bench, Recorder, pretrained, tiny_dataset
from tlcore.errors import RunCancelledError
from tlcore.spec import Budget
from tlcore.strategies import STRATEGIES
from tlcore.training.loop import phase as loop
from tlcore.training.networks.models import build_network

STEPS = 12


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    return Bench(folder, tiny_dataset(folder, classes=3, per_class=10), budget=Budget(steps=STEPS))


def distance(start, end, names):
    """‖end − start‖ / ‖start‖ with numpy, over all values side by side."""
    one, other = (np.concatenate([t[n].double().numpy().ravel() for n in names]) for t in (start, end))
    return np.linalg.norm(other - one) / np.linalg.norm(one)


@pytest.mark.parametrize("strategy", [s for s in STRATEGIES if STRATEGIES[s].needs_weights])
def test_each_group_says_how_far_it_moved(bench, strategy):
    """The backbone's start is the weights file, its end the model that the run left behind."""
    model = "test_vit" if strategy == "lora" else "test_resnet"
    own = replace(bench, model=model)
    outcome = own.run(own.spec(strategy), strategy)
    start = load_file(pretrained(bench.folder / "weights", model))
    end = load_file(bench.work(strategy) / "model" / "weights.safetensors")
    network = build_network(model, 3, 32)
    sizes = {name: parameter.numel() for name, parameter in network.module.named_parameters()}
    *backbone, head = outcome.layer_groups
    assert [group.name for group in backbone] == list(network.group_names)
    assert sum(group.num_parameters for group in outcome.layer_groups) == sum(sizes.values())
    for group, names in zip(backbone, network.groups, strict=True):
        assert group.num_parameters == sum(sizes[name] for name in names)
        if all(start[name].shape == end[name].shape for name in names):  # not a position embedding of another size
            assert group.moved == pytest.approx(distance(start, end, names), rel=1e-5), group.name
        if not any(group.num_trainable):
            assert group.moved == 0
        assert group.statistics_moved in ((None,) if strategy == "lora" else (0, None))  # kept in all these
    assert head.name == "head"
    assert head.moved > 0
    for number, phase in enumerate(outcome.phases):
        assert phase.phase == number
        assert phase.num_trainable == sum(group.num_trainable[number] for group in outcome.layer_groups)
        assert phase.normalization == (None if strategy == "lora" else "eval")
    assert outcome.num_trainable_parameters == max(phase.num_trainable for phase in outcome.phases)


def test_gradual_unfreezing_says_what_each_stage_trained(bench):
    outcome = bench.run(bench.spec("gradual_unfreezing"), "stages")
    assert [p.trainable for p in outcome.phases] == ["head", "last:1", "last:2", "last:3", "last:4", "all"]
    assert [(p.first_step, p.last_step) for p in outcome.phases] == [(2 * i, 2 * i + 2) for i in range(6)]
    for number, phase in enumerate(outcome.phases):
        trains = [group.num_trainable[number] > 0 for group in outcome.layer_groups]
        assert trains == [False] * (5 - number) + [True] * (1 + number)
        assert phase.num_trainable + phase.num_frozen == outcome.num_parameters
        assert all(g.num_trainable[number] in (0, g.num_parameters) for g in outcome.layer_groups)


def test_adapters_count_for_the_group_that_they_stand_in(bench):
    own = replace(bench, model="test_vit")
    outcome = own.run(own.spec("lora", overrides={"lora_rank": 4, "augmentation": "none"}), "adapters")
    stem, *blocks, head = outcome.layer_groups
    width = 64
    each = sum(4 * (a + b) for a, b in ((width, 3 * width), (width, width), (width, 3 * width), (3 * width, width)))
    assert (stem.num_trainable, stem.moved) == ((0,), 0)
    assert {block.num_trainable for block in blocks} == {(each,)}
    assert all(block.moved > 0 for block in blocks)
    assert head.num_trainable == (head.num_parameters,)
    (phase,) = outcome.phases
    assert phase.trainable == "lora"
    assert phase.num_trainable == 6 * each + head.num_parameters
    assert phase.num_frozen == outcome.num_parameters - head.num_parameters


@pytest.mark.parametrize(("classifier", "trains"), [("logistic_regression", True), ("knn", False)])
def test_a_fit_says_what_it_fitted(bench, classifier, trains):
    outcome = bench.run(bench.spec("feature_extraction", overrides={"classifier": classifier}), classifier)
    (phase,) = outcome.phases
    *backbone, head = outcome.layer_groups
    assert (phase.trainable, phase.first_step, phase.last_step) == (classifier, 0, 0)
    assert phase.num_trainable == (head.num_parameters if trains else 0)
    assert phase.num_trainable + phase.num_frozen == outcome.num_parameters
    assert {group.moved for group in backbone} == {0}
    assert (head.moved > 0) == trains


def test_statistics_that_are_updated_have_moved(bench):
    outcome = bench.run(bench.spec("from_scratch", overrides={"normalization": "train"}), "statistics")
    (phase,) = outcome.phases
    assert phase.normalization == "train"
    *backbone, head = outcome.layer_groups
    assert all(group.statistics_moved > 0 for group in backbone)
    assert head.statistics_moved is None
    end = load_file(bench.work("statistics") / "model" / "weights.safetensors")
    names = [n for n in end if n.startswith("layer2.") and n.endswith(("running_mean", "running_var"))]
    start = {n: torch.zeros_like(end[n]) if n.endswith("mean") else torch.ones_like(end[n]) for n in names}
    moved = next(group for group in backbone if group.name == "layer2").statistics_moved
    assert moved == pytest.approx(distance(start, end, names), rel=1e-5)


def test_the_distance_is_that_of_the_best_network_also_after_a_stop(bench, monkeypatch):
    """No evaluation counts as better than the first, so that the run keeps a network of its beginning."""
    monkeypatch.setattr(loop, "rank", lambda *_: (0.0, 0.0))
    spec = bench.spec("fine_tuning")
    whole = bench.run(spec, "early-best")
    with pytest.raises(RunCancelledError):
        bench.run(spec, "early-best-pieces", Recorder(stop_at=STEPS - 1))
    assert bench.run(spec, "early-best-pieces").layer_groups == whole.layer_groups
    start = load_file(pretrained(bench.folder / "weights"))
    best = load_file(bench.work("early-best") / "model" / "weights.safetensors")
    last = torch.load(bench.work("early-best") / "checkpoint" / "last.pt", weights_only=True)["network"]
    names = build_network("test_resnet", 3, 32).groups[0]
    assert whole.best_step == 2
    assert whole.layer_groups[0].moved == pytest.approx(distance(start, best, names), rel=1e-5)
    assert distance(start, last, names) > 1.5 * distance(start, best, names)


def test_what_a_gpu_still_has_to_do_of_its_steps_is_charged_to_them(bench, monkeypatch):
    """A made-up GPU takes 100 s for each step, and whoever reads a loss from it waits until it has done them."""
    clock, waited, queued = time.perf_counter, [0.0], [0.0]

    def wait(*_):
        waited[0], queued[0] = waited[0] + queued[0], 0.0

    def sent(*given):
        queued[0] += 100.0
        real_step(*given)

    def read(*given):
        wait()
        real_look(*given)

    real_step, real_look = loop.train_step, loop.require_finite
    monkeypatch.setattr(time, "perf_counter", lambda: clock() + waited[0])
    for name, fake in (("train_step", sent), ("require_finite", read), ("synchronize", wait)):
        monkeypatch.setattr(loop, name, fake)
    outcome = bench.run(bench.spec("fine_tuning", budget=Budget(epochs=3)), "queued")
    steps = outcome.images_seen / 8
    assert 100 * steps <= outcome.train_seconds < 100 * steps + 60
    assert outcome.images_per_second == pytest.approx(8 / 100, rel=0.1)

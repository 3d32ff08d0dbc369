"""The loop against a plain PyTorch loop written by hand, and what must hold inside it."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from tests.training_support import FLOAT32, Bench, Recorder, dataset_of, pretrained, tiny_dataset
from tlcore.errors import NonFiniteLossError
from tlcore.spec import Budget
from tlcore.training import run as run_module
from tlcore.training.images.cache import open_cache
from tlcore.training.images.stream import batch_positions, start_seed
from tlcore.training.loop import steps as steps_module
from tlcore.training.networks import forward
from tlcore.training.networks.freezing import apply_trainable
from tlcore.training.networks.models import build_network
from tlcore.training.weights.loading import load_backbone

STEPS = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def dataset(folder):
    return tiny_dataset(folder, classes=3, per_class=10)


@pytest.fixture
def bench(folder, dataset, monkeypatch):
    monkeypatch.setattr(run_module, "pick_device", lambda asked: FLOAT32)
    return Bench(folder, dataset, budget=Budget(steps=STEPS), seed=3)


def by_hand(bench, spec, recipe, trained, train_mode):
    """One phase, as one would write it in a notebook: the final tensors."""
    split, data = bench.split(spec), bench.dataset
    torch.manual_seed(start_seed(spec.seed))
    network = build_network(spec.model, 3, 32)
    if spec.weights != "none":
        load_backbone(network, spec.weights)
    model = network.module
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (recipe["mean"], recipe["std"]))
    cache = open_cache(
        data,
        network.facts.preprocessing.model_copy(update={"size": 32, "resize": recipe["resize"]}),
        bench.folder / "cache",
    )
    images = (torch.from_numpy(np.array(cache.eval_pixels)).permute(0, 3, 1, 2).float() / 255 - mean) / std
    labels = torch.from_numpy(data.images["label"].to_numpy().copy())

    for parameter in model.parameters():
        parameter.requires_grad_(False)
    head = set(network.head.parameters())
    groups = []
    for name, parameter in model.named_parameters():
        if trained(name, parameter in head):
            parameter.requires_grad_(True)
            rate = recipe["head_rate"] if parameter in head else recipe["backbone_rate"]
            decay = recipe["decay"] if recipe["decay_norms"] or parameter.dim() > 1 else 0.0
            groups.append({"params": [parameter], "lr": rate, "initial": rate, "weight_decay": decay})
    optimizer = torch.optim.SGD(groups, lr=1, momentum=0.9, nesterov=recipe["nesterov"])
    criterion = nn.CrossEntropyLoss(label_smoothing=recipe["smoothing"])
    model.train(train_mode)
    rows = np.array(split.train)
    for step in range(STEPS):
        batch = torch.from_numpy(rows[batch_positions(spec.seed, step, 8, len(rows))])
        progress = (step + 0.5) / STEPS
        factor = 0.5 * (1 + math.cos(math.pi * (progress - recipe["warmup"]) / (1 - recipe["warmup"])))
        for group in optimizer.param_groups:
            group["lr"] = group["initial"] * (progress / recipe["warmup"] if progress < recipe["warmup"] else factor)
        optimizer.zero_grad()
        criterion(model(images[batch]), labels[batch]).backward()
        optimizer.step()
    return model.state_dict()


CASES = {
    "from_scratch": (lambda name, head: True, True),
    "fine_tuning": (lambda name, head: True, False),
    "transfer_learning": (lambda name, head: head, False),
}


@pytest.mark.parametrize("strategy", CASES)
def test_training_equals_a_plain_loop(bench, strategy):
    spec = bench.spec(strategy, overrides={"augmentation": "none"})
    recorder = Recorder()
    bench.run(spec, strategy, recorder)
    found = torch.load(bench.work(strategy) / "checkpoint" / "last.pt", weights_only=True)["network"]
    phase = recorder.resolution.recipe["phases"][0]
    recipe = {
        **recorder.resolution.recipe["preprocessing"],
        "head_rate": phase["learning_rate"],
        "backbone_rate": phase["backbone_learning_rate"],
        "decay": phase["weight_decay"],
        "decay_norms": phase["decay_norms"],
        "nesterov": phase["nesterov"],
        "smoothing": phase["label_smoothing"],
        "warmup": phase["warmup"],
    }
    expected = by_hand(bench, spec, recipe, *CASES[strategy])
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=2e-5, msg=lambda m, n=name: f"{n}: {m}")
    start = load_file(pretrained(bench.folder / "weights"))
    moved = [
        n for n in expected if n in start and start[n].shape == found[n].shape and not torch.equal(start[n], found[n])
    ]
    assert bool(moved) == (strategy != "transfer_learning")


@pytest.mark.parametrize(("trainable", "convolutions"), [("head", False), ("all", True)])
def test_a_frozen_prefix_leaves_no_trace_in_the_graph(trainable, convolutions):
    network = build_network("test_resnet", 3, 32)
    apply_trainable(network, trainable, "eval")
    seen, todo = set(), [forward.logits(network, FLOAT32, torch.rand(2, 3, 32, 32)).grad_fn]
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            todo += [following for following, _ in node.next_functions]
    assert any("Convolution" in type(node).__name__ for node in seen) == convolutions


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_run_with_the_remedy(bench, monkeypatch, value):
    real, calls = steps_module.logits, []

    def breaks(*args):
        calls.append(1)
        return real(*args) * (value if len(calls) == 3 else 1.0)

    monkeypatch.setattr(steps_module, "logits", breaks)
    with pytest.raises(NonFiniteLossError, match=r"optimiser step 3 .*--set from_scratch.learning_rate="):
        bench.run(bench.spec("from_scratch"), f"broken-{value}")


def test_a_run_that_only_guesses_is_marked(bench):
    still = {"learning_rate": 1e-9, "backbone_learning_rate": 0.0}
    assert bench.run(bench.spec("from_scratch", overrides=still), "guessing").did_not_learn


def test_a_run_that_names_the_largest_class_of_very_unequal_ones_is_marked(tmp_path, monkeypatch):
    """Its pictures look alike, so that all there is to learn is how rare a class is: a loss far below ln 2."""
    monkeypatch.setattr(run_module, "pick_device", lambda asked: FLOAT32)
    for label, number in (("common", 76), ("rare", 4)):
        (tmp_path / "images" / label).mkdir(parents=True)
        for k in range(number):
            picture = np.full((32, 32, 3), 120, dtype=np.uint8)
            picture.flat[k if label == "rare" else 100 + k] += 1  # each file is its own
            Image.fromarray(picture).save(tmp_path / "images" / label / f"{k}.png")
    bench = Bench(tmp_path, dataset_of(tmp_path / "images"), budget=Budget(steps=60), seed=3)
    spec = bench.spec("transfer_learning", overrides={"learning_rate": 0.05})
    outcome = bench.run(spec, "alike")
    assert outcome.train.loss < 0.6 * math.log(2)
    assert outcome.train.accuracy == pytest.approx(0.95, abs=0.03)
    assert outcome.did_not_learn


def test_stopped_norms_keep_their_statistics_while_weights_train(bench):
    outcome = bench.run(bench.spec("staged_fine_tuning"), "staged")
    start = load_file(pretrained(bench.folder / "weights"))
    end = torch.load(bench.work("staged") / "checkpoint" / "last.pt", weights_only=True)["network"]
    shared = [name for name in start if start[name].shape == end[name].shape]
    statistics = [name for name in shared if "running_" in name]
    assert statistics
    assert all(torch.equal(start[name], end[name]) for name in statistics)
    assert not all(torch.equal(start[name], end[name]) for name in shared)
    assert [proof.phase for proof in outcome.frozen_states] == [0]

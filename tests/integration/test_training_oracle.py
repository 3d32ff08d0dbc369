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


def start_by_hand(bench, spec, recipe):
    """The network at its start, and all images of the dataset with their labels as tensors."""
    data = bench.dataset
    torch.manual_seed(start_seed(spec.seed))
    network = build_network(spec.model, len(data.info.classes), 32)
    if spec.weights != "none":
        load_backbone(network, spec.weights)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (recipe["mean"], recipe["std"]))
    cache = open_cache(
        data,
        network.facts.preprocessing.model_copy(update={"size": 32, "resize": recipe["resize"]}),
        bench.folder / "cache",
    )
    images = (torch.from_numpy(np.array(cache.eval_pixels)).permute(0, 3, 1, 2).float() / 255 - mean) / std
    return network, images, torch.from_numpy(data.images["label"].to_numpy().copy())


def by_hand(bench, spec, recipe, trained, train_mode):
    """One phase, as one would write it in a notebook: the final tensors."""
    network, images, labels = start_by_hand(bench, spec, recipe)
    model = network.module
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
    rows = np.array(bench.split(spec).train)
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


FROM_THE_TOP = (("fc.",), ("layer4.",), ("layer3.",), ("layer2.",), ("layer1.",), ("conv1.", "bn1."))
IN_PHASES = {  # how many steps each phase has, and how many of the parts above train in it
    "staged_fine_tuning": ((2, 1), (4, 6)),
    "partial_fine_tuning": ((6, 3),),
    "gradual_unfreezing": ((2, 1), (2, 2), (2, 3), (2, 4), (2, 5), (2, 6)),
}


def phase_by_hand(model, recipe, parts, batches):
    """Train the first `parts` of the parts from the top on these batches, with an optimiser and schedule of its own."""
    groups = []
    for name, parameter in model.named_parameters():
        place = next(number for number, starts in enumerate(FROM_THE_TOP) if name.startswith(starts))
        parameter.requires_grad_(place < parts)
        below = recipe["backbone_learning_rate"] * recipe["layer_decay"] ** (place - 1)
        rate = below if place else recipe["learning_rate"]
        decay = recipe["weight_decay"] if parameter.dim() > 1 else 0.0
        if place < parts:
            groups.append({"params": [parameter], "lr": rate, "initial": rate, "weight_decay": decay})
    optimizer = torch.optim.SGD(groups, momentum=0.9, nesterov=recipe["nesterov"])
    for step, (images, labels) in enumerate(batches):
        progress, warmup = (step + 0.5) / len(batches), recipe["warmup"]
        factor = 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
        for group in optimizer.param_groups:
            group["lr"] = group["initial"] * (progress / warmup if progress < warmup else factor)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()


@pytest.mark.parametrize("strategy", IN_PHASES)
def test_phases_equal_plain_loops_one_after_another(bench, strategy):
    """What trains in each phase is written out by hand; few images keep all statistics."""
    planned = IN_PHASES[strategy]
    total = sum(number for number, _ in planned)
    spec = bench.spec(strategy, overrides={"augmentation": "none"}, budget=Budget(steps=total))
    recorder = Recorder()
    bench.run(spec, strategy, recorder)
    found = torch.load(bench.work(strategy) / "checkpoint" / "last.pt", weights_only=True)["network"]
    recipe = recorder.resolution.recipe
    network, images, labels = start_by_hand(bench, spec, recipe["preprocessing"])
    network.module.eval()
    rows = np.array(bench.split(spec).train)
    order = [torch.from_numpy(rows[batch_positions(spec.seed, step, 8, len(rows))]) for step in range(total)]
    batches = iter([(images[batch], labels[batch]) for batch in order])
    for (number, parts), phase in zip(planned, recipe["phases"], strict=True):
        phase_by_hand(network.module, phase, parts, [next(batches) for _ in range(number)])
    for name, tensor in network.module.state_dict().items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=2e-5, msg=lambda m, n=name: f"{n}: {m}")


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

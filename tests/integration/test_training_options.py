"""Each option of a recipe against a plain PyTorch loop that does the same by hand."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.transforms import v2

from tests.training_support import FLOAT32, Bench, Recorder, dataset_of, tiny_dataset
from tlcore.spec import Budget
from tlcore.training import run as run_module
from tlcore.training.images.cache import open_cache
from tlcore.training.images.stream import batch_positions, start_seed, step_seed
from tlcore.training.loop import steps as steps_module
from tlcore.training.networks.models import build_network
from tlcore.training.weights.loading import load_backbone

STEPS, BATCH, RATE = 6, 8, 0.02
PLAIN = {
    "augmentation": "none",
    "learning_rate": RATE,
    "backbone_learning_rate": RATE,
    "momentum": 0.0,
    "weight_decay": 0.0,
    "warmup": 0.0,
    "schedule": "constant",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def dataset(folder):
    """One class has a third of the images of the others, so that balancing does something."""
    root = tiny_dataset(folder, classes=3, per_class=15).root
    first = sorted(p for p in root.iterdir() if p.is_dir())[0]
    for path in sorted(first.iterdir())[5:]:
        path.unlink()
    return dataset_of(root)


@pytest.fixture
def bench(folder, dataset, monkeypatch):
    monkeypatch.setattr(run_module, "pick_device", lambda asked: FLOAT32)
    return Bench(folder, dataset, budget=Budget(steps=STEPS), batch_size=BATCH, seed=3)


def start_of(bench, spec):
    """The network at its start, in eval mode as few images ask for, and the training part as tensors."""
    torch.manual_seed(start_seed(spec.seed))
    network = build_network(spec.model, 3, 32)
    load_backbone(network, spec.weights)
    preprocessing = network.facts.preprocessing
    looks = preprocessing.model_copy(update={"size": 32, "resize": int(32 / network.facts.crop_pct)})
    pixels = open_cache(bench.dataset, looks, bench.folder / "cache").eval_pixels
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    rows = list(bench.split(spec).train)
    images = (torch.from_numpy(np.array(pixels[rows])).permute(0, 3, 1, 2).float() / 255 - mean) / std
    labels = torch.from_numpy(bench.dataset.images["label"].to_numpy()[rows].copy())
    network.module.eval()
    return network, images, labels


def by_hand(bench, spec, optimizer_of, weight_of=lambda labels: None, clip=None, factor=lambda progress: 1.0):
    network, images, labels = start_of(bench, spec)
    optimizer = optimizer_of(network)
    rates = [group["lr"] for group in optimizer.param_groups]
    criterion = nn.CrossEntropyLoss(weight=weight_of(labels))
    for step in range(STEPS):
        batch = torch.from_numpy(batch_positions(spec.seed, step, BATCH, len(labels)))
        optimizer.zero_grad()
        criterion(network.module(images[batch]), labels[batch]).backward()
        if clip:
            nn.utils.clip_grad_norm_(network.module.parameters(), clip)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor((step + 0.5) / STEPS)
        optimizer.step()
    return network.module.state_dict()


def sgd(network):
    return torch.optim.SGD(network.module.parameters(), lr=RATE)


def without_thin(network, decay):
    """Weight decay on all but norms and biases."""
    wide = [p for p in network.module.parameters() if p.dim() > 1]
    thin = [p for p in network.module.parameters() if p.dim() <= 1]
    return [{"params": wide, "weight_decay": decay}, {"params": thin}]


def adam(network):
    return torch.optim.Adam(without_thin(network, 0.1), lr=RATE)


def decayed(network):
    """Groups made by hand: the head and the last layer group at the full rate, each lower one at half of it."""
    named, groups = dict(network.module.named_parameters()), [{"params": list(network.head.parameters()), "lr": RATE}]
    for distance, names in enumerate(reversed(network.groups)):
        groups.append({"params": [named[name] for name in names], "lr": RATE * 0.5**distance})
    return torch.optim.SGD(groups)


def without_norms(network):
    return torch.optim.SGD(without_thin(network, 0.5), lr=RATE)


def with_norms(network):
    return torch.optim.SGD(network.module.parameters(), lr=RATE, weight_decay=0.5)


CASES = {
    "loss_weights": ({"class_balance": "loss_weights"}, {"weight_of": lambda y: 1 / torch.bincount(y).float()}),
    "gradient_clip": ({"gradient_clip": 0.3}, {"clip": 0.3}),
    "adam": ({"optimizer": "adam", "weight_decay": 0.1}, {"optimizer_of": adam}),
    "layer_decay": ({"layer_decay": 0.5}, {"optimizer_of": decayed}),
    "weight_decay": ({"weight_decay": 0.5}, {"optimizer_of": without_norms}),
    "decay_norms": ({"weight_decay": 0.5, "decay_norms": True}, {"optimizer_of": with_norms}),
    "linear": ({"schedule": "linear"}, {"factor": lambda progress: 1 - progress}),
    "step": ({"schedule": "step"}, {"factor": lambda progress: (1, 0.1, 0.01)[int(progress * 3)]}),
}


@pytest.mark.parametrize("case", CASES)
def test_an_option_does_what_plain_pytorch_does(bench, case):
    overrides, by = CASES[case]
    asked = {**PLAIN, **overrides}
    if case == "adam":
        asked = {name: value for name, value in asked.items() if name != "momentum"}
    spec = bench.spec("fine_tuning", overrides=asked)
    bench.run(spec, case)
    found = torch.load(bench.work(case) / "checkpoint" / "last.pt", weights_only=True)["network"]
    expected = by_hand(bench, spec, **{"optimizer_of": sgd, **by})
    tolerance = {"rtol": 1e-2, "atol": 2e-3} if case == "adam" else {"rtol": 1e-3, "atol": 2e-5}
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, **tolerance, msg=lambda m, n=name: f"{n}: {m}")
    if "optimizer" not in overrides:
        plain = by_hand(bench, spec, sgd)
        assert any(not torch.allclose(plain[n], t, rtol=1e-3, atol=2e-5) for n, t in expected.items())


class Skewed(Bench):
    """A split whose training part has other proportions of the classes than the rest."""

    def split(self, spec):
        rows = [np.flatnonzero(self.dataset.images["label"] == label).tolist() for label in range(3)]
        train = tuple(sorted(rows[0][:4] + rows[1][:2] + rows[2][:12]))
        val, test = (tuple(sorted(r for mine in (rows[1][2:], rows[2][12:]) for r in mine[k::2])) for k in (0, 1))
        return replace(super().split(spec), train=train, val=val, test=(*test, rows[0][4]), num_train_full=len(train))


def test_class_weights_are_those_of_the_training_images_alone(bench):
    skewed = Skewed(**{field.name: getattr(bench, field.name) for field in fields(bench)})
    spec = skewed.spec("fine_tuning", overrides={**PLAIN, "class_balance": "loss_weights"})
    skewed.run(spec, "skewed")
    found = torch.load(skewed.work("skewed") / "checkpoint" / "last.pt", weights_only=True)["network"]
    expected = by_hand(skewed, spec, sgd, weight_of=lambda labels: 1 / torch.bincount(labels).float())
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=2e-5, msg=lambda m, n=name: f"{n}: {m}")


def test_balanced_sampling_shows_every_class_equally_often(bench, monkeypatch):
    """Of 18 steps of 8 images, each of 3 classes gets 48, though one has a third of the images."""
    seen, real = [], steps_module.training_batch

    def spy(*args):
        images, labels = real(*args)
        seen.append(labels)
        return images, labels

    monkeypatch.setattr(steps_module, "training_batch", spy)
    counts = {}
    for fraction in (0.5, 1.0):
        seen.clear()
        overrides = {"class_balance": "balanced_sampling"}
        spec = bench.spec("transfer_learning", overrides=overrides, budget=Budget(steps=18), fraction=fraction)
        bench.run(spec, f"balanced-{fraction}")
        counts[fraction] = torch.bincount(torch.cat(seen), minlength=3).tolist()
    assert counts == {0.5: [48, 48, 48], 1.0: [48, 48, 48]}


def seen_by_the_network(bench, monkeypatch, name, **overrides):
    """Images of all steps in 0…1 [N,3,H,W], and the same as evaluation sees them."""
    found, real = [], steps_module.logits
    with monkeypatch.context() as patch:
        patch.setattr(steps_module, "logits", lambda *given: found.append(given[2]) or real(*given))
        spec = bench.spec("transfer_learning", overrides=overrides)
        bench.run(spec, name)
    network, plain, labels = start_of(bench, spec)
    positions = np.concatenate([batch_positions(spec.seed, step, BATCH, len(labels)) for step in range(STEPS)])
    own = network.facts.preprocessing
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (own.mean, own.std))
    return torch.cat(found) * std + mean, plain[torch.from_numpy(positions)] * std + mean


def test_without_augmentation_steps_see_what_evaluation_sees(bench, monkeypatch):
    seen, plain = seen_by_the_network(bench, monkeypatch, "as-it-is", augmentation="none")
    torch.testing.assert_close(seen, plain)


def test_steps_see_images_and_their_mirror_images_where_they_are_only_flipped(bench, monkeypatch):
    seen, plain = seen_by_the_network(bench, monkeypatch, "flipped", augmentation="flip")
    same, mirrored = ((seen - other).abs().amax((1, 2, 3)) < 1e-5 for other in (plain, plain.flip(3)))
    assert torch.equal(same, ~mirrored)
    assert same.float().mean() == pytest.approx(0.5, abs=0.25)


def test_steps_see_noise_of_the_deviation_asked(bench, monkeypatch):
    seen, plain = seen_by_the_network(bench, monkeypatch, "noisy", augmentation="none", noise=0.05)
    inside = (plain > 0.25) & (plain < 0.75)  # where nothing is clipped
    assert inside.float().mean() > 0.1
    assert float((seen - plain)[inside].std()) == pytest.approx(0.05, rel=0.05)
    assert len({tuple(look.flatten().tolist()) for look in (seen - plain)[:, 0]}) == len(seen), "each has its own"


def test_steps_see_trivial_augment_on_top_of_crops(bench, monkeypatch):
    """The oracle: torchvision's own, image by image, from the seed of each step."""
    crops, plain = seen_by_the_network(bench, monkeypatch, "cropped", augmentation="crop_flip")
    seen, _ = seen_by_the_network(bench, monkeypatch, "trivial", augmentation="trivial_augment")
    assert ((crops - plain).abs().amax((1, 2, 3)) > 0.02).all(), "a crop is another part of the picture"
    expected, levels = [], (crops * 255).round().to(torch.uint8)
    for step, batch in enumerate(levels.split(BATCH)):
        torch.manual_seed(step_seed(bench.seed, step))
        expected += [v2.TrivialAugmentWide()(image) for image in batch]
    torch.testing.assert_close(seen, torch.stack(expected) / 255)


@pytest.mark.parametrize("strategy", ["gradual_unfreezing", "fine_tuning", "transfer_learning"])
def test_the_curve_holds_the_rate_of_each_group(bench, strategy):
    recorder = Recorder()
    spec = bench.spec(strategy, overrides={"schedule": "constant", "warmup": 0.0}, budget=Budget(steps=12))
    bench.run(spec, f"rates-{strategy}", recorder)
    points = recorder.histories[-1][0]
    phases = recorder.resolution.recipe["phases"]
    for point in points:
        phase, names = phases[point.phase], list(point.learning_rates)
        assert names[-1] == "head"
        assert point.learning_rates["head"] == pytest.approx(phase["learning_rate"])
        backbone = phase["backbone_learning_rate"]
        if strategy != "gradual_unfreezing":
            assert names == {"fine_tuning": ["backbone", "head"], "transfer_learning": ["head"]}[strategy]
        else:
            every = ["01 conv1", "02 layer1", "03 layer2", "04 layer3", "05 layer4"]
            assert names[:-1] == every[5 - point.phase :]
            rates = [point.learning_rates[name] for name in reversed(names[:-1])]
            assert rates == pytest.approx([backbone / 2.6 ** (distance * 3 / 4) for distance in range(point.phase)])

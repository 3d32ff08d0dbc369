"""The batch size that is left to the machine, with a machine that is made up."""

import pytest
import torch

from tlcore.recipes import DataFacts, NetworkRecipe, resolve
from tlcore.strategies import STRATEGIES
from tlcore.training.device import Device
from tlcore.training.loop import auto_batch
from tlcore.training.loop.auto_batch import Probe, batch_limit, batch_note, largest_batch, largest_fitting
from tlcore.training.networks.models import model_facts

CPU = Device(torch.device("cpu"), "test", torch.float32)


@pytest.mark.parametrize(
    ("room", "limit", "found"), [(1000, 512, 512), (1000, 100, 64), (100, 512, 64), (64, 512, 64), (0, 512, 1)]
)
def test_the_largest_power_of_two_that_fits(room, limit, found):
    assert largest_fitting(lambda size: size <= room, limit) == found


@pytest.mark.parametrize(("images", "limit"), [(100, 32), (800, 100), (100_000, 512)])
def test_a_batch_is_no_large_part_of_the_images(images, limit):
    assert batch_limit(images, 32) == limit


def test_the_size_is_measured_once_for_all_strategies(tmp_path, monkeypatch):
    asked = []

    def train(probe, device, size):
        asked.append(size)
        if size > 20:
            raise torch.OutOfMemoryError("simulated")

    monkeypatch.setattr(auto_batch, "_train_twice", train)
    probe = Probe("test_resnet", 32, 3, 64)
    assert [largest_batch(probe, CPU, tmp_path) for _ in range(3)] == [16] * 3
    assert asked == [64, 32, 16]
    assert largest_batch(Probe("test_vit", 32, 3, 8), CPU, tmp_path) == 8


def test_the_probe_trains_everything_and_leaves_the_generator_alone():
    state = torch.get_rng_state()
    auto_batch._train_twice(Probe("test_resnet", 32, 3, 4), CPU, 4)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_changed_network_is_measured_as_it_is(tmp_path, monkeypatch):
    sizes, real = [], auto_batch.logits

    def counted(network, device, images):
        sizes.append(sum(p.numel() for p in network.module.parameters()))
        return real(network, device, images)

    monkeypatch.setattr(auto_batch, "logits", counted)
    for changes in (NetworkRecipe(), NetworkRecipe(cut_at=2)):
        assert largest_batch(Probe("test_resnet", 32, 3, 2, changes), CPU, tmp_path) == 2
    assert len(sizes) == 4, "each has a measurement of its own"
    assert sizes[2] < sizes[0] / 2


def test_a_note_says_how_it_was_chosen():
    facts, data = model_facts("test_resnet"), DataFacts(200, 224)
    own = resolve(STRATEGIES["fine_tuning"], data, facts, batch_size=16)
    left = resolve(STRATEGIES["fine_tuning"], data, facts, batch_size="auto")
    assert batch_note(own, CPU, facts) == ()
    assert batch_note(left, CPU, facts)[0].startswith("batch size auto: 32, the recipe's default")

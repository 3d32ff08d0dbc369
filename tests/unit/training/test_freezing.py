"""Frozen means: parameters and statistics keep their bits through real training."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tlcore.errors import SpecError
from tlcore.training.networks.freezing import apply_trainable, frozen_fingerprint, set_modes, trained_names
from tlcore.training.networks.models import build_network, logits

SIZE = 32


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network("test_resnet", 3, SIZE)


def _train(network, steps=3):
    trained = [p for p in network.module.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1, momentum=0.9, weight_decay=0.01)
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        images = torch.randn(4, 3, SIZE, SIZE, generator=generator) + 1
        F.cross_entropy(logits(network, images), torch.tensor([0, 1, 2, 0])).backward()
        optimizer.step()
        optimizer.zero_grad()


def _state(network):
    return {name: tensor.clone() for name, tensor in network.module.state_dict().items()}


def _changed(before, network):
    return {name for name, tensor in network.module.state_dict().items() if not torch.equal(tensor, before[name])}


@pytest.mark.parametrize("trainable", ["head", "last:1", "last:2", r"^layer4"])
@pytest.mark.parametrize("normalization", ["train", "eval"])
def test_training_leaves_what_is_frozen_and_changes_the_rest(network, trainable, normalization):
    apply_trainable(network, trainable, normalization)
    before, fingerprint = _state(network), frozen_fingerprint(network, trainable, normalization)
    _train(network)
    chosen = trained_names(network, trainable)
    changed = _changed(before, network)
    assert chosen <= changed
    statistics = {n for n in changed - chosen if normalization == "train"}
    assert all(n.rsplit(".", 1)[0] + ".weight" in chosen for n in statistics)
    assert changed - chosen == statistics
    assert frozen_fingerprint(network, trainable, normalization) == fingerprint


def test_the_fingerprint_sees_drifting_statistics(network):
    """`requires_grad=False` alone is not frozen: in train mode the statistics move, and the hash must show it."""
    apply_trainable(network, "head", "eval")
    before, fingerprint = _state(network), frozen_fingerprint(network, "head", "eval")
    network.module.train()
    _train(network)
    assert any(name.endswith("running_mean") for name in _changed(before, network))
    assert any(name.endswith("num_batches_tracked") for name in _changed(before, network))
    assert frozen_fingerprint(network, "head", "eval") != fingerprint


def test_all_freezes_nothing_and_can_keep_statistics(network):
    assert frozen_fingerprint(network, "all", "eval")[0] == 0
    apply_trainable(network, "all", "eval")
    before = _state(network)
    _train(network)
    changed = _changed(before, network)
    assert {n for n, _ in network.module.named_parameters()} <= changed
    assert not any("running" in n or "num_batches" in n for n in changed)
    apply_trainable(network, "all", "train")
    before = _state(network)
    _train(network)
    assert any("running_mean" in n for n in _changed(before, network))


def test_set_modes_holds_after_an_evaluation(network):
    apply_trainable(network, "last:1", "train")
    modes = {name: module.training for name, module in network.module.named_modules()}
    assert any(modes.values())
    assert not all(modes.values())
    network.module.eval()
    set_modes(network, "train")
    assert {name: module.training for name, module in network.module.named_modules()} == modes


def test_dropout_goes_with_the_layer_that_it_precedes():
    network = build_network("torchvision:alexnet", 2, 64)  # classifier: dropout, linear, relu, dropout, linear, …, head
    apply_trainable(network, "head", "eval")
    assert not any(m.training for m in network.module.classifier if isinstance(m, nn.Dropout))
    apply_trainable(network, "last:1", "eval")
    assert [m.training for m in network.module.classifier if isinstance(m, nn.Dropout)] == [False, True]
    squeezed = build_network("torchvision:squeezenet1_1", 2, 64)
    apply_trainable(squeezed, "head", "eval")
    assert squeezed.module.classifier[2].training, "the head's own dropout is on while the head trains"
    assert not any(m.training for m in squeezed.module.features.modules())


def test_the_hash_counts_parameters_and_buffers(network):
    number, digest = frozen_fingerprint(network, "head", "eval")
    head = {n for n in network.module.state_dict() if n.startswith(f"{network.head_name}.")}
    assert number == len(network.module.state_dict()) - len(head)
    with torch.no_grad():
        network.head.weight.add_(1)
    assert frozen_fingerprint(network, "head", "eval") == (number, digest)
    with torch.no_grad():
        next(network.module.parameters()).view(-1)[0].add_(1e-3)
    assert frozen_fingerprint(network, "head", "eval")[1] != digest


@pytest.mark.parametrize(
    ("trainable", "why"),
    [("last:0", "1 to 5"), ("last:99", "1 to 5"), ("last:x", "1 to 5"), ("no_such_name", "matches no"), ("(", "valid")],
)
def test_bad_trainable_is_an_error(network, trainable, why):
    with pytest.raises(SpecError, match=why):
        apply_trainable(network, trainable, "eval")

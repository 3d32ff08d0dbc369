"""The forward pass: modes, autograd and number formats."""

import numpy as np
import pytest
import torch

from tests.training_support import tiny_dataset
from tlcore.training.device import Device
from tlcore.training.images.batches import open_source
from tlcore.training.images.cache import open_cache
from tlcore.training.networks import folding, forward
from tlcore.training.networks.freezing import apply_trainable
from tlcore.training.networks.models import build_network

BF16 = Device(torch.device("cpu"), "test", torch.bfloat16)
FLOAT32 = Device(torch.device("cpu"), "test", torch.float32)


def test_every_module_gets_its_own_mode_back():
    network = build_network("test_resnet", 3, 32)
    apply_trainable(network, "head", "eval")
    modes = [m.training for m in network.module.modules()]
    assert len(set(modes)) == 2
    with forward.evaluating(network):
        assert not any(m.training for m in network.module.modules())
    assert [m.training for m in network.module.modules()] == modes


def test_the_backbone_computes_in_bf16_and_the_head_in_float32():
    network = build_network("test_resnet", 3, 32)
    network.module.eval()
    images = torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        rough, exact = (forward.features(network, device, images) for device in (BF16, FLOAT32))
        scores = forward.logits(network, BF16, images)
    assert not torch.equal(rough, exact)
    torch.testing.assert_close(rough, exact, atol=0.05, rtol=0.05)
    assert torch.equal(scores, network.head(rough))


WHOLE = ["test_resnet", "resnet18", "torchvision:mobilenet_v2", "test_vit", "test_efficientnet", "convnext_atto"]


def drawn(name):
    """A network, images and labels."""
    torch.manual_seed(0)
    return build_network(name, 3, 64), torch.randn(16, 3, 64, 64), torch.arange(16) % 3


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_network_computes_the_same_in_bf16_but_for_its_rounding(name):
    """bf16 has 8 bits, 0.4 %, of which a network's layers make some more; none of it makes everything larger."""
    network, images, _ = drawn(name)
    network.module.eval()
    with torch.no_grad():
        exact, rough = (forward.features(network, device, images) for device in (FLOAT32, BF16))
    assert (rough - exact).norm() < 0.02 * exact.norm()
    assert abs(float((rough * exact).sum() / exact.square().sum()) - 1) < 0.005


@pytest.mark.parametrize("name", ["resnet18", "test_vit", "test_efficientnet", "convnext_atto"])
def test_a_training_step_goes_the_same_way_in_bf16(name):
    """Of networks whose BatchNorms do not divide by the spread of a few equal values, which is all rounding."""
    network, images, labels = drawn(name)
    network.module.train()
    found = []
    for device in (FLOAT32, BF16):
        network.module.zero_grad()
        torch.manual_seed(1)  # of dropout
        torch.nn.functional.cross_entropy(forward.logits(network, device, images), labels).backward()
        found.append(torch.cat([p.grad.flatten() for p in network.module.parameters()]))
    exact, rough = found
    assert abs(float((rough * exact).sum() / exact.square().sum()) - 1) < 0.01
    assert torch.cosine_similarity(rough, exact, dim=0) > 0.98


def test_no_evaluation_computes_a_batch_norm_that_is_folded(tmp_path, monkeypatch):
    network = build_network("test_resnet", 3, 32)
    dataset = tiny_dataset(tmp_path)
    preprocessing = network.facts.preprocessing.model_copy(update={"size": 32})
    source = open_source(open_cache(dataset, preprocessing, tmp_path / "cache"), dataset, preprocessing, FLOAT32)
    folding.pairs(network)  # the search does
    monkeypatch.setattr(torch.nn.functional, "batch_norm", lambda *_: pytest.fail("a BatchNorm was computed"))
    rows = np.arange(4)
    (features,) = forward.feature_batches(network, source, rows, 4, lambda: None)
    (predictions,) = forward.predictions(network, source, rows, 4, lambda: None)
    assert len(features) == len(predictions.labels) == 4

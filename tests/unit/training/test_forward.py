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

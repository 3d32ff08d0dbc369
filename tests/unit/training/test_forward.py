"""The forward pass: modes, autograd and number formats."""

import torch

from tlcore.training.device import Device
from tlcore.training.networks import forward
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

"""Activations overwrite their input where that is free, and give the same bits as the library's own anywhere."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from tlcore.training.networks.activations import spare_copies
from tlcore.training.networks.models import build_network

NETWORKS = [  # ReLU6, hard swish and SiLU, as both libraries have them
    "mobilenetv2_100", "torchvision:mobilenet_v2", "mobilenetv3_small_050", "torchvision:mobilenet_v3_small",
    "test_efficientnet", "torchvision:efficientnet_b0",
]  # fmt: skip


class Calls(TorchDispatchMode):
    """How often each operation on feature maps was called."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if args and isinstance(args[0], torch.Tensor) and args[0].dim() == 4:
            self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def passes(network, *, gradient):
    """Scores, gradients by the weights, and the operations of the forward pass."""
    torch.manual_seed(1)
    images = torch.randn(2, 3, 64, 64)
    with torch.set_grad_enabled(gradient), Calls() as calls:
        found = network.eval()(images)
    if gradient:
        found.square().sum().backward()
    return found.detach(), [p.grad for p in network.parameters()], calls.names


@pytest.mark.parametrize("name", NETWORKS)
def test_no_map_is_copied_and_the_bits_are_those_without(name):
    torch.manual_seed(0)
    network = build_network(name, 3, 64).module
    plain = build_network(name, 3, 64).module
    plain.load_state_dict(network.state_dict())
    for layer in plain.modules():
        layer._forward_pre_hooks.clear()
    scores, gradients, calls = passes(network, gradient=True)
    expected, expected_gradients, copies = passes(plain, gradient=True)
    assert ("clone" in copies, "clone" in calls) == (True, False)
    assert torch.equal(scores, expected)
    assert all(torch.equal(a, b) for a, b in zip(gradients, expected_gradients, strict=True))
    again, _, quiet = passes(network, gradient=False)
    assert torch.equal(again, scores)
    assert quiet == passes(plain, gradient=False)[2], "without a gradient, as the library does it"


@pytest.mark.parametrize("kind", [nn.ReLU6, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.SiLU, nn.Mish])
@pytest.mark.parametrize("inplace", [True, False])
def test_each_kind_keeps_what_autograd_needs(kind, inplace):
    layer = kind(inplace=inplace)
    spare_copies(layer)
    values = torch.randn(1, 2, 3, 3, requires_grad=True)
    with Calls() as calls:
        layer(values * 2).sum().backward()
    assert "clone" not in calls.names
    assert bool((values.grad != 0).any())
    assert bool((layer(input=values * 2) == kind()(values * 2)).all())
    alone = torch.randn(3)
    assert (layer(alone).data_ptr() == alone.data_ptr()) == inplace, (
        "no gradient leads here, though others are asked for"
    )


def test_relu_is_left_alone_as_it_copies_nothing():
    layer = nn.ReLU(inplace=True)
    spare_copies(layer)
    assert not layer._forward_pre_hooks

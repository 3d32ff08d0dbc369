"""Gradients of depthwise convolutions in the faster number format: as exact as autocast's, and only where they pay."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from tlcore.training.device import Device
from tlcore.training.networks.depthwise import fast_gradients

LOW = Device(torch.device("cpu"), "a test", torch.bfloat16)
HIGH = Device(torch.device("cpu"), "a test", torch.float32)
SLOW = [(3, 2, 1), (5, 1, 2), (5, 2, 2), (7, 1, 3), (3, 2, 0)]  # kernel, stride, padding


def gradients(kernel, stride, padding, device=LOW, dtype=torch.float32, channels=6, groups=6, bias=True):
    """Output, its node, and the gradients by images, weight and bias, from the same numbers each time."""
    torch.manual_seed(0)
    images = torch.randn(2, channels, 13, 12).contiguous(memory_format=torch.channels_last)
    layer = nn.Conv2d(channels, 6, kernel, stride, padding, groups=groups, bias=bias).to(dtype)
    images = images.to(dtype).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.float32), fast_gradients(device):
        found = layer(images)
    torch.manual_seed(1)
    found.backward(torch.randn(found.shape).to(found.dtype))
    return found.detach(), found.grad_fn.name(), [p.grad for p in (images, *layer.parameters())]


def worst(found, exact):
    return max(float((a.double() - b).abs().max()) for a, b in zip(found, exact, strict=True))


@pytest.mark.parametrize(("kernel", "stride", "padding"), SLOW)
def test_gradients_are_those_of_float64_as_nearly_as_with_autocast_alone(kernel, stride, padding):
    value, node, fast = gradients(kernel, stride, padding)
    same, plain_node, plain = gradients(kernel, stride, padding, device=HIGH)
    _, _, exact = gradients(kernel, stride, padding, device=HIGH, dtype=torch.float64)
    assert node != plain_node
    assert torch.equal(value, same)
    assert [g.dtype for g in fast] == [torch.float32] * 3
    assert worst(fast, exact) <= 1.05 * worst(plain, exact)


@pytest.mark.parametrize(
    "told",
    [
        {"kernel": 3, "stride": 1, "padding": 1},
        {"kernel": 3, "stride": 2, "padding": 1, "groups": 1},
        {"kernel": 3, "stride": 2, "padding": 1, "groups": 3},
        {"kernel": 3, "stride": 2, "padding": 1, "device": HIGH},
    ],
)
def test_what_is_fast_as_it_is_stays_as_it_is(told):
    _, node, found = gradients(**told)
    _, plain_node, plain = gradients(**{**told, "device": HIGH})
    assert node == plain_node
    assert all(torch.equal(a, b) for a, b in zip(found, plain, strict=True))


def test_what_needs_no_gradient_gets_none():
    images, weight = torch.randn(1, 4, 8, 8), torch.randn(4, 1, 5, 5, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16), fast_gradients(LOW):
        functional.conv2d(images, weight, padding=2, groups=4).sum().backward()
        assert not functional.conv2d(images, weight.detach(), padding=2, groups=4).requires_grad
    assert images.grad is None
    assert weight.grad.shape == weight.shape
    with torch.inference_mode():
        assert type(fast_gradients(LOW)) is type(fast_gradients(HIGH))

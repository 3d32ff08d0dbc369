"""Gradients of depthwise convolutions where bf16 on a CPU is slower than float32.

oneDNN has no fast bf16 kernels for the gradient by the images of depthwise convolutions with a stride, nor for either
gradient of those with kernels above 3×3: on a CPU with AMX (channels last, one thread) they take 2 to 100 times as long
as in float32. Forward passes and all other convolutions are faster in bf16. What whole steps gain by it is printed by
`python -m tests.benchmarks.bench_steps` (product against autocast).
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from tlcore.training.device import Device

LARGE_KERNEL = 3  # above it, float32 gradients are faster whatever the stride


def fast_gradients(device: Device) -> AbstractContextManager[object]:
    """Inside it, forward passes in bf16 on a CPU get backward passes that use the faster format for each convolution.

    The gradients are at least as exact as without it: of the same bf16 images, weights and output gradients.
    """
    if device.device.type == "cpu" and device.dtype is torch.bfloat16 and torch.is_grad_enabled():
        return _Depthwise()
    return nullcontext()


class _Depthwise(TorchFunctionMode):
    """Sends the convolutions concerned through `_Float32Gradients`, whichever library's module calls them."""

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.conv2d:
            called = _called(*args, **kwargs)
            if called is not None:
                return _Float32Gradients.apply(*called)
        return func(*args, **kwargs)


def _called(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> tuple[Any, ...] | None:
    """The arguments for `_Float32Gradients`; None for a convolution that is fast as it is. Signature: torch's."""
    depthwise = groups > 1 and images.dim() == 4 and groups == images.shape[1]
    if not depthwise or isinstance(padding, str) or not (images.requires_grad or weight.requires_grad):
        return None
    steps = _pair(stride)
    if max(steps) == 1 and max(weight.shape[2:]) <= LARGE_KERNEL:
        return None
    return images, weight, bias, steps, _pair(padding), _pair(dilation), groups


def _pair(value: int | Sequence[int]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


class _Float32Gradients(torch.autograd.Function):
    """A convolution as autocast computes it, in bf16, with its slow gradients in float32."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, *how: Any) -> Tensor:
        low = images.bfloat16(), weight.bfloat16()
        ctx.save_for_backward(*low)
        ctx.how, ctx.formats = how, (images.dtype, weight.dtype, weight.dtype if bias is None else bias.dtype)
        return functional.conv2d(*low, None if bias is None else bias.bfloat16(), *how)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        to_images, *to_parameters = ctx.needs_input_grad[:3]
        high = gradient.float()
        # Of the images only shape and layout matter for their own gradient, so they need not be converted.
        like_images = torch.empty_like(images, dtype=torch.float32)
        of_images, _, _ = _gradients(high, like_images, weight.float(), ctx.how, (to_images, False, False))
        if max(weight.shape[2:]) > LARGE_KERNEL:
            gradient, images, weight = high, images.float(), weight.float()
        _, of_weight, of_bias = _gradients(gradient, images, weight, ctx.how, (False, *to_parameters))
        found = (of_images, of_weight, of_bias)
        kept = [None if one is None else one.to(kind) for one, kind in zip(found, ctx.formats, strict=True)]
        return *kept, None, None, None, None


def _gradients(
    gradient: Tensor, images: Tensor, weight: Tensor, how: tuple[Any, ...], wanted: tuple[bool, ...]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """By images, weight and bias, as far as they are wanted. All tensors in one format, in which it computes."""
    if not any(wanted):
        return None, None, None
    stride, padding, dilation, groups = how
    return torch.ops.aten.convolution_backward(  # type: ignore[no-any-return]
        gradient, images, weight, [len(weight)], stride, padding, dilation, False, [0, 0], groups, list(wanted)
    )

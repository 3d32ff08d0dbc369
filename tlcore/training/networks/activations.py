"""Activations that write over their input, where that costs more than it saves.

Where autograd needs what such an activation overwrites, it copies it first: a pass over the whole feature map that
writing the result beside it does without, and the memory is the same. Without autograd nothing is copied.
"""

from typing import Any

from torch import nn

# Those whose gradient needs their input. ReLU's and LeakyReLU's are computed from the result, so nothing is copied.
_COPIED = (nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.SiLU, nn.Mish)


def spare_copies(module: nn.Module) -> None:
    """Have the activations of a network overwrite their input only where no gradient leads through them."""
    for layer in module.modules():
        if isinstance(layer, _COPIED) and layer.inplace:
            layer.register_forward_pre_hook(_choose, with_kwargs=True)


def _choose(layer: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
    (values,) = (*given, *named.values())
    layer.inplace = not values.requires_grad

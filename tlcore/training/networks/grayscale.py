"""Networks with one input channel: their first layer, and how they see colour images."""

from typing import Any

from torch import nn

from tlcore.recipes import Preprocessing

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's mode "L"


def first_convolutions(module: nn.Module) -> tuple[str, ...]:
    """Weights of the convolutions that read the image's channels, which timm can adapt; () where it says none."""
    config: Any = getattr(module, "pretrained_cfg", None) or {}
    named = config.get("first_conv") or ()
    names = [f"{name}.weight" for name in ((named,) if isinstance(named, str) else named)]
    shapes = {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
    fits = names and all(len(shapes.get(name, ())) == 4 and shapes[name][1] in (1, 3) for name in names)
    return tuple(names) if fits else ()


def gray_plan(preprocessing: Preprocessing) -> dict[str, Any]:
    """Weights and bias that turn normalised RGB into normalised luma, for `rewiring`.

    The one channel is normalised by the average of the three means and deviations, as timm does.
    """
    mean, std = sum(preprocessing.mean) / 3, sum(preprocessing.std) / 3
    weights = [luma * own / std for luma, own in zip(LUMA, preprocessing.std, strict=True)]
    offset = sum(luma * own for luma, own in zip(LUMA, preprocessing.mean, strict=True))
    return {"weights": weights, "bias": (offset - mean) / std}

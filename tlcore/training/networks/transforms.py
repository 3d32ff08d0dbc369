"""What the published weights of a model want their input to look like."""

import math

import timm
from torch import nn

from tlcore.errors import ModelError
from tlcore.recipes import Preprocessing
from tlcore.training.networks.names import library_of, torchvision_weights


def published_preprocessing(name: str, module: nn.Module) -> tuple[Preprocessing, float]:
    """The evaluation transform of the published weights, and its crop size ÷ resize size.

    timm's "squash" (to a square) is kept where it cuts nothing away; its few networks that squash and then crop, or
    pad with a border, get the usual short side and centre crop. Raises: ModelError where the input is no RGB square.
    """
    if library_of(name) == "torchvision":
        return _torchvision_preprocessing(name)
    config = timm.data.resolve_model_data_config(module)
    channels, height, width = config["input_size"]
    if channels != 3 or height != width:
        raise ModelError(
            f"model {name!r} takes input of {channels}×{height}×{width}: only square RGB images are supported"
        )
    crop_pct = float(config["crop_pct"])
    squash = config["crop_mode"] == "squash" and crop_pct == 1.0
    return Preprocessing(
        size=height,
        resize=None if squash else math.floor(height / crop_pct),
        interpolation=config["interpolation"],
        mean=config["mean"],
        std=config["std"],
    ), crop_pct


def _torchvision_preprocessing(name: str) -> tuple[Preprocessing, float]:
    preset = torchvision_weights(name).transforms()
    size, resize = preset.crop_size[0], preset.resize_size[0]
    return Preprocessing(
        size=size,
        resize=resize,
        interpolation=preset.interpolation.value,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    ), size / resize

"""`PATH.json` beside an ONNX file: the preprocessing that its network wants, and what of its output to use."""

import json
import math
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from tlcore.errors import ModelError
from tlcore.recipes import Preprocessing
from tlcore.spec import Frozen

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
DEFAULT_CROP = 0.875  # 224 of 256 px
Triple = tuple[float, float, float]


class Sidecar(Frozen):
    """What `PATH.json` may say. Every key may be left out.

    size: input side in pixels. resize: of the short side before the centre crop; null squashes the whole image.
    scale: the value of a white pixel before mean and std are applied (1 or 255). mean, std: in that scale and in the
    order of the channels that the network wants; ImageNet's unless given. output: the graph's output to use.
    layout: of the input. output_layout: of the output, where it is a feature map.
    """

    size: int | None = Field(default=None, ge=16, le=1024)
    resize: int | Literal["usual"] | None = "usual"
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear"
    scale: float = Field(default=1.0, gt=0)
    mean: Triple | None = None
    std: Triple | None = None
    channel_order: Literal["RGB", "BGR"] = "RGB"
    layout: Literal["NCHW", "NHWC"] | None = None
    output_layout: Literal["NCHW", "NHWC"] | None = None
    output: str | None = None


def sidecar_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def read_sidecar(path: Path) -> Sidecar:
    """What lies beside the ONNX file `path`; all defaults where nothing does. Raises: ModelError."""
    side = sidecar_path(path)
    if not side.is_file():
        return Sidecar()
    try:
        return Sidecar.model_validate(json.loads(side.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        place, known = ".".join(map(str, first["loc"])), ", ".join(Sidecar.model_fields)
        raise ModelError(f"{side}: {place}: {first['msg']}; known keys are {known}") from error
    except ValueError as error:
        raise ModelError(f"{side} is no JSON: {error}") from error


def preprocessing_of(side: Sidecar, size: int) -> Preprocessing:
    """The sidecar's, in the order RGB and for values of 0…1, as everywhere here."""
    mean = IMAGENET_MEAN if side.mean is None else _scaled(_ordered(side.mean, side.channel_order), side.scale)
    std = IMAGENET_STD if side.std is None else _scaled(_ordered(side.std, side.channel_order), side.scale)
    resize = math.floor(size / DEFAULT_CROP) if side.resize == "usual" else side.resize
    return Preprocessing(size=size, resize=resize, interpolation=side.interpolation, mean=mean, std=std)


def sidecar_of(preprocessing: Preprocessing, channel_order: Literal["RGB", "BGR"]) -> Sidecar:
    """The sidecar that says this preprocessing."""
    return Sidecar(
        size=preprocessing.size,
        resize=preprocessing.resize,
        interpolation=preprocessing.interpolation,
        mean=_ordered(preprocessing.mean, channel_order),
        std=_ordered(preprocessing.std, channel_order),
        channel_order=channel_order,
    )


def about_preprocessing(path: Path) -> str:
    """One sentence: where the preprocessing of this network comes from."""
    side = sidecar_path(path)
    if side.is_file():
        return f"preprocessing as {side} says"
    return f"there is no {side}, so ImageNet's usual preprocessing is assumed (RGB, 0…1, mean and std of ImageNet)"


def _ordered(values: Triple, channel_order: str) -> Triple:
    """Between the order RGB and the network's own."""
    return values if channel_order == "RGB" else (values[2], values[1], values[0])


def _scaled(values: Triple, scale: float) -> Triple:
    return (values[0] / scale, values[1] / scale, values[2] / scale)

"""Decoded pictures -> squares of pixels, as a model's own evaluation transform makes them; and a child process for it.

`python -m tlcore.datasets.pictures.geometry JOB.json` fills its share of the arrays of `training.images.cache`. Torch
is not imported, so that children start fast.
"""

import json
import sys
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt
from PIL import Image

from tlcore.datasets.pictures.decoding import DECODING_VERSION, open_rgb
from tlcore.errors import ImageError
from tlcore.recipes import Preprocessing

Pixels = npt.NDArray[np.uint8]
PIXELS_VERSION = f"{DECODING_VERSION}.1"  # the part after the dot: raise it when this file gives other pixels
TRAIN_MARGIN = 1.25  # side of the squashed picture ÷ input size: random crops see more detail than evaluation does
_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


class PixelJob(TypedDict):
    """One child's work. rows: [row number, path] of each image; done: a file with one byte per image, 1 when filled."""

    preprocessing: dict[str, object]
    rows: list[tuple[int, str]]
    eval_pixels: str
    train_pixels: str
    done: str


def evaluation_pixels(image: Image.Image, preprocessing: Preprocessing) -> Pixels:
    """RGB image -> uint8 [size, size, 3], bit for bit as timm's and torchvision's evaluation transforms on PIL images.

    The short side becomes `resize` (the long one is cut down to whole pixels), then the centre is cut out, on black
    where the picture is smaller than the crop.
    """
    size, resize, scaling = preprocessing.size, preprocessing.resize, _FILTERS[preprocessing.interpolation]
    if resize is None:
        return np.asarray(image.resize((size, size), scaling))
    width, height = image.size
    short = min(width, height)
    if short != resize:
        width, height = int(resize * width / short), int(resize * height / short)
        image = image.resize((width, height), scaling)
    if size > min(width, height):
        left, top = max(0, size - width) // 2, max(0, size - height) // 2
        image = image.crop((-left, -top, max(size, width) - left, max(size, height) - top))
        width, height = image.size
    left, top = round((width - size) / 2), round((height - size) / 2)
    return np.asarray(image.crop((left, top, left + size, top + size)))


def whole_pixels(image: Image.Image, preprocessing: Preprocessing) -> Pixels:
    """RGB image -> uint8 [T, T, 3], the whole picture squashed to a square; T = `train_side`."""
    side = train_side(preprocessing)
    return np.asarray(image.resize((side, side), _FILTERS[preprocessing.interpolation]))


def train_side(preprocessing: Preprocessing) -> int:
    """Side of the squashed picture that random crops are cut from, in pixels."""
    return round(preprocessing.size * TRAIN_MARGIN)


def fill(job: PixelJob) -> None:
    """Decode the images of one job into the shared arrays. Raises: ImageError."""
    preprocessing = Preprocessing.model_validate(job["preprocessing"])
    evaluation = np.load(job["eval_pixels"], mmap_mode="r+")
    whole = np.load(job["train_pixels"], mmap_mode="r+")
    done = np.memmap(job["done"], dtype=np.uint8, mode="r+")
    for row, path in job["rows"]:
        image = open_rgb(Path(path))
        evaluation[row] = evaluation_pixels(image, preprocessing)
        whole[row] = whole_pixels(image, preprocessing)
        done[row] = 1
    evaluation.flush()
    whole.flush()


def main() -> int:
    """Work on the job file named on the command line; an unreadable image is one line on stderr and exit code 2."""
    try:
        fill(json.loads(Path(sys.argv[1]).read_text()))
    except ImageError as error:
        sys.stderr.write(str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What is kept of a picture's looks, so that near duplicates of it can be found: `datasets.duplicates` compares."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

LOOK_SIDE = 16
_SIDE = 32
_FREQUENCIES = 8
_DCT = np.cos(np.pi * np.outer(np.arange(_FREQUENCIES), 2 * np.arange(_SIDE) + 1) / (2 * _SIDE))  # DCT-II, unscaled


@dataclass(frozen=True)
class Look:
    """The looks of one picture.

    brightness, contrast: mean and standard deviation of grey, 0…255. colour: mean RGB as 6 hex digits. phash: 64 bits
    as 16 hex digits. look: a grey copy of 16×16 bytes, row by row, as 512 hex digits.
    """

    brightness: float
    contrast: float
    colour: str
    phash: str
    look: str


def tone_of(rgb: Image.Image) -> tuple[float, float]:
    """Mean and standard deviation of the grey of all pixels, 0…255: in a small version, fine patterns are one grey."""
    counts, values = np.asarray(rgb.convert("L").histogram(), dtype=np.float64), np.arange(256.0)
    mean = np.average(values, weights=counts)
    return float(mean), float(np.sqrt(np.average((values - mean) ** 2, weights=counts)))


def look_of(rgb: Image.Image, tone: tuple[float, float] | None = None) -> Look:
    """The looks of a picture; but for its tone, a small version of it (160 px) gives nearly the same.

    tone: of the whole picture, as of `tone_of`, where this is a small version.
    phash: the signs of the 8×8 lowest frequencies of a 32×32 grey copy against their median (Zauner 2010,
    "Implementation and Benchmarking of Perceptual Image Hash Functions").
    """
    brightness, contrast = tone or tone_of(rgb)
    grey = rgb.convert("L")
    small = np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), dtype=np.float64)
    frequencies = (_DCT @ small @ _DCT.T).ravel()
    bits = frequencies > np.median(frequencies[1:])  # the first is the mean brightness
    tiny = np.asarray(grey.resize((LOOK_SIDE, LOOK_SIDE), Image.Resampling.BOX), dtype=np.uint8)
    mean = np.asarray(rgb, dtype=np.float64).reshape(-1, 3).mean(axis=0)
    return Look(
        brightness=round(brightness, 2),
        contrast=round(contrast, 2),
        colour=mean.round().astype(np.uint8).tobytes().hex(),
        phash=np.packbits(bits).tobytes().hex(),
        look=tiny.tobytes().hex(),
    )

"""What the drawn sample sets share: colours, grain, and writing class folders."""

import colorsys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Points = NDArray[np.float64]
Colour = tuple[int, int, int]
Draw = Callable[[int, np.random.Generator], Image.Image]
NOISE = (0.01, 0.06)  # standard deviation of the grain, as a part of full scale


def rgb(hue: float, saturation: float, value: float) -> Colour:
    """An 8-bit colour from hue, saturation and value in 0…1; the hue wraps around."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def contrasting_pair(rng: np.random.Generator) -> tuple[Colour, Colour]:
    """A paper and an ink of any hue: dark on light, or one time in four light on dark."""
    light = rgb(rng.random(), rng.uniform(0.03, 0.3), rng.uniform(0.75, 1.0))
    dark = rgb(rng.random(), rng.uniform(0.3, 0.9), rng.uniform(0.1, 0.55))
    return (dark, light) if rng.random() < 0.25 else (light, dark)


def mix(first: Colour, second: Colour, part: float) -> Colour:
    """The colour `part` of the way from the first to the second."""
    red, green, blue = (round(a + part * (b - a)) for a, b in zip(first, second, strict=True))
    return red, green, blue


def add_grain(image: Image.Image, rng: np.random.Generator, sigma: float) -> Image.Image:
    """The image with Gaussian noise; sigma is a part of full scale."""
    pixels = np.asarray(image, dtype=np.float64)
    noisy = pixels + rng.normal(0, sigma * 255, pixels.shape)
    return Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))


def write_classes(folder: Path, classes: Mapping[str, tuple[int, Draw]], per_class: int, seed: int) -> None:
    """Write `folder/<class>/<number>.png`; picture n of a class depends on (seed, class's number, n) alone."""
    for name, (number, draw) in classes.items():
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        for n in range(per_class):
            draw(number, np.random.default_rng([seed, number, n])).save(place / f"{n:04d}.png")

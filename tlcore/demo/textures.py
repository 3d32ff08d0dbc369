"""Woven swatches, drawn by ourselves: five patterns in a warm and in a cool dye, nothing like the letters of `glyphs`.

Colour tells half of the classes apart, which letters teach a network to ignore. Everything follows from the seed.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlcore.demo.drawing import NOISE, add_grain, rgb, write_classes

SIZE = 48  # pixels of a picture's side
_OVERSAMPLE = 2
Plane = NDArray[np.float64]

# Each gives 0…1 (how much of the dye is seen) from coordinates u, v counted in repeats of the pattern.
_PATTERNS: dict[str, Callable[[Plane, Plane], Plane]] = {
    "stripes": lambda u, v: _soft(np.sin(2 * np.pi * u)),
    "checks": lambda u, v: _soft(2 * np.sin(np.pi * u) * np.sin(np.pi * v)),
    "dots": lambda u, v: _soft(4 * (0.32 - np.hypot(u - np.floor(u) - 0.5, v - np.floor(v) - 0.5))),
    "waves": lambda u, v: _soft(np.sin(2 * np.pi * (u + 0.3 * np.sin(2 * np.pi * v / 1.5)))),
    "bricks": lambda u, v: _bricks(0.75 * u, 0.75 * v),
}
_DYES = {"warm": (0.98, 0.09), "cool": (0.55, 0.09)}  # hue's centre and spread, as parts of the colour circle
NAMES = tuple(f"{dye}_{pattern}" for pattern in _PATTERNS for dye in _DYES)


def draw(texture_id: int, rng: np.random.Generator) -> Image.Image:
    """One picture, RGB, `SIZE` × `SIZE`: the swatch at a repeat, turn, offset and shade drawn from `rng`."""
    dye, pattern = NAMES[texture_id].split("_")
    side = SIZE * _OVERSAMPLE
    y, x = np.mgrid[0:side, 0:side] / side
    turn, repeats = rng.uniform(0, 2 * np.pi), rng.uniform(3.0, 6.0)
    offset = rng.uniform(0, 10, 2)
    u = repeats * (np.cos(turn) * x + np.sin(turn) * y) + offset[0]
    v = repeats * (-np.sin(turn) * x + np.cos(turn) * y) + offset[1]
    cover = _PATTERNS[pattern](u, v)[..., None]
    hue, spread = _DYES[dye]
    bright = rng.uniform(0.45, 0.95)
    thread = np.array(rgb(hue + rng.uniform(-spread, spread), rng.uniform(0.4, 0.85), bright))
    shade = (bright + rng.uniform(0.3, 0.7)) % 1  # on the circle of shades, at least 0.3 away from the thread's
    cloth = np.array(rgb(rng.random(), rng.uniform(0.0, 0.2), shade))
    pixels = cover * thread + (1 - cover) * cloth
    image = Image.fromarray(np.rint(pixels).astype(np.uint8)).resize((SIZE, SIZE), Image.Resampling.BOX)
    return add_grain(image, rng, rng.uniform(*NOISE))


def write_set(folder: Path, per_class: int, seed: int) -> None:
    """Write a folder of `per_class` PNG pictures for each swatch, named after it, under `folder`."""
    write_classes(folder, {name: (number, draw) for number, name in enumerate(NAMES)}, per_class, seed)


def _soft(wave: Plane) -> Plane:
    """Most of the way from 0 to 1 around the wave's zero, without a hard edge."""
    return np.asarray(1 / (1 + np.exp(-5 * wave)))


def _bricks(u: Plane, v: Plane) -> Plane:
    """Courses twice as long as high, each shifted by half a brick; 0 in the joints."""
    row = np.floor(2 * v)
    along = np.abs((u + 0.5 * (row % 2)) % 1 - 0.5)
    across = np.abs((2 * v) % 1 - 0.5)
    return _soft(12 * (0.38 - np.maximum(along + 0.06, across)))

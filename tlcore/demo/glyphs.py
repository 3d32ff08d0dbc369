"""An invented alphabet, drawn by ourselves: pictures for the demo and for tests, with nothing to download.

A glyph id always means the same letter, drawn each time by another hand: other slant, size, pen, ink and paper, with
stray lines and grain. Everything follows from the seed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from tlcore.demo.drawing import NOISE, Colour, Points, add_grain, contrasting_pair, mix, write_classes

SIZE = 48  # pixels of a picture's side
FAMILY = 5  # letters in a row that share their first strokes, as the syllables of a consonant do in many scripts
NUM_GLYPHS = 4_225  # how many different names there are: consonant, vowel, consonant, vowel
_ALPHABET = 20_261  # seeds the letters' shapes: another number is another alphabet
_OVERSAMPLE = 4
_CONSONANTS, _VOWELS = "bdgklmnrstvzh", "aeiou"
_LATTICE = np.array([(x, y) for y in (0, 1 / 3, 2 / 3, 1) for x in (0, 0.4, 0.8)])
_CLEARANCE = 0.17  # how far a new stroke keeps from the others, in letter heights: closer ones would run together

Place = Callable[[Points], Points]


@dataclass(frozen=True)
class Glyph:
    """A letter's shape. strokes: polylines [P, 2] (x, y) in the box 0…1; a stroke of one point is a dot."""

    name: str
    strokes: tuple[Points, ...]


def glyph_name(glyph_id: int) -> str:
    """A pronounceable name, different for every id in 0…`NUM_GLYPHS` - 1, such as `kelo`.

    Letters of a family differ in their last vowel.
    """
    if not 0 <= glyph_id < NUM_GLYPHS:
        raise ValueError(f"glyph id {glyph_id} is out of range: choose from 0 to {NUM_GLYPHS - 1}")
    family, member = divmod(glyph_id, FAMILY)
    rest, middle = divmod(family * 37 % (NUM_GLYPHS // FAMILY), len(_CONSONANTS))
    first, vowel = divmod(rest, len(_VOWELS))
    return _CONSONANTS[first] + _VOWELS[vowel] + _CONSONANTS[middle] + _VOWELS[member]


@cache
def glyph(glyph_id: int) -> Glyph:
    """The shape of a letter: its family's two strokes, and marks of its own (a stroke or two, a ring, a dot)."""
    name = glyph_name(glyph_id)
    family = np.random.default_rng([_ALPHABET, glyph_id // FAMILY])
    strokes = [_main_stroke(family)]
    strokes.extend(_branch(family, strokes))
    own = np.random.default_rng([_ALPHABET, glyph_id // FAMILY, glyph_id % FAMILY])
    for _ in range(int(own.integers(1, 3))):
        strokes.extend(_branch(own, strokes))
    ornament = own.random()
    if ornament < 0.3:
        strokes.append(_ring(strokes[int(own.integers(len(strokes)))], own.uniform(0.15, 0.2)))
    elif ornament < 0.6:
        strokes.extend(_dot(own, strokes))
    return Glyph(name, _fitted(strokes))


def draw(glyph_id: int, rng: np.random.Generator) -> Image.Image:
    """One picture of the letter, RGB, `SIZE` × `SIZE`, by a hand of its own drawn from `rng`."""
    side = SIZE * _OVERSAMPLE
    paper, ink = contrasting_pair(rng)
    image = Image.new("RGB", (side, side), paper)
    pen = ImageDraw.Draw(image)
    _clutter(pen, rng, paper, ink)
    width = rng.uniform(0.04, 0.075) * side
    place = _hand(rng)
    for stroke in glyph(glyph_id).strokes:
        _ink(pen, place(_wobble(stroke, rng)) * side, width, ink)
    blurred = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2.5)))
    return add_grain(blurred.resize((SIZE, SIZE), Image.Resampling.BOX), rng, rng.uniform(*NOISE))


def write_set(folder: Path, glyph_ids: Iterable[int], per_class: int, seed: int) -> None:
    """Write a folder of `per_class` PNG pictures for each letter, named after it, under `folder`."""
    write_classes(folder, {glyph_name(i): (i, draw) for i in glyph_ids}, per_class, seed)


def _main_stroke(rng: np.random.Generator) -> Points:
    """A stroke over at least two thirds of the height, straight or bent."""
    top, bottom = [(0, 3), (0, 3), (0, 2), (1, 3)][int(rng.integers(4))]
    left, right = rng.integers(3, size=2)
    return _curve(_LATTICE[3 * top + left], _LATTICE[3 * bottom + right], rng.choice([0.0, 0.0, 0.3, -0.3]))


def _branch(rng: np.random.Generator, strokes: list[Points]) -> list[Points]:
    """A stroke from an end or the middle of another to a lattice point, clear of the rest, if there is one."""
    for _ in range(60):
        parent = strokes[int(rng.integers(len(strokes)))]
        start = parent[int(rng.choice([0, len(parent) // 2, len(parent) - 1]))]
        end = _LATTICE[int(rng.integers(len(_LATTICE)))]
        if not 0.35 < float(np.hypot(*(end - start))) < 0.95:
            continue
        branch = _curve(start, end, rng.choice([0.0, 0.0, 0.4, -0.4]))
        if _distance(branch[10:], strokes) > _CLEARANCE:
            return [branch]
    return []


def _ring(stroke: Points, radius: float) -> Points:
    """A circle that continues the stroke beyond its end."""
    direction = stroke[-1] - stroke[-4]
    centre = stroke[-1] + radius * direction / np.hypot(*direction)
    t = np.linspace(0, 2 * np.pi, 28)
    return np.asarray(centre + radius * np.stack([np.cos(t), np.sin(t)], axis=1))


def _dot(rng: np.random.Generator, strokes: list[Points]) -> list[Points]:
    """A dot at a free lattice point, if there is one."""
    free = [point for point in _LATTICE if _distance(point[None], strokes) > _CLEARANCE]
    return [free[int(rng.integers(len(free)))][None]] if free else []


def _distance(points: Points, strokes: list[Points]) -> float:
    """The shortest distance between these points and those of the strokes."""
    others = np.concatenate(strokes)
    return float(np.linalg.norm(points[:, None] - others[None], axis=-1).min())


def _curve(start: Points, end: Points, bend: float) -> Points:
    """A quadratic Bézier curve [24, 2]; `bend` is the bulge's height as a part of the chord."""
    along = end - start
    control = (start + end) / 2 + 2 * bend * np.array([-along[1], along[0]])
    t = np.linspace(0, 1, 24)[:, None]
    return np.asarray((1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end)


def _fitted(strokes: list[Points]) -> tuple[Points, ...]:
    """The strokes centred in the box 0…1, as large as they fit."""
    everything = np.concatenate(strokes)
    low, high = everything.min(axis=0), everything.max(axis=0)
    return tuple((stroke - (low + high) / 2) / (high - low).max() + 0.5 for stroke in strokes)


def _wobble(stroke: Points, rng: np.random.Generator) -> Points:
    """The stroke as an unsteady hand draws it: shifted a little, its ends a little more."""
    shift, pull = rng.normal(0, 0.03, 2), rng.normal(0, 0.06, 2)
    return stroke + shift + np.linspace(0, 1, len(stroke))[:, None] * pull


def _hand(rng: np.random.Generator) -> Place:
    """A random affine map from the letter's box to the picture's (0…1): slant, turn, size, place."""
    turn, shear = rng.normal(0, 0.2), rng.normal(0, 0.22)
    scale = rng.uniform(0.45, 0.75) * np.array([rng.uniform(0.7, 1.2), 1.0])
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = rotation @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag(scale)
    centre = 0.5 + rng.uniform(-0.12, 0.12, 2)
    return lambda points: (points - 0.5) @ matrix.T + centre


def _clutter(pen: ImageDraw.ImageDraw, rng: np.random.Generator, paper: Colour, ink: Colour) -> None:
    """One to six stray lines across the paper, thinner and paler than the letter."""
    side = SIZE * _OVERSAMPLE
    for _ in range(int(rng.integers(1, 7))):
        ends = rng.uniform(-0.1, 1.1, (2, 2))
        line = _curve(ends[0], ends[1], rng.normal(0, 0.15)) * side
        colour = mix(paper, ink, rng.uniform(0.15, 0.7))
        pen.line([tuple(p) for p in line], fill=colour, width=round(rng.uniform(0.01, 0.03) * side), joint="curve")


def _ink(pen: ImageDraw.ImageDraw, points: Points, width: float, colour: Colour) -> None:
    """A stroke with round ends, or a dot where there is one point; points and width in pixels."""
    if len(points) > 1:
        pen.line([tuple(p) for p in points], fill=colour, width=round(width), joint="curve")
    radius = width / 2 if len(points) > 1 else width * 0.85
    for x, y in (points[0], points[-1]):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)

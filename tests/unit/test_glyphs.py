"""The drawn sample sets: always the same, varied within a class, different between classes."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlcore.demo import glyphs, textures

LETTERS = range(120)
DRAWERS = [pytest.param(glyphs, 107, id="glyphs"), pytest.param(textures, 3, id="textures")]


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image, dtype=np.float64)


@pytest.mark.parametrize(("source", "number"), DRAWERS)
def test_a_seed_draws_the_same_picture_again_and_another_seed_another(source, number):
    first, again, other = (array(source.draw(number, np.random.default_rng(seed))) for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert np.abs(first - other).mean() > 5


@pytest.mark.parametrize(("source", "number"), DRAWERS)
def test_pictures_are_small_colour_images_with_something_on_them(source, number):
    for seed in range(20):
        image = source.draw(number, np.random.default_rng(seed))
        assert (image.mode, image.size) == ("RGB", (source.SIZE, source.SIZE))
        assert array(image).mean(axis=2).std() > 4


@pytest.mark.parametrize("outer", [-1, glyphs.NUM_GLYPHS])
def test_an_id_outside_the_alphabet_is_refused_with_its_value_and_the_range(outer):
    with pytest.raises(ValueError, match=f"{outer} is out of range: choose from 0 to {glyphs.NUM_GLYPHS - 1}"):
        glyphs.draw(outer, np.random.default_rng(0))


def test_every_letter_has_a_name_of_its_own():
    names = {glyphs.glyph_name(i) for i in range(glyphs.NUM_GLYPHS)}
    assert len(names) == glyphs.NUM_GLYPHS
    assert all(name.isascii() and name.isalpha() and len(name) == 4 for name in names)


def test_a_family_shares_its_name_up_to_the_last_vowel():
    for start in range(0, 100, glyphs.FAMILY):
        names = [glyphs.glyph_name(start + member) for member in range(glyphs.FAMILY)]
        assert len({name[:3] for name in names}) == 1


def test_letters_lie_in_their_box_and_fill_it():
    for letter in LETTERS:
        points = np.concatenate(glyphs.glyph(letter).strokes)
        assert points.min() >= -1e-9
        assert points.max() <= 1 + 1e-9
        assert np.ptp(points, axis=0).max() == pytest.approx(1)


def silhouette(letter: int) -> np.ndarray:
    """Where the letter's strokes pass in its box, in cells a 12th of the height, spread over their neighbours."""
    cells = np.zeros((14, 14), dtype=bool)
    for x, y in np.concatenate(glyphs.glyph(letter).strokes):
        column, row = int(x * 11.99), int(y * 11.99)
        cells[row : row + 3, column : column + 3] = True
    return cells


def test_no_two_letters_have_the_same_shape():
    shapes = [silhouette(letter) for letter in LETTERS]
    likeness = [(a & b).sum() / (a | b).sum() for a, b in combinations(shapes, 2)]
    assert max(likeness) < 0.97


def test_a_set_is_one_folder_of_pictures_per_letter(tmp_path: Path):
    glyphs.write_set(tmp_path / "a", [100, 101, 105], 2, seed=4)
    glyphs.write_set(tmp_path / "b", [105], 3, seed=4)
    files = sorted(path.relative_to(tmp_path / "a").as_posix() for path in (tmp_path / "a").rglob("*.*"))
    names = sorted(glyphs.glyph_name(i) for i in (100, 101, 105))
    assert files == [f"{name}/{n:04d}.png" for name in names for n in range(2)]
    # A picture depends on seed, letter and number alone, not on what else is in the set.
    for picture in ("0000.png", "0001.png"):
        name = glyphs.glyph_name(105)
        assert (tmp_path / "a" / name / picture).read_bytes() == (tmp_path / "b" / name / picture).read_bytes()


def test_swatches_of_a_warm_and_a_cool_dye_differ_in_colour(tmp_path: Path):
    """Red minus blue tells the dyes apart more often than not, in every pattern."""
    for number, name in enumerate(textures.NAMES):
        pixels = [array(textures.draw(number, np.random.default_rng(seed))) for seed in range(30)]
        redder = np.mean([p[..., 0].mean() > p[..., 2].mean() for p in pixels])
        assert redder > 0.5 if name.startswith("warm") else redder < 0.5

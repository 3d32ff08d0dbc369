"""Near duplicates: the same picture saved anew is found, and pictures that only resemble each other are not joined."""

import hashlib
import io
import itertools
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image, ImageEnhance

from tlcore.datasets import duplicates
from tlcore.datasets.duplicates import near_across, near_groups
from tlcore.datasets.pictures.likeness import look_of
from tlcore.errors import RunCancelledError


def scene(seed: int, side: int = 240) -> Image.Image:
    """A picture of soft shapes in many colours, as different from the next as photographs are."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return coarse.resize((side, side), Image.Resampling.BICUBIC)


def table(*pictures: Image.Image, sha256: list[str] | None = None) -> pd.DataFrame:
    names = sha256 or [hashlib.sha256(p.tobytes()).hexdigest() for p in pictures]
    rows = zip(names, pictures, strict=True)
    return pd.DataFrame([{"sha256": n, "width": p.width, "height": p.height, **vars(look_of(p))} for n, p in rows])


def saved(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "saved anew": lambda p: saved(p, 40),
    "half the size": lambda p: p.resize((p.width // 2, p.height // 2), Image.Resampling.BILINEAR),
    "brighter": lambda p: ImageEnhance.Brightness(p).enhance(1.12),
    "less contrast": lambda p: ImageEnhance.Contrast(p).enhance(0.9),
    "edges cut": lambda p: p.crop((1, 1, p.width - 1, p.height - 1)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_picture_that_was_changed_a_little_is_found_among_others(change):
    pictures = [scene(seed) for seed in range(12)]
    images = table(*pictures, CHANGES[change](pictures[3]))
    groups = near_groups(images)
    assert groups[3] == groups[12] == min(images["sha256"].iloc[[3, 12]])
    others = [place for place in range(13) if place not in (3, 12)]
    assert [groups[place] for place in others] == [images["sha256"].iloc[place] for place in others]


@pytest.mark.parametrize("turn", ["mirrored", "other colours", "another part of it"])
def test_a_picture_that_shows_something_else_is_no_duplicate(turn):
    picture = scene(5)
    swapped = Image.merge("RGB", picture.split()[::-1])
    other = {"mirrored": picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), "other colours": swapped,
             "another part of it": picture.crop((80, 80, 240, 240))}  # fmt: skip
    assert len(set(near_groups(table(picture, other[turn])))) == 2


def test_things_of_one_shape_in_two_colours_differ():
    """Their grey copies are equal, so that only the colour can tell."""
    shape = np.asarray(scene(1).convert("L"), dtype=float)
    red = np.stack([shape, shape * 0.5, shape * 0.5], axis=2)
    weight = (0.299 * 0.5 + 0.587 + 0.114 * 0.5) / (0.299 + 0.587 * 0.5 + 0.114 * 0.5)
    green = np.stack([shape * 0.5, shape, shape * 0.5], axis=2) / weight
    pictures = [Image.fromarray(x.clip(0, 255).astype(np.uint8)) for x in (red, green)]
    images = table(*pictures)
    distance = int(images["phash"][0], 16) ^ int(images["phash"][1], 16)
    assert distance.bit_count() <= duplicates.MAX_DISTANCE
    assert len(set(near_groups(images))) == 2


def test_flat_pictures_are_no_duplicates_unless_their_files_are_equal():
    noise = np.random.default_rng(0).integers(100, 102, (3, 64, 64, 3)).astype(np.uint8)
    images = table(*map(Image.fromarray, (*noise, noise[0])))
    groups = near_groups(images)
    assert groups[3] == groups[0]
    assert len(set(groups)) == 3


@pytest.mark.parametrize("order", list(itertools.permutations("abc")))
def test_two_that_are_alike_are_together_whatever_their_hashes(order):
    """The second is like the first and like the third, while those two are too far apart."""
    images = table(scene(7), scene(7), scene(7), sha256=list(order))
    images["phash"] = [f"{bits:016x}" for bits in (0, 2**6 - 1, 2**12 - 1)]
    assert near_groups(images) == ["a", "a", "a"]
    assert near_groups(images.iloc[::-1]) == ["a", "a", "a"], "whatever the order of the rows"


def chain(length: int, *distances: int) -> pd.DataFrame:
    """Pictures of one look, each so many bits away from the one before, in turn; named in order."""
    images = table(scene(7)).loc[[0] * length].reset_index(drop=True)
    images["sha256"] = [f"{place:04d}" for place in range(length)]
    bits, rng = [0], np.random.default_rng(0)
    for distance in itertools.islice(itertools.cycle(distances), length - 1):
        flipped = sum(1 << int(place) for place in rng.choice(64, distance, replace=False))
        bits.append(bits[-1] ^ flipped)
    return images.assign(phash=[f"{value:016x}" for value in bits])


def test_a_chain_longer_than_the_cap_is_cut_where_its_pictures_are_least_alike(monkeypatch):
    images = chain(20, 2, 2, 2, 2, 7)
    assert len(set(near_groups(images))) == 1
    monkeypatch.setattr(duplicates, "MAX_CHAIN", 19)
    groups = near_groups(images)
    assert pd.Series(groups).value_counts().tolist() == [5, 5, 5, 5]
    again = images.sample(frac=1, random_state=1)
    assert dict(zip(again["sha256"], near_groups(again), strict=True)) == dict(
        zip(images["sha256"], groups, strict=True)
    )
    same = chain(20, 1)
    assert len(set(near_groups(same))) == 1, "files that are almost the same stay one group, however many"


def test_pairs_with_two_values_are_found_within_a_group_and_nothing_else():
    """a and b are alike, b and c too, and d is alone; e is a copy of d."""
    images = table(scene(7), scene(7), scene(7), scene(8), scene(8), sha256=["a", "b", "c", "d", "d"])
    images["phash"] = [f"{bits:016x}" for bits in (0, 2**6 - 1, 2**12 - 1)] + images["phash"].tolist()[3:]
    assert near_across(images, ["train", "train", "test", "train", "train"]) == ["", "b", "b", "", ""]
    assert near_across(images, ["train", "test", "train", "train", "test"]) == ["a", "a", "a", "d", "d"]
    assert near_across(images, ["train", "train", "test", "test", "train"]) == ["", "b", "b", "d", "d"]
    assert near_across(images, [1] * 5) == [""] * 5
    assert near_across(table(), []) == []


def test_pictures_too_small_to_tell_are_only_copies_or_not():
    """All sixes look alike at 8 px."""
    small = [scene(3).resize((20, 20)), scene(3).resize((20, 20), Image.Resampling.NEAREST)]
    images = table(*small, small[0])
    assert (int(images["phash"][0], 16) ^ int(images["phash"][1], 16)).bit_count() <= duplicates.MAX_DISTANCE
    groups = near_groups(images)
    assert groups[0] == groups[2] != groups[1]


def test_the_search_tells_how_far_it_is_and_can_be_ended(monkeypatch):
    monkeypatch.setattr(duplicates, "_EVERY", 1)
    images, seen = table(*map(scene, range(6))), []
    near_groups(images, seen.append)
    assert seen == sorted(seen)
    assert (seen[0], len(seen)) == (0.0, 6)

    def stop(done: float) -> None:
        raise RunCancelledError("enough")

    with pytest.raises(RunCancelledError):
        near_groups(images, stop)


def test_nothing_has_no_groups():
    assert near_groups(table()) == []


@settings(max_examples=80, deadline=None)
@given(
    some.lists(some.tuples(some.integers(0, 7), some.integers(0, 2**12 - 1)), min_size=1, max_size=40),
    some.integers(0, 2**32 - 1),
    some.sampled_from([2, 5, 50]),
)
def test_groups_are_those_of_the_definition(drawn, seed, cap):
    """Against loops that say the definition, at every level; other hashes of the files give the same groups."""
    rng = np.random.default_rng(seed)
    looks = [np.random.default_rng(seed).integers(0, 256, 256, dtype=np.uint8) for seed in range(8)]
    images = pd.DataFrame(
        {
            "sha256": [f"{place:04d}" for place in rng.permutation(len(drawn))],
            "phash": [f"{bits:016x}" for _, bits in drawn],
            "look": [looks[seed].tobytes().hex() for seed, _ in drawn],
            "colour": "808080",
            "width": 100,
            "height": 100,
        }
    )

    def alike(i: int, j: int, most: int, least: float) -> bool:
        (a, x), (b, y) = drawn[i], drawn[j]
        return (x ^ y).bit_count() <= most and np.corrcoef(looks[a], looks[b])[0, 1] >= least

    def together(places: list[int], level: int) -> list[set[int]]:
        """Groups of these places at a level, each again at the next one where it is too long."""
        found: list[set[int]] = []
        for place in places:
            near = [group for group in found if any(alike(place, other, *duplicates.LEVELS[level]) for other in group)]
            found = [group for group in found if group not in near] + [{place}.union(*near)]
        last = level == len(duplicates.LEVELS) - 1
        return [g for f in found for g in ([f] if last or len(f) <= cap else together(sorted(f), level + 1))]

    names = images["sha256"].tolist()
    expected = {
        place: min(names[p] for p in group) for group in together(list(range(len(drawn))), 0) for place in group
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "MAX_CHAIN", cap)
        patch.setattr(duplicates, "_PAIRS", int(rng.integers(1, 50)))
        assert near_groups(images) == [expected[place] for place in range(len(drawn))]

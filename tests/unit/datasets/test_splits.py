"""Splits: disjoint, complete, stratified, nested, drawn by content, and a test part that no seed moves."""

import hashlib
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given as drawn
from hypothesis import settings as limits
from hypothesis import strategies as st

from tlcore.datasets.dataset import Dataset, DatasetInfo
from tlcore.datasets.fingerprints import dataset_fingerprint, split_fingerprint
from tlcore.datasets.splits import check_splittable, make_split, split_note
from tlcore.errors import SplitError


def dataset(images: list[tuple[int, str, str]], given: str = "none", groups: list[str] | None = None) -> Dataset:
    """A dataset of (label, content, part), without files: splits never open them.

    groups: a name for each image; those of one name are near duplicates. None for a dataset that knows no groups.
    """
    hashes = [hashlib.sha256(content.encode()).hexdigest() for _, content, _ in images]
    rows = [
        (f"{i}.png", label, part, sha) for i, ((label, _, part), sha) in enumerate(zip(images, hashes, strict=True))
    ]
    table = pd.DataFrame(rows, columns=["path", "label", "part", "sha256"])
    if groups is not None:
        table["group"] = table.groupby(pd.Series(groups))["sha256"].transform("min")
    classes = tuple(f"class {i}" for i in range(max(label for label, _, _ in images) + 1))
    info = DatasetInfo(
        id="x",
        name="x",
        fingerprint=dataset_fingerprint((str(label), sha) for _, label, _, sha in rows),
        classes=classes,
        num_images=len(images),
        class_counts=Counter(classes[label] for label, _, _ in images),
        part_counts=Counter(part for _, _, part in images),
        given=given,
        short_side=32,
        total_bytes=1,
        created_ms=0,
        source="",
    )
    return Dataset(info, table, Path("/nowhere"))


def simple(*counts: int, part: str = "") -> list[tuple[int, str, str]]:
    return [(label, f"{part}/{label}/{i}", part) for label, count in enumerate(counts) for i in range(count)]


def per_class(data: Dataset, rows) -> Counter:
    return Counter(data.images["label"].iloc[list(rows)])


class_sizes = st.lists(st.integers(3, 60), min_size=2, max_size=5)
seeds = st.integers(0, 2**31 - 1)
quick = limits(max_examples=60, deadline=None)
COPIES = [(label, f"{label}/copy/{i // 3}", "") for label in (0, 2) for i in range(9)]
BOTH = [(label, f"both/{i}", "") for label in (0, 1) for i in range(4)]
TRAIN = simple(50, 30, part="train")
# What the first version drew: fingerprint of the split for seed 7, of the test part, and of the split with 35 % of the
# training part.
RECORDED = {
    "single": (simple(31, 8, 55), "none", "ebf82fa3b812d33c", "66eb6129c5601ce6", "c0ff428323690220"),
    "copies": (simple(31, 8, 55) + COPIES + BOTH, "none", "f2f1a06559d79e6c", "59d4399b18250af8", "8e1b08bad63d915d"),
    "val": (
        TRAIN + simple(10, 20, part="val"), "train_val", "a2a1337c67d8b88c", "a36ef8cf5e95b926", "161c228831b03386",
    ),
    "test": (
        TRAIN + simple(10, 20, part="test"), "train_test", "307e905036b2918d", "c0a6a0cd51dbd4d1", "2b16560a0d9b0f9b",
    ),
}  # fmt: skip


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("case", RECORDED)
def test_the_fixed_draw_is_that_of_the_first_version(case, grouped):
    """Also where a new import knows groups, as long as they hold exact copies alone."""
    images, given, whole, tested, part = RECORDED[case]
    data = dataset(images, given, [content for _, content, _ in images] if grouped else None)
    split = make_split(data, 7)
    assert (split.fingerprint[:16], split.test_fingerprint[:16]) == (whole, tested)
    assert make_split(data, 7, 0.35).fingerprint[:16] == part


@quick
@drawn(class_sizes, seeds)
def test_no_folders_gives_60_20_20_per_class(sizes, seed):
    data = dataset(simple(*sizes))
    split = make_split(data, seed)
    assert sorted(split.train + split.val + split.test) == list(range(sum(sizes)))
    for label, size in enumerate(sizes):
        for rows, share in [(split.train, 0.6), (split.val, 0.2), (split.test, 0.2)]:
            assert abs(per_class(data, rows)[label] - share * size) <= 1
            assert per_class(data, rows)[label] >= 1
    assert split.num_train_full == len(split.train)
    assert list(split.train) == sorted(split.train)


@quick
@drawn(class_sizes, seeds, seeds)
def test_the_test_part_depends_on_no_seed(sizes, one, other):
    data = dataset(simple(*sizes))
    first, second = make_split(data, one), make_split(data, other)
    assert first.test == second.test
    assert first.test_fingerprint == second.test_fingerprint
    assert (first.fingerprint == second.fingerprint) == (set(first.train) == set(second.train))


def test_the_seed_redraws_train_and_validation():
    data = dataset(simple(50, 50))
    vals = {make_split(data, seed).val for seed in range(20)}
    assert len(vals) == 20
    drawn_often = Counter(row for val in vals for row in val)
    assert len(drawn_often) > 75  # of 80 that are not in the test part: no image is kept out of validation


@quick
@drawn(class_sizes, seeds, st.lists(st.floats(0.001, 1.0), min_size=2, max_size=4))
def test_fractions_are_nested_and_stratified(sizes, seed, fractions):
    data = dataset(simple(*sizes))
    full = make_split(data, seed)
    splits = [make_split(data, seed, fraction) for fraction in sorted(fractions)]
    for smaller, larger in zip(splits, [*splits[1:], full], strict=True):
        assert set(smaller.train) <= set(larger.train)
    for split, fraction in zip(splits, sorted(fractions), strict=True):
        assert (split.val, split.test, split.num_train_full) == (full.val, full.test, len(full.train))
        for label, count in per_class(data, full.train).items():
            assert abs(per_class(data, split.train)[label] - fraction * count) <= 1
            assert per_class(data, split.train)[label] >= 1


@quick
@drawn(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40)), min_size=30, max_size=90), seeds)
def test_exact_copies_stay_on_one_side(contents, seed):
    """Contents are drawn from a few, so copies within and across classes are common."""
    singles = [(label, f"{label}/{i}", "") for label in range(3) for i in range(4)]
    data = dataset([(label, str(content), "") for label, content in contents] + singles)
    split = make_split(data, seed)
    side = {row: part for part in ("train", "val", "test") for row in getattr(split, part)}
    assert len(side) == len(data.images)
    for _, rows in data.images.groupby("sha256").groups.items():
        assert len({side[row] for row in rows}) == 1
        if data.images["label"].loc[rows].nunique() > 1:
            assert side[rows[0]] == "train"
    for part in ("train", "val", "test"):
        assert set(per_class(data, getattr(split, part))) == {0, 1, 2}


@quick
@drawn(class_sizes, seeds, st.randoms(use_true_random=False))
def test_the_same_content_gives_the_same_split_whatever_its_order(sizes, seed, random):
    images = simple(*sizes)
    shuffled = images.copy()
    random.shuffle(shuffled)
    one, other = dataset(images), dataset(shuffled)
    for fraction in (1.0, 0.3):
        a, b = make_split(one, seed, fraction), make_split(other, seed, fraction)
        assert (a.fingerprint, a.test_fingerprint) == (b.fingerprint, b.test_fingerprint)
        assert {one.images["sha256"][r] for r in a.val} == {other.images["sha256"][r] for r in b.val}


def test_the_test_part_is_stable_when_images_are_added():
    small, large = dataset(simple(100, 100)), dataset(simple(110, 110))
    before = {small.images["sha256"][row] for row in make_split(small, 0).test}
    after = {large.images["sha256"][row] for row in make_split(large, 0).test}
    assert len(before & after) >= 34  # 40 each; by lot alone about 7 would be common


@pytest.mark.parametrize("given", ["train_val", "train_test"])
def test_two_parts_keep_one_as_test_and_draw_validation_from_train(given):
    held_out = given.removeprefix("train_")
    data = dataset(simple(50, 30, part="train") + simple(10, 20, part=held_out), given)
    split = make_split(data, 3)
    assert set(split.test) == set(range(80, 110))
    assert per_class(data, split.val) == {0: 10, 1: 6}
    assert per_class(data, split.train) == {0: 40, 1: 24}
    assert make_split(data, 4).val != split.val
    assert "20 % of train" in split_note(data.info)


def test_three_parts_are_used_as_they_are():
    images = simple(9, 8, part="train") + simple(3, 3, part="val") + simple(4, 4, part="test")
    data = dataset(images, "train_val_test")
    split, other = make_split(data, 0), make_split(data, 1)
    assert (split.train, split.val, split.test) == (tuple(range(17)), tuple(range(17, 23)), tuple(range(23, 31)))
    assert (other.train, other.val, other.test) == (split.train, split.val, split.test)
    assert make_split(data, 0, 0.5).train != make_split(data, 1, 0.5).train


@pytest.mark.parametrize(
    ("images", "given", "message"),
    [
        (simple(5, 2), "none", "class 'class 1' has 2 different images, but needs at least 3, as validation and test"),
        ([*simple(5), *[(1, "same", "")] * 9], "none", "class 'class 1' has 1 different image, but needs at least 3"),
        (
            simple(5, 1, part="train") + simple(5, 5, part="val"),
            "train_val",
            "'class 1' has 1 .* to train on, .* least 2",
        ),
        (
            simple(5, part="train") + simple(5, part="val") + simple(0, 5, part="test"),
            "train_val_test",
            "'class 1' has 0 different images to train on, but needs at least 1: add images or leave the class out",
        ),
    ],
)
def test_too_few_images_name_the_class_its_count_and_the_minimum(images, given, message):
    data = dataset(images, given)
    with pytest.raises(SplitError, match=message):
        check_splittable(data)
    with pytest.raises(SplitError, match=message):
        make_split(data, 0)


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.01, float("nan")])
def test_fractions_out_of_range(fraction):
    with pytest.raises(SplitError, match=r"cannot be taken: use more than 0, up to 1"):
        make_split(dataset(simple(5, 5)), 0, fraction)


def test_fingerprints_are_of_content_and_parts():
    assert dataset_fingerprint([("a", "1"), ("b", "2")]) == dataset_fingerprint([("b", "2"), ("a", "1")])
    assert dataset_fingerprint([("a", "1"), ("b", "2")]) != dataset_fingerprint([("b", "1"), ("a", "2")])
    assert dataset_fingerprint([("a", "1")]) != dataset_fingerprint([("a", "1"), ("a", "1")])
    assert split_fingerprint({"train": ["1", "2"], "val": []}) == split_fingerprint({"val": [], "train": ["2", "1"]})
    assert split_fingerprint({"train": ["1"], "val": ["2"]}) != split_fingerprint({"train": ["2"], "val": ["1"]})


def test_contradictory_copies_leave_enough_for_every_part():
    """Two clear images per class are one for test and one for validation, though copies would fill the shares."""
    both = [(label, f"both/{i}", "") for label in (0, 1) for i in range(9)]
    data = dataset(both + simple(2, 2))
    split = make_split(data, 0)
    assert per_class(data, split.test) == per_class(data, split.val) == {0: 1, 1: 1}
    assert per_class(data, split.train) == {0: 9, 1: 9}
    with pytest.raises(SplitError, match=r"class 'class 0' has 1 different image, but needs at least 3"):
        make_split(dataset(both + simple(1, 2)), 0)

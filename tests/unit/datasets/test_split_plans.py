"""Split plans and near-duplicate groups: no group torn, folds that cover all, fractions that stay nested."""

from collections import Counter

import pytest
from hypothesis import given as drawn
from hypothesis import settings as limits
from hypothesis import strategies as st

from tests.unit.datasets.test_splits import dataset, per_class, seeds, simple
from tlcore.datasets.dataset import PARTS
from tlcore.datasets.splits import check_splittable, leaks_between_parts, make_split, split_note
from tlcore.errors import SpecError, SplitError
from tlcore.spec import split_plan

quick = limits(max_examples=60, deadline=None)
plans = st.sampled_from(["fixed", "repeated", "kfold:2", "kfold:3", "kfold:4"])


@st.composite
def grouped(draw, mixed=True):
    """A dataset with groups of up to 9 images, four groups of each class at least. mixed: some groups span classes."""
    classes = draw(st.integers(2, 3))
    sizes = [draw(st.lists(st.integers(1, 9), min_size=4, max_size=14)) for _ in range(classes)]
    images, groups = [], []
    for label, of_class in enumerate(sizes):
        for number, size in enumerate(of_class):
            images += [(label, f"{label}/{number}/{i}", "") for i in range(size)]
            groups += [f"{label}/{number}"] * size
    if mixed:
        spanning = draw(st.integers(0, 3))
        images += [(label, f"mixed/{i}/{label}", "") for i in range(spanning) for label in range(classes)]
        groups += [f"mixed/{i}" for i in range(spanning) for _ in range(classes)]
    return dataset(images, groups=groups)


def sides(data, split):
    """The part of each row."""
    found = {row: part for part in PARTS for row in getattr(split, part)}
    assert len(found) == sum(len(getattr(split, part)) for part in PARTS), "no image is in two parts"
    return found


def drawable(data):
    """Rows whose group is of one class."""
    labels = data.images.groupby("group")["label"].transform("nunique")
    return set(data.images.index[labels == 1])


def largest(data, label):
    """Images in the largest group of a class."""
    return int(data.images[data.images["label"] == label]["group"].value_counts().max())


@quick
@drawn(grouped(), seeds, plans)
def test_parts_cover_all_tear_no_group_and_keep_mixed_ones_for_training(data, seed, plan):
    side = sides(data, make_split(data, seed, plan=plan))
    assert sorted(side) == list(range(len(data.images)))
    for _, rows in data.images.groupby("group").groups.items():
        assert len({side[row] for row in rows}) == 1
        if data.images["label"].loc[rows].nunique() > 1:
            assert side[rows[0]] == "train"
    for part in PARTS:
        assert set(per_class(data, getattr(make_split(data, seed, plan=plan), part))) == set(data.images["label"])


@quick
@drawn(grouped(mixed=False), seeds, st.sampled_from(["fixed", "repeated"]))
def test_parts_hold_their_share_of_each_class_to_within_the_largest_group(data, seed, plan):
    split = make_split(data, seed, plan=plan)
    for label, size in Counter(data.images["label"]).items():
        for rows in (split.val, split.test):
            assert abs(per_class(data, rows)[label] - 0.2 * size) <= max(1, largest(data, label))


@quick
@drawn(grouped(), st.integers(0, 50), st.integers(2, 4))
def test_folds_of_one_shuffle_are_disjoint_cover_all_and_hold_equal_shares(data, shuffle, folds):
    tested = [
        make_split(data, seed, plan=f"kfold:{folds}").test for seed in range(shuffle * folds, (shuffle + 1) * folds)
    ]
    assert sorted(row for fold in tested for row in fold) == sorted(drawable(data))
    alone = drawable(data)
    for label in set(data.images["label"]):
        counts = [per_class(data, fold)[label] for fold in tested]
        own = data.images[data.images["label"] == label]
        biggest = int(own[own.index.isin(alone)]["group"].value_counts().max())
        assert min(counts) >= 1
        assert max(counts) - min(counts) <= biggest


@quick
@drawn(st.lists(st.integers(6, 40), min_size=2, max_size=5), st.integers(0, 9), st.integers(2, 6))
def test_folds_of_single_images_differ_by_one_at_most_in_each_class_and_in_all(sizes, shuffle, folds):
    data = dataset(simple(*sizes))
    splits = [make_split(data, shuffle * folds + fold, plan=f"kfold:{folds}") for fold in range(folds)]
    for label in range(len(sizes)):
        counts = [per_class(data, split.test)[label] for split in splits]
        assert max(counts) - min(counts) <= 1
    totals = [len(split.test) for split in splits]
    assert max(totals) - min(totals) <= 1
    for split in splits:
        for label, size in enumerate(sizes):
            rest = size - per_class(data, split.test)[label]
            assert abs(per_class(data, split.val)[label] - 0.25 * rest) <= 0.75


@quick
@drawn(grouped(), seeds, plans, st.lists(st.floats(0.001, 1.0), min_size=2, max_size=4))
def test_fractions_are_nested_and_stratified_under_every_plan(data, seed, plan, fractions):
    full = make_split(data, seed, plan=plan)
    splits = [make_split(data, seed, fraction, plan) for fraction in sorted(fractions)]
    for smaller, larger in zip(splits, [*splits[1:], full], strict=True):
        assert set(smaller.train) <= set(larger.train)
    for split, fraction in zip(splits, sorted(fractions), strict=True):
        assert (split.val, split.test, split.test_fingerprint) == (full.val, full.test, full.test_fingerprint)
        for label, count in per_class(data, full.train).items():
            assert abs(per_class(data, split.train)[label] - fraction * count) <= 1


@quick
@drawn(grouped(), seeds, plans, st.randoms(use_true_random=False))
def test_names_and_order_play_no_part(data, seed, plan, random):
    order = list(range(len(data.images)))
    random.shuffle(order)
    table = data.images.iloc[order].reset_index(drop=True)
    table["path"] = [f"{random.random()}.jpg" for _ in order]
    other = type(data)(data.info, table, data.root)
    for fraction in (1.0, 0.3):
        a, b = make_split(data, seed, fraction, plan), make_split(other, seed, fraction, plan)
        assert (a.fingerprint, a.test_fingerprint) == (b.fingerprint, b.test_fingerprint)
        for part in PARTS:
            assert {data.images["sha256"][r] for r in getattr(a, part)} == {
                other.images["sha256"][r] for r in getattr(b, part)
            }


@pytest.mark.parametrize(("plan", "different"), [("fixed", 1), ("repeated", 12), ("kfold:3", 12)])
def test_the_plan_says_whether_the_test_part_depends_on_the_seed(plan, different):
    data = dataset(simple(30, 30))
    splits = [make_split(data, seed, plan=plan) for seed in range(12)]
    assert len({split.test for split in splits}) == len({split.test_fingerprint for split in splits}) == different
    assert len({split.fingerprint for split in splits}) == 12
    assert [split.fingerprint for split in splits] == [make_split(data, s, plan=plan).fingerprint for s in range(12)]


def test_repeated_draws_test_every_image_sooner_or_later_with_the_shares_of_the_fixed_plan():
    data = dataset(simple(50, 30))
    splits = [make_split(data, seed, plan="repeated") for seed in range(40)]
    assert {(len(s.train), len(s.val), len(s.test)) for s in splits} == {(48, 16, 16)}
    often = Counter(row for split in splits for row in split.test)
    assert len(often) == 80, "no image is kept out of the test part"
    assert max(often.values()) <= 20, "and none is preferred: 8 of 40 are expected"


def test_a_large_group_is_drawn_as_one_and_the_shares_stay_near():
    images = simple(40, 40) + [(0, f"burst/{i}", "") for i in range(20)]
    data = dataset(images, groups=[content if "burst" not in content else "burst" for _, content, _ in images])
    sizes = Counter()
    for seed in range(30):
        side = sides(data, make_split(data, seed, plan="repeated"))
        assert len({side[row] for row in range(80, 100)}) == 1
        sizes[side[80]] += 1
    assert sizes == {"train": 30}, "it never fits into a share of 12"
    tested = [make_split(data, seed, plan="kfold:3") for seed in range(3)]
    assert sorted(per_class(data, split.test)[0] for split in tested) == [20, 20, 20]


GIVEN = simple(9, 8, part="train") + simple(4, 4, part="test")


@pytest.mark.parametrize("plan", ["repeated", "kfold:3"])
def test_a_given_test_part_is_not_redrawn(plan):
    data = dataset(GIVEN, "train_test")
    for refused in (lambda: make_split(data, 0, plan=plan), lambda: check_splittable(data, plan)):
        with pytest.raises(SplitError, match=f"brings its own test images.*{plan} cannot.*use the split fixed, or add"):
            refused()


@pytest.mark.parametrize(
    ("sizes", "plan", "message"),
    [
        ((9, 5, 6), "kfold:7", "class 'class 1' has 5 different images, but the split kfold:7 needs at least 7"),
        ((9, 5, 6), "kfold:7", "use at most kfold:5, add images or leave the class out$"),
        ((9, 3), "kfold:2", "class 'class 1' has 3 different images, but .* kfold:2 needs at least 4, .*: use kfold:3"),
        ((9, 2), "kfold:2", "class 'class 1' has 2 different images, but needs at least 3"),
    ],
)
def test_more_folds_than_the_smallest_class_allows_name_it_and_the_remedy(sizes, plan, message):
    data = dataset(simple(*sizes))
    with pytest.raises(SplitError, match=message):
        make_split(data, 0, plan=plan)
    with pytest.raises(SplitError, match=message):
        check_splittable(data, plan)


def test_near_duplicates_count_as_one_and_the_refusal_says_so():
    images = simple(9) + [(1, f"burst/{i}", "") for i in range(30)] + [(1, f"other/{i}", "") for i in range(2)]
    assert make_split(dataset(images), 0, plan="kfold:4"), "as long as nobody knows that they are alike"
    data = dataset(images, groups=["burst" if "burst" in content else content for _, content, _ in images])
    assert make_split(data, 0), "three different images are enough for a fixed split"
    with pytest.raises(SplitError, match=r"has 3 different .* use at most kfold:3.*near duplicates count as one\)$"):
        make_split(data, 0, plan="kfold:4")


@quick
@drawn(grouped(), st.integers(2, 20))
def test_folds_either_leave_enough_of_each_class_or_are_refused(data, folds):
    try:
        check_splittable(data, f"kfold:{folds}")
    except SplitError as refused:
        assert f"kfold:{folds} needs at least" in str(refused)
        return
    for seed in range(folds):
        split = make_split(data, seed, plan=f"kfold:{folds}")
        for part in PARTS:
            assert set(per_class(data, getattr(split, part))) == set(data.images["label"])


@pytest.mark.parametrize("plan", ["", "kfold", "kfold:1", "kfold:x", "kfold:-3", "kfold:1000", "loo", "Fixed"])
def test_an_unknown_plan_is_one_clear_line(plan):
    data = dataset(simple(5, 5))
    for refused in (lambda: make_split(data, 0, plan=plan), lambda: split_note(data.info, plan)):
        with pytest.raises(SpecError, match=r"^unknown split .*: use fixed, repeated or kfold:K with K from 2 to 100"):
            refused()


def test_notes_say_whose_test_images_they_are():
    info = dataset(simple(5, 5)).info
    assert "the same for every run" in split_note(info)
    assert "Each seed draws its own parts" in split_note(info, "repeated")
    assert "seeds 0 to 4 test every image once, pictures under several classes aside" in split_note(info, "kfold:5")
    assert "pictures under several classes aside" in split_plan("kfold:5").words
    assert "test is kept" in split_note(dataset(GIVEN, "train_test").info)


def test_leaks_of_given_parts_are_listed_and_the_parts_used_as_they_are():
    images = [
        *GIVEN,
        (0, "copy", "train"), (1, "copy", "test"),  # identical, under two labels
        (0, "near a", "train"), (0, "near b", "test"), (0, "near c", "train"),
        (1, "inside a", "test"), (1, "inside b", "test"),  # near duplicates in one part are no leak
    ]  # fmt: skip
    data = dataset(images, "train_test", [c if "near" not in c else "near" for _, c, _ in images])
    keys = dict(zip(data.images["path"], data.images["group"], strict=True))
    copy, near = leaks_between_parts(data)
    assert (copy.parts, copy.paths, copy.exact) == (("train", "test"), ("25.png", "26.png"), True)
    assert (near.parts, near.paths, near.exact) == (("train", "test"), ("27.png", "29.png", "28.png"), False)
    assert (copy.group, near.group) == (keys["25.png"], keys["28.png"])
    split = make_split(data, 0)
    assert set(split.test) == {row for row, (_, _, part) in enumerate(images) if part == "test"}
    old = dataset(images, "train_test")
    assert [leak.paths for leak in leaks_between_parts(old)] == [("25.png", "26.png")], "without groups: copies alone"
    assert leaks_between_parts(dataset(simple(5, 5))) == []


def test_validation_drawn_from_a_given_training_part_tears_no_group():
    images = [(label, f"{label}/{i}", "train") for label in (0, 1) for i in range(30)] + simple(4, 4, part="test")
    groups = [f"{c.rpartition('/')[0]}/{int(c.rpartition('/')[2]) // 3}/{part}" for _, c, part in images]
    data = dataset(images, "train_test", groups)
    for seed in range(10):
        side = sides(data, make_split(data, seed))
        assert Counter(side.values()) == {"train": 48, "val": 12, "test": 8}
        for _, rows in data.images.groupby("group").groups.items():
            assert len({side[row] for row in rows}) == 1

"""The order of images."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tlcore.training.images.stream import balanced_positions, batch_positions, epoch_order, start_seed, step_seed


@given(seed=st.integers(0, 2**31 - 1), number=st.integers(1, 40), batch=st.integers(1, 100), steps=st.integers(1, 12))
def test_batches_are_full_and_cut_from_whole_permutations(seed, number, batch, steps):
    batches = [batch_positions(seed, step, batch, number) for step in range(steps)]
    assert all(len(b) == batch for b in batches)
    flat = np.concatenate(batches)
    for begin in range(0, len(flat) - number + 1, number):
        assert sorted(flat[begin : begin + number]) == list(range(number))


def test_order_follows_from_seed_and_epoch_alone():
    first = batch_positions(3, 5, 4, 10).tolist()
    batch_positions(4, 0, 4, 10)
    assert batch_positions(3, 5, 4, 10).tolist() == first
    assert epoch_order(3, 0, 50).tolist() != epoch_order(3, 1, 50).tolist()
    assert epoch_order(3, 0, 50).tolist() != epoch_order(4, 0, 50).tolist()


def test_every_step_and_seed_has_generators_of_its_own():
    seeds = [step_seed(s, n) for s in range(20) for n in range(20)] + [start_seed(s) for s in range(20)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= s < 2**63 for s in seeds)


@given(seed=st.integers(0, 1000), batch=st.integers(1, 30), sizes=st.lists(st.integers(1, 12), min_size=1, max_size=5))
def test_balanced_batches_draw_classes_equally_and_each_image_in_turn(seed, batch, sizes):
    ends = np.cumsum(sizes)
    members = tuple(np.arange(end - size, end) for size, end in zip(sizes, ends, strict=True))
    flat = np.concatenate([balanced_positions(seed, step, batch, members) for step in range(12)])
    assert len(flat) == 12 * batch
    classes = np.searchsorted(ends, flat, side="right")
    counts = np.bincount(classes, minlength=len(sizes))
    assert counts.max() - counts.min() <= 1
    for number, mine in enumerate(members):
        drawn = flat[classes == number]
        for begin in range(0, len(drawn) - len(mine) + 1, len(mine)):
            assert sorted(drawn[begin : begin + len(mine)]) == mine.tolist()


def test_the_order_within_a_class_follows_from_the_seed():
    """With a single class nothing else is drawn."""
    alone = (np.arange(30),)
    first, other, later = (
        balanced_positions(seed, step, 30, alone).tolist() for seed, step in ((1, 0), (2, 0), (1, 1))
    )
    assert sorted(first) == sorted(other) == sorted(later) == list(range(30))
    assert first not in (other, later)


def test_balanced_batches_follow_from_seed_and_step_alone():
    members = (np.arange(3), np.arange(3, 20))
    first = balanced_positions(1, 7, 8, members).tolist()
    balanced_positions(2, 3, 5, members)
    assert balanced_positions(1, 7, 8, members).tolist() == first
    assert balanced_positions(2, 7, 8, members).tolist() != first

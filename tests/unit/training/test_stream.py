"""The order of images."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tlcore.training.stream import batch_positions, epoch_order, start_seed, step_seed


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

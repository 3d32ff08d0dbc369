"""Means, ratios and waiting times over seeds, against scipy, statsmodels and numbers worked out by hand."""

import numpy as np
import pytest
from scipy import stats

from tlcore.analysis.statistics.over_seeds import median_wait, ratio_of_means, seed_mean


@pytest.mark.parametrize("count", [2, 3, 10])
def test_a_mean_over_seeds_is_scipys_t_test(count):
    values = np.random.default_rng(count).normal(0.1, 0.2, count)
    found, oracle = seed_mean(list(values)), stats.ttest_1samp(values, 0)
    assert found.p == pytest.approx(oracle.pvalue)
    assert found.interval == pytest.approx(tuple(oracle.confidence_interval(0.95)))
    assert found.differs == (oracle.pvalue < 0.05)


def test_seeds_that_overlap_have_a_wider_interval():
    values, ratio = [0.02, 0.05, -0.01, 0.04], 0.25
    found = seed_mean(values, ratio=ratio)
    error = np.std(values, ddof=1) * np.sqrt(1 / 4 + ratio)
    assert found.p == pytest.approx(2 * stats.t.sf(np.mean(values) / error, 3))
    assert found.interval == pytest.approx(stats.t.interval(0.95, 3, np.mean(values), error))
    assert (
        ratio_of_means([0.21, 0.30, 0.10], [0.3, 0.35, 0.28]).interval[1]
        < (ratio_of_means([0.21, 0.30, 0.10], [0.3, 0.35, 0.28], 0.25).interval[1])
    )


@pytest.mark.parametrize("seeds", [3, 6, 10])
def test_equal_strategies_are_hardly_told_apart_on_redrawn_validation_images(seeds):
    """Simulated: 244 images, of which 50 are drawn by each seed; the two differ on single images, not over all such."""
    draw, claimed = np.random.default_rng(seeds), {0.0: 0, 50 / 194: 0}
    for _ in range(1000):
        images = draw.normal(0, 0.5, 244)
        of_seeds = [draw.permutation(244)[:50] for _ in range(seeds)]
        gains = [float(np.mean(images[mine] + draw.normal(0, 0.5, 50))) for mine in of_seeds]
        for ratio in claimed:
            claimed[ratio] += seed_mean(gains, ratio=ratio).differs
    assert claimed[50 / 194] <= 65
    assert claimed[0.0] > claimed[50 / 194]


def test_one_seed_or_equal_seeds_promise_nothing():
    for values in ([0.3], [0.3, 0.3, 0.3]):
        found = seed_mean(values)
        assert (found.mean, found.interval, found.p, found.differs) == (pytest.approx(0.3), None, None, False)


def test_fiellers_interval_holds_the_ratios_that_a_t_test_does_not_refuse():
    """Its definition: all ρ for which the mean of above − ρ·below is not significantly different from 0."""
    below = np.array([0.30, 0.35, 0.28, 0.41])
    above = np.array([0.21, 0.30, 0.10, 0.33])
    found = ratio_of_means(list(above), list(below))
    assert found.mean == pytest.approx(above.mean() / below.mean())
    for end in found.interval:
        assert stats.ttest_1samp(above - end * below, 0).pvalue == pytest.approx(0.05)
    assert found.interval[0] < found.mean < found.interval[1]


def test_a_ratio_over_what_may_be_nothing_is_not_defined():
    assert ratio_of_means([0.3], [0.0]) is None
    assert ratio_of_means([0.3, 0.3], [-0.1, -0.2]) is None
    assert ratio_of_means([0.3, 0.3, 0.3], [0.01, 0.2, -0.05]) is None, "its interval reaches 0"
    assert ratio_of_means([0.3], [0.1]).mean == pytest.approx(3.0)
    assert ratio_of_means([0.3], [0.1]).interval is None
    assert ratio_of_means([0.3, 0.3], [0.1, 0.1]).interval is None, "no spread, no interval"


def test_the_median_of_censored_waits_is_worked_out_by_hand():
    assert median_wait([3, 1, 2], [True, True, True]) == 2
    assert median_wait([1, 5, 9, 9], [True, False, False, True]) == 9, "3/4, then 3/4 · 1/2 = 3/8 at 9"
    assert median_wait([1, 9, 9], [True, False, False]) is None, "2/3 still wait"
    assert median_wait([2, 2], [True, False]) == 2, "just half"
    assert median_wait([9.0], [False]) is None
    assert median_wait([1.0, np.inf, np.inf], [True, False, False]) is None


def test_the_median_of_censored_waits_is_scipys():
    draw = np.random.default_rng(0)
    for _ in range(20):
        times, done = draw.integers(1, 12, 9).astype(float), draw.random(9) < 0.6
        if not done.any():
            continue
        curve = stats.ecdf(stats.CensoredData(uncensored=times[done], right=times[~done])).sf
        below = curve.quantiles[curve.probabilities <= 0.5 + 1e-9]
        events = [t for t in below if t in times[done]]
        assert median_wait(list(times), list(done)) == (min(events) if events else None)

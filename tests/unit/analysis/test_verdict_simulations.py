"""What the verdict promises, checked by simulation: error rates, coverage, power, and looking again and again."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from tlcore.analysis.statistics.intervals import accuracy_estimate, difference_estimate, paired_estimate
from tlcore.analysis.statistics.multiplicity import LATER_LOOKS, LEVEL, holm, level_of_look
from tlcore.analysis.statistics.planning import (
    POWER,
    images_needed,
    resampled_seeds_needed,
    seeds_needed,
    spread_of,
)
from tlcore.analysis.statistics.pooling import estimates_among, pooled_estimates

SEED_SD, IMAGE_SD, TASTE_SD = 0.3, 1.5, 0.7  # on the logit scale; taste: images that suit one strategy more


def answers(rng, seeds, images, gap=0.0, seed_sd=SEED_SD):
    """Correctness [2, S, N] of two strategies: hard and easy images, good and bad seeds, and chance in each cell."""
    ease = IMAGE_SD * rng.normal(size=images)
    found = []
    for level in (1.5 + gap, 1.5):
        logits = level + ease + TASTE_SD * rng.normal(size=images) + seed_sd * rng.normal(size=(seeds, 1))
        found.append(rng.random((seeds, images)) < 1 / (1 + np.exp(-logits)))
    return np.stack(found)


def true_gap(gap, seed_sd=SEED_SD):
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    spread = np.sqrt(IMAGE_SD**2 + TASTE_SD**2 + seed_sd**2)
    good, bad = (float((weights / (1 + np.exp(-(m + spread * nodes)))).sum() / weights.sum()) for m in (1.5 + gap, 1.5))
    return good - bad


def estimates(repeats, seeds, images, **effects):
    rng = np.random.default_rng(11)
    return [difference_estimate(*answers(rng, seeds, images, **effects)) for _ in range(repeats)]


@pytest.mark.parametrize("seeds", [3, 6, 10])
@pytest.mark.parametrize("images", [150, 1000])
def test_a_strategy_against_itself_differs_in_three_to_seven_of_a_hundred(seeds, images):
    found = estimates(1000, seeds, images)
    assert 0.03 <= np.mean([e.p_value < 0.05 for e in found]) <= 0.075
    assert all((e.p_value < 0.05) == (e.interval[0] > 0 or e.interval[1] < 0) for e in found)


@pytest.mark.parametrize("seeds", [3, 6, 10])
@pytest.mark.parametrize("images", [150, 1000])
def test_intervals_of_a_difference_cover_the_truth(seeds, images):
    truth = true_gap(0.4)
    inside = [e.interval[0] <= truth <= e.interval[1] for e in estimates(1000, seeds, images, gap=0.4)]
    assert 0.915 <= np.mean(inside) <= 0.985  # 0.93 to 0.97, and what chance allows in 1,000


def covered(seeds, images, seed_sd, repeats=2000):
    """How often the interval of a mean accuracy holds the truth."""
    rng = np.random.default_rng(21)
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    truth = (weights / (1 + np.exp(-(1.5 + np.hypot(IMAGE_SD, seed_sd) * nodes)))).sum() / weights.sum()
    hits = 0
    for _ in range(0, repeats, 100):
        logits = 1.5 + seed_sd * rng.standard_normal((100, seeds, 1), dtype=np.float32)
        logits = logits + IMAGE_SD * rng.standard_normal((100, 1, images), dtype=np.float32)
        right = rng.random((100, seeds, images), dtype=np.float32) < 1 / (1 + np.exp(-logits))
        ends = np.array([accuracy_estimate(answers).interval for answers in right])
        hits += int(((ends[:, 0] <= truth) & (truth <= ends[:, 1])).sum())
    return hits / repeats


@pytest.mark.parametrize("seeds", [3, 6, 10])
@pytest.mark.parametrize("images", [150, 1000])
@pytest.mark.parametrize("seed_sd", [SEED_SD, 0.6])
def test_intervals_of_a_mean_accuracy_cover_the_truth(seeds, images, seed_sd):
    """In 93 to 97 %, the mean over seeds and images, where seeds vary by 4 and by 8 points (standard deviation).

    At one seed another claim is made: see below.
    """
    assert 0.93 <= covered(seeds, images, seed_sd) <= 0.97


@pytest.mark.parametrize("seed_sd", [0.0, 0.1])
def test_intervals_of_a_mean_accuracy_are_careful_where_seeds_hardly_vary(seed_sd):
    assert 0.95 <= covered(3, 150, seed_sd) <= 0.98
    assert 0.94 <= covered(10, 150, seed_sd) <= 0.97


@pytest.mark.parametrize("images", [150, 1000])
def test_at_one_seed_the_interval_of_an_accuracy_speaks_of_one_network_on_such_images(images):
    """It covers the accuracy of a network whose seed is given, and not the mean over seeds."""
    assert 0.93 <= covered(1, images, seed_sd=0.0) <= 0.97
    assert covered(1, images, seed_sd=0.3) < 0.85


def test_one_seed_speaks_of_its_two_networks_and_not_of_the_strategies():
    networks = estimates(1000, 1, 400, seed_sd=0.0)
    assert np.mean([e.p_value < 0.05 for e in networks]) <= 0.07
    strategies = estimates(1000, 1, 400, seed_sd=0.5)
    assert np.mean([e.p_value < 0.05 for e in strategies]) > 0.3, "why the words at one seed are other words"


def test_a_difference_is_found_where_there_is_one():
    assert 0.05 < true_gap(0.5) < 0.07
    assert np.mean([e.p_value < 0.05 for e in estimates(300, 6, 1000, gap=0.5, seed_sd=0.15)]) > 0.9
    assert np.mean([e.p_value < 0.05 for e in estimates(300, 3, 150, gap=0.5)]) < 0.5, "too little to show it surely"


def test_the_seeds_that_are_said_to_be_needed_give_the_power_that_is_promised():
    """From components that are known well: those of many seeds."""
    rng = np.random.default_rng(5)
    first, second = answers(rng, 300, 4000, gap=0.3).astype(int)
    spread = spread_of(list(first - second))
    truth = true_gap(0.3)
    needed = seeds_needed(spread, 1000, truth, 0.05)
    assert 3 < needed < 60
    assert POWER - 0.1 <= np.mean([e.p_value < 0.05 for e in estimates(400, needed, 1000, gap=0.3)]) <= POWER + 0.1
    images = images_needed(spread, 20, truth, 0.05)
    assert POWER - 0.1 <= np.mean([e.p_value < 0.05 for e in estimates(400, 20, images, gap=0.3)]) <= POWER + 0.1


def test_what_is_needed_grows_as_the_difference_shrinks_and_may_be_out_of_reach():
    rng = np.random.default_rng(6)
    first, second = answers(rng, 6, 150, seed_sd=0.05).astype(int)
    spread = spread_of(list(first - second))
    assert images_needed(spread, 6, 0.1, 0.05) < images_needed(spread, 6, 0.05, 0.05)
    assert images_needed(spread, 6, 0.1, 0.05) < images_needed(spread, 6, 0.1, 0.005)
    assert seeds_needed(spread, 150, 1e-4, 0.05) is None, "150 images cannot show so little, whatever the seeds"
    assert seeds_needed(spread_of([first[0] - second[0]]), 150, 0.05, 0.05) is None, "one seed does not know"
    values = rng.normal(0.02, 0.01, size=5)
    some, more = (resampled_seeds_needed(values, ratio, 0.02, 0.05) for ratio in (0.1, 0.25))
    assert 2 <= some <= more
    assert resampled_seeds_needed(values[:1], 0.25, 0.02, 0.05) is None


def test_the_images_needed_at_one_seed_are_those_of_a_t_test():
    difference = np.repeat([1, -1, 0], [14, 6, 180])
    needed = images_needed(spread_of([difference]), 1, 0.02, 0.05)
    deviation = difference.std(ddof=1) / 0.02

    def power(number):
        centre, critical = np.sqrt(number) / deviation, stats.t.ppf(0.975, number - 1)
        return stats.nct.sf(critical, number - 1, centre) + stats.nct.cdf(-critical, number - 1, centre)

    assert power(needed) == pytest.approx(POWER, abs=0.01)


@pytest.mark.parametrize("values", [[0.01], [0.04, 0.01, 0.03, 0.005], [0.5, 0.5, 0.001], [0.9, 0.8]])
def test_holm_agrees_with_statsmodels(values):
    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1])
    assert holm([]) == []


def test_all_later_looks_together_add_one_in_a_hundred():
    assert level_of_look(1) == LEVEL
    assert sum(level_of_look(look) for look in range(2, 10_000)) == pytest.approx(LATER_LOOKS, rel=1e-3)


def test_adding_seeds_until_something_shows_keeps_the_error_rate():
    """Two equal strategies; three more seeds after each look that shows nothing, five looks."""
    rng = np.random.default_rng(8)
    claims, naive = 0, 0
    for _ in range(800):
        first, second = answers(rng, 15, 150)
        p_values = [difference_estimate(first[:s], second[:s]).p_value for s in (3, 6, 9, 12, 15)]
        claims += any(p < level_of_look(look) for look, p in enumerate(p_values, start=1))
        naive += any(p < LEVEL for p in p_values)
    assert claims / 800 <= 0.075
    assert naive / 800 > 0.09


def any_claim(seeds, images, pooled, repeats=300, strategies=5):
    """How often five equal strategies bring any claim, after Holm over all pairs."""
    rng, claims = np.random.default_rng(3), 0
    for _ in range(repeats):
        ease = IMAGE_SD * rng.normal(size=images)
        taste = TASTE_SD * rng.normal(size=(strategies, 1, images))
        logits = 1.5 + ease + taste + SEED_SD * rng.normal(size=(strategies, seeds, 1))
        right = (rng.random((strategies, seeds, images)) < 1 / (1 + np.exp(-logits))).astype(np.int8)
        pairs = list(combinations(range(strategies), 2))
        apart = [right[first] - right[second] for first, second in pairs]
        found = estimates_among(apart, pairs) if pooled else [paired_estimate(difference) for difference in apart]
        claims += min(holm([estimate.p_value for estimate in found])) < 0.05
    return claims / repeats


@pytest.mark.parametrize(("seeds", "images"), [(2, 150), (3, 150), (3, 600), (6, 150)])
def test_five_equal_strategies_bring_a_claim_in_at_most_seven_of_a_hundred(seeds, images):
    assert any_claim(seeds, images, pooled=True) <= 0.07


def test_two_noisy_starts_cost_the_others_no_certainty():
    rng, ease = np.random.default_rng(5), IMAGE_SD * np.random.default_rng(6).normal(size=400)
    right = [
        (rng.random((6, 400)) < 1 / (1 + np.exp(-(1.5 + ease + seed_sd * rng.normal(size=(6, 1)))))).astype(np.int8)
        for seed_sd in (0.1, 0.1, 0.1, 2.5, 1.5)
    ]

    def width(members):
        pairs = list(combinations(range(members), 2))
        low, high = estimates_among([right[a] - right[b] for a, b in pairs], pairs)[0].interval
        return high - low

    assert width(5) < 1.2 * width(3), "of the first two, which hardly vary"


def test_few_seeds_of_each_pair_alone_would_claim_far_too_often():
    assert any_claim(2, 150, pooled=False) > 0.15


def test_pooling_widens_what_agrees_by_luck_and_leaves_one_seed_alone():
    rng = np.random.default_rng(4)
    first, second, third = answers(rng, 3, 200, seed_sd=0.8).astype(int)[0], *answers(rng, 3, 200).astype(int)
    still = np.tile((first - second)[0], (3, 1))
    alone, beside = paired_estimate(still), pooled_estimates([still, first - third], 2)[0]
    assert beside.interval[1] - beside.interval[0] > alone.interval[1] - alone.interval[0]
    one = (first - second)[:1]
    assert pooled_estimates([one, first - third], 2)[0] == paired_estimate(one)

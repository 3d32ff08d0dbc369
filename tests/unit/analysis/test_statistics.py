"""Intervals against ANOVA and proportions from statsmodels, and against simulations with a known truth."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from tlcore.analysis.statistics.intervals import (
    Components,
    accuracy_estimate,
    components,
    correct_matrix,
    difference_estimate,
    mcnemar_exact,
    rights_of,
    seed_means_estimate,
    variance_of_mean,
    wilson_interval,
)
from tlcore.errors import ComparisonError


def simulated(rng, seeds, images, *, mean=1.5, seed_sd=0.3, image_sd=1.5):
    """Correctness [S, N]: hard and easy images, good and bad seeds, and chance in each cell (logistic)."""
    level = mean + seed_sd * rng.normal(size=(seeds, 1)) + image_sd * rng.normal(size=(1, images))
    return rng.random((seeds, images)) < 1 / (1 + np.exp(-level))


def true_accuracy(mean=1.5, seed_sd=0.3, image_sd=1.5):
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    level = mean + np.hypot(seed_sd, image_sd) * nodes
    return float((weights / (1 + np.exp(-level))).sum() / weights.sum())


def coverage(seeds, images, interval_of, repeats=600, **effects):
    rng = np.random.default_rng(7)
    truth = true_accuracy(**effects)
    hits = 0
    for _ in range(repeats):
        low, high = interval_of(simulated(rng, seeds, images, **effects))
        hits += low <= truth <= high
    return hits / repeats


def test_components_are_the_mean_squares_of_a_two_way_anova():
    correct = simulated(np.random.default_rng(0), 4, 30)
    seed, image = np.indices(correct.shape)
    frame = pd.DataFrame({"y": correct.ravel().astype(float), "seed": seed.ravel(), "image": image.ravel()})
    table = sm.stats.anova_lm(smf.ols("y ~ C(seed) + C(image)", frame).fit())
    squares = (table["sum_sq"] / table["df"]) / correct.size
    found = components(correct)
    assert found.seed == pytest.approx(squares["C(seed)"])
    assert found.image == pytest.approx(squares["C(image)"])
    assert found.residual == pytest.approx(squares["Residual"])


@pytest.mark.parametrize(
    ("parts", "variance", "freedom"),
    [
        (Components(0.4, 0.1, 0.05), 0.45, 0.45**2 / (0.16 / 2 + 0.01 / 9 + 0.0025 / 18)),
        (Components(0.4, 0.1, 0.2), 0.4, 2),
        (Components(0.1, 0.4, 0.2), 0.4, 9),
    ],
)
def test_variance_never_falls_below_seeds_or_images_alone(parts, variance, freedom):
    assert variance_of_mean(parts, seeds=3, images=10) == pytest.approx((variance, freedom))


@pytest.mark.parametrize(("seeds", "images"), [(3, 150), (6, 150), (10, 150), (3, 1000)])
def test_interval_over_seeds_and_images_covers_the_truth(seeds, images):
    assert 0.92 <= coverage(seeds, images, lambda c: accuracy_estimate(c).interval) <= 0.985


def test_images_alone_would_not_cover_the_truth_when_seeds_vary():
    def images_only(correct):
        return wilson_interval(round(correct[0].mean() * 150), 150)

    assert coverage(6, 150, images_only, seed_sd=0.5) < 0.8
    assert coverage(6, 150, lambda c: accuracy_estimate(c).interval, seed_sd=0.5) > 0.92


def test_paired_interval_of_a_strategy_with_itself_holds_zero():
    rng = np.random.default_rng(3)
    misses = 0
    for _ in range(400):
        ease = 1.5 * rng.normal(size=(1, 150))
        first, second = (
            rng.random((3, 150)) < 1 / (1 + np.exp(-(1.5 + ease + 0.2 * rng.normal(size=(3, 1))))) for _ in "ab"
        )
        low, high = difference_estimate(first, second).interval
        misses += not low <= 0 <= high
    assert misses / 400 <= 0.08


def test_paired_interval_sees_a_real_difference():
    rng = np.random.default_rng(4)
    good, bad = rng.random((3, 300)) < 0.95, rng.random((3, 300)) < 0.75
    found = difference_estimate(good, bad)
    assert found.mean == pytest.approx(good.mean() - bad.mean())
    assert found.interval[0] > 0.1
    assert found.basis == "seeds and images"


@pytest.mark.parametrize(("count", "total"), [(0, 12), (12, 12), (140, 153), (1, 2)])
def test_wilson_agrees_with_statsmodels(count, total):
    assert wilson_interval(count, total) == pytest.approx(proportion_confint(count, total, method="wilson"))


def test_one_seed_covers_images_only():
    correct = np.arange(153)[None, :] < 144
    found = accuracy_estimate(correct)
    assert found.basis == "images"
    assert found.interval == pytest.approx(proportion_confint(144, 153, method="wilson"))


def test_all_right_in_all_seeds_is_no_certainty():
    found = accuracy_estimate(np.ones((3, 50), dtype=bool))
    assert found.mean == 1
    assert found.interval[0] < 0.95
    assert found.interval[1] == 1


def test_a_gap_of_three_images_in_153_is_not_distinguishable():
    first, second = np.ones((1, 153), dtype=bool), np.ones((1, 153), dtype=bool)
    first[0, :9] = False
    second[0, :12] = False
    found = difference_estimate(first, second)
    assert found.mean == pytest.approx(3 / 153)
    assert found.interval[0] < 0 < found.interval[1]


def test_the_same_predictions_leave_room_for_a_difference():
    same = np.arange(100)[None, :] < 90
    low, high = difference_estimate(same, same).interval
    assert low < 0 < high
    assert high < 0.05


@pytest.mark.parametrize("level", [0.05, 0.005, 0.0005])
def test_a_difference_at_another_confidence_is_that_of_its_t_or_of_the_normal_distribution(level):
    rng = np.random.default_rng(9)
    first, second = (simulated(rng, 3, 90, mean=mean) for mean in (1.6, 1.4))
    found = difference_estimate(first, second)
    variance, freedom = variance_of_mean(components(first.astype(int) - second.astype(int)), 3, 90)
    assert found.difference_at(level) == pytest.approx(stats.t.interval(1 - level, freedom, found.mean, variance**0.5))
    assert (found.p_value < level) == (not found.difference_at(level)[0] <= 0 <= found.difference_at(level)[1])
    one = difference_estimate(first[:1], second[:1])
    centre, half = np.mean(one.interval), np.ptp(one.interval) / 2
    wanted = half * stats.norm.ppf(1 - level / 2) / stats.norm.ppf(0.975)
    assert one.difference_at(level) == pytest.approx((centre - wanted, centre + wanted))


def test_seed_means_follow_the_t_distribution():
    values = [0.9, 0.93, 0.95]
    found = seed_means_estimate(values)
    assert found.interval == pytest.approx(stats.t.interval(0.95, 2, np.mean(values), stats.sem(values)))
    assert seed_means_estimate([0.9]).interval is None


def test_intervals_stay_in_range():
    correct = np.ones((2, 40), dtype=bool)
    correct[0, :6] = False
    low, high = accuracy_estimate(correct).interval
    assert 0 <= low < high == 1


def test_rows_are_matched_by_image_whatever_their_order():
    first = pd.DataFrame({"split": "test", "path": ["a", "b", "c"], "label": [0, 1, 1], "predicted": [0, 0, 1]})
    extra = pd.DataFrame({"split": ["val"], "path": ["v"], "label": [0], "predicted": [1]})
    frames = [first, pd.concat([first.iloc[::-1], extra])]
    assert correct_matrix(rights_of(frames)).tolist() == [[True, False, True]] * 2


def test_other_images_are_refused():
    first = pd.DataFrame({"split": "test", "path": ["a", "b"], "label": [0, 1], "predicted": [0, 0]})
    with pytest.raises(ComparisonError, match="same images"):
        correct_matrix(rights_of([first, first.assign(path=["a", "c"])]))
    with pytest.raises(ComparisonError, match="not paired"):
        difference_estimate(np.ones((3, 10)), np.ones((2, 10)))


def test_seeds_that_balance_each_other_are_no_certainty():
    correct = np.tile([[1, 0], [0, 1]], 50)
    low, high = accuracy_estimate(correct).interval
    assert low < 0.45
    assert high > 0.55


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (3, 0), (9, 2), (12, 12), (40, 22)])
def test_mcnemar_agrees_with_statsmodels(better, worse):
    difference = np.repeat([1, -1, 0], [better, worse, 30])
    table = [[30, better], [worse, 0]]
    assert mcnemar_exact(difference) == pytest.approx(mcnemar(table, exact=True).pvalue)
    if better + worse:
        assert mcnemar_exact(difference) == pytest.approx(stats.binomtest(better, better + worse).pvalue)


def test_one_seed_is_tested_by_mcnemar_and_several_by_the_t_of_their_interval():
    rng = np.random.default_rng(3)
    first, second = simulated(rng, 3, 90, mean=2.0), simulated(rng, 3, 90, mean=1.2)
    one = difference_estimate(first[:1], second[:1])
    assert one.p_value == mcnemar_exact(first[0].astype(int) - second[0].astype(int))
    several = difference_estimate(first, second)
    low, high = several.interval
    parts = components(first.astype(int) - second.astype(int))
    variance, freedom = variance_of_mean(parts, 3, 90)
    assert several.p_value == pytest.approx(2 * stats.t.sf(abs(several.mean) / variance**0.5, freedom))
    assert (several.p_value < 0.05) == (low > 0 or high < 0)

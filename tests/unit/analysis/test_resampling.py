"""Intervals over seeds with test images of their own, against simulations of a real classifier on drawn data.

Every repeat draws new data; the parts are those that `make_split` draws for its seeds. The classifier goes by the
nearest class mean, on some of the features only where networks are to differ by their start. Its true accuracy is known
from the normal distribution, so the truth of each setting is that of the networks trained in it, on average.
"""

from functools import cache

import numpy as np
import pytest
from scipy import stats

from tests.unit.datasets.test_splits import dataset, simple
from tlcore.analysis.statistics.resampling import OWN_IMAGES, resampled_difference, resampled_estimate, resampling_ratio
from tlcore.datasets.splits import make_split
from tlcore.errors import ComparisonError
from tlcore.spec import split_plan

REPEATS = 400
FEATURES = 10
POOL = 60  # seeds whose splits are drawn once


@cache
def splits(num_images, plan, fraction=1.0):
    data = dataset(simple(num_images // 2, num_images // 2))
    drawn = (make_split(data, seed, fraction, plan) for seed in range(POOL))
    return [(np.array(split.train), np.array(split.test)) for split in drawn]


def data(rng, num_images, gap):
    """Points of two classes, whose means differ in the first of two sets of features as much as in the second."""
    labels = np.arange(num_images) // (num_images // 2)
    points = rng.normal(size=(num_images, 2, FEATURES))
    points[:, :, 0] += gap * (labels[:, None] - 0.5)
    return points, labels


def trained(points, labels, rows, used):
    """Weights and offset of the classifier by the nearest class mean, on the features used."""
    low, high = (points[rows[labels[rows] == label]].mean(axis=0) for label in (0, 1))
    weights = (high - low) * used
    return weights, -weights @ (low + high) / 2


def true_accuracy(weights, offset, gap):
    size = np.linalg.norm(weights)
    if size == 0:
        return 0.5
    ends = np.array([weights[0] * gap / 2 + offset, weights[0] * gap / 2 - offset]) / size
    return float(stats.norm.cdf(ends).mean())


def chosen(rng, plan, seeds):
    """Seeds of a comparison: whole rounds from a random shuffle on, or any of the pool."""
    folds = split_plan(plan).folds
    if not folds:
        return rng.choice(POOL, seeds, replace=False)
    start = folds * rng.integers((POOL - seeds) // folds + 1)
    return range(start, start + seeds)


@cache
def simulated(plan, seeds, num_images=100, gap=2.0, keep=1.0, fraction=1.0, repeats=REPEATS):
    """Per repeat and seed whether each of two equally good strategies was right, and the true accuracy of the first."""
    rng = np.random.default_rng(5)
    found, truths = [], []
    for _ in range(repeats):
        points, labels = data(rng, num_images, gap)
        pairs = []
        for seed in chosen(rng, plan, seeds):
            train, test = splits(num_images, plan, fraction)[seed]
            right = []
            for strategy in (0, 1):
                used = rng.random(FEATURES) < keep
                weights, offset = trained(points[:, strategy], labels, train, used)
                right.append((points[test, strategy] @ weights + offset > 0) == labels[test])
                if strategy == 0:
                    truths.append(true_accuracy(weights, offset, gap))
            pairs.append(np.stack(right))
        found.append(pairs)
    return found, float(np.mean(truths))


def ratio(plan, num_images=100):
    return resampling_ratio(split_plan(plan), num_images, 0.2 * num_images)


def covered(intervals, truth):
    return float(np.mean([low <= truth <= high for low, high in intervals]))


# Bounds are the measured coverage of 2,000 repeats (see `resampling`), give or take what 400 may be off.
SETTINGS = [
    ({"plan": "repeated", "seeds": 5}, (0.93, 0.98)),
    ({"plan": "repeated", "seeds": 10}, (0.93, 0.98)),
    ({"plan": "repeated", "seeds": 5, "keep": 0.7}, (0.9, 0.97)),
    ({"plan": "repeated", "seeds": 10, "fraction": 0.2}, (0.94, 0.99)),
    ({"plan": "kfold:5", "seeds": 5}, (0.95, 0.995)),
    ({"plan": "kfold:3", "seeds": 3}, (0.95, 0.995)),
]


@pytest.mark.parametrize(("setting", "bounds"), SETTINGS, ids=str)
def test_intervals_cover_the_truth(setting, bounds):
    found, truth = simulated(**setting)
    share = ratio(setting["plan"])
    means = [
        resampled_estimate([pair[0].mean() for pair in pairs], pairs[0].shape[1], share).interval for pairs in found
    ]
    assert bounds[0] <= covered(means, truth) <= bounds[1]
    differences = [resampled_difference(pairs, share).interval for pairs in found]
    assert covered(differences, 0.0) >= 0.93, "the two strategies are equally good"


def test_seeds_as_if_independent_would_not_cover_the_truth():
    found, truth = simulated(**SETTINGS[1][0])
    accuracies = [[pair[0].mean() for pair in pairs] for pairs in found]
    uncorrected = [stats.t.interval(0.95, 9, np.mean(a), stats.sem(a)) for a in accuracies if np.ptp(a)]
    assert covered(uncorrected, truth) < 0.82


def test_a_fraction_is_no_reason_to_count_fewer_images():
    """Counting only the images that were trained on gives intervals that hardly ever miss: needlessly wide ones."""
    found, truth = simulated(**SETTINGS[3][0])
    accuracies = [[pair[0].mean() for pair in pairs] for pairs in found]
    assert covered([resampled_estimate(a, 20, 20 / 12).interval for a in accuracies], truth) > 0.99


def test_a_real_difference_is_seen():
    found, _ = simulated("repeated", 10, gap=4.0)
    weaker, _ = simulated("repeated", 10, gap=1.0)
    seen = [
        resampled_difference([np.stack([a[0], b[0]]) for a, b in zip(good, bad, strict=True)], 0.25).interval[0] > 0
        for good, bad in zip(found[:50], weaker[:50], strict=True)
    ]
    assert np.mean(seen) > 0.9


@pytest.mark.parametrize(("plan", "expected"), [("repeated", 0.25), ("kfold:5", 0.25), ("kfold:2", 1.0)])
def test_the_share_of_tested_images(plan, expected):
    assert resampling_ratio(split_plan(plan), 500, 100) == pytest.approx(expected)


def test_the_formula():
    accuracies = [0.8, 0.9, 0.85]
    found = resampled_estimate(accuracies, 20, 0.25)
    half = stats.t.ppf(0.975, 2) * np.sqrt((1 / 3 + 0.25) * np.var(accuracies, ddof=1))
    assert found.mean == pytest.approx(0.85)
    assert found.interval == pytest.approx((0.85 - half, min(1, 0.85 + half)))
    assert found.basis == OWN_IMAGES
    pairs = [np.array([[1, 1, 1, 0], [1, 0, 0, 0]]), np.array([[1, 1, 1, 1], [1, 1, 1, 0]])]
    found = resampled_difference(pairs, 0.25)
    half = stats.t.ppf(0.975, 1) * np.sqrt((1 / 2 + 0.25) * np.var([0.5, 0.25], ddof=1))
    assert found.mean == pytest.approx(0.375)
    assert found.interval == pytest.approx((max(-1, 0.375 - half), min(1, 0.375 + half)))


def test_one_seed_covers_its_images_only():
    found = resampled_estimate([0.9], 20, 0.25)
    assert (found.interval, found.basis) == (resampled_estimate([0.9, 0.9], 20, 0.25).interval, "images")
    pair = np.array([[1] * 18 + [0] * 2, [1] * 15 + [0] * 5])
    found = resampled_difference([pair], 0.25)
    assert found.basis == "images"
    assert found.interval[0] < found.mean < found.interval[1]


def test_seeds_that_agree_by_chance_are_no_certainty():
    low, high = resampled_estimate([1.0, 1.0, 1.0], 20, 0.25).interval
    assert (low < 0.9, high) == (True, 1.0)
    right = np.ones(20, dtype=bool)
    low, high = resampled_difference([np.stack([right, right])] * 3, 0.25).interval
    assert low < 0 < high


def test_results_without_a_common_seed_are_refused():
    with pytest.raises(ComparisonError, match="no seed has results of both"):
        resampled_difference([], 0.25)

"""Means and 95 % intervals where each seed has its own test images, so that images are not crossed with seeds.

The accuracies of J seeds are no independent sample: their test and training parts are drawn from the same images. The
variance of their mean is taken as (1/J + n_test/n_train) s², with s² their sample variance, in a t interval with J − 1
degrees of freedom: the corrected resampled t of Nadeau & Bengio (2003), Inference for the generalization error,
Machine Learning 52, which Bouckaert & Frank (2004) carry over to folds. It rests on the guess that the accuracies of
two seeds correlate as the share ρ of all images that is in a test part: n_test/n_train is ρ/(1 − ρ). So n_train counts
all images that are not tested, those for validation and those left out by a fraction included. Counting only what a
network trained on would widen the intervals of small fractions beyond need (simulated: 99.5 % and more).

It is about the strategy on such images: a new sample, new networks. Simulated coverage (tests, 100 or 400 images, a
real classifier, 2,000 repeats): repeated splits 95 to 96 % with 5 and with 10 seeds (75 to 87 % without the
correction), 93 and 99 % where networks vary much by their random start, 99 % where nearly all answers are right; whole
k-fold splits 98 to 99 %, as the guess is too careful there; paired differences 95 to 99 %. With few test images, the
accuracies of 2 or 3 seeds are often equal by chance: then the images of one test part make the interval, a wide one.
"""

from collections.abc import Sequence
from statistics import fmean, variance
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcore.analysis.statistics.intervals import (
    Basis,
    Estimate,
    Interval,
    mcnemar_exact,
    paired_interval,
    t_interval,
    t_test,
    wilson_interval,
)
from tlcore.errors import ComparisonError
from tlcore.spec import SplitPlan

OWN_IMAGES: Basis = "seeds, each with its own test images"


def resampling_ratio(plan: SplitPlan, num_images: int, num_test: float) -> float:
    """n_test/n_train: images of a test part to all others; 1/(K − 1) of K folds. num_images: of the dataset."""
    return 1 / (plan.folds - 1) if plan.folds else num_test / (num_images - num_test)


def corrected_variance(values: Sequence[float], ratio: float) -> float:
    """Variance of the mean of one value per seed. ratio: n_test/n_train, 0 where seeds share all images or none."""
    return (1 / len(values) + ratio) * variance(values)


def resampled_estimate(accuracies: Sequence[float], num_test: int, ratio: float) -> Estimate:
    """Mean of one test accuracy per seed with its interval in [0, 1]; one seed covers its images only (Wilson).

    num_test: images of the smallest test part. ratio: as of `resampling_ratio`.
    """
    mean = fmean(accuracies)
    if _constant(accuracies):
        return Estimate(mean, wilson_interval(round(mean * num_test), num_test), _basis(len(accuracies)))
    return Estimate(mean, _corrected(accuracies, ratio, lower=0.0), OWN_IMAGES)


def resampled_difference(pairs: Sequence[NDArray[Any]], ratio: float) -> Estimate:
    """Mean over seeds of first − second with its interval in [−1, 1] and its p-value; one seed covers its images only.

    pairs: of each seed whether the two were right, [2, N images of that seed]. ratio: as of `resampling_ratio`.
    Raises: ComparisonError without a seed.
    """
    if not pairs:
        raise ComparisonError("no seed has results of both: compare strategies that share seeds")
    answers = [np.asarray(pair[0], dtype=int) - np.asarray(pair[1], dtype=int) for pair in pairs]
    differences = [float(answer.mean()) for answer in answers]
    if _constant(differences):
        widest = max((paired_interval(answer) for answer in answers), key=lambda ends: ends[1] - ends[0])
        least = max(mcnemar_exact(answer) for answer in answers)
        return Estimate(fmean(differences), widest, _basis(len(differences)), least)
    mean, freedom = fmean(differences), len(differences) - 1.0
    p_value = t_test(mean, corrected_variance(differences, ratio), freedom)
    return Estimate(mean, _corrected(differences, ratio, lower=-1.0), OWN_IMAGES, p_value, freedom)


def _corrected(values: Sequence[float], ratio: float, lower: float) -> Interval:
    return t_interval(fmean(values), corrected_variance(values, ratio), len(values) - 1.0, lower)


def _constant(values: Sequence[float]) -> bool:
    """Whether seeds do not differ, so that their variance would promise certainty."""
    return max(values) - min(values) < 1e-12


def _basis(seeds: int) -> Basis:
    return "images" if seeds == 1 else OWN_IMAGES

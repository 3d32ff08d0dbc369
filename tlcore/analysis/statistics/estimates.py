"""Accuracies and differences of groups with their intervals, as the split plan of the comparison demands."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tlcore.analysis.groups import Group, groups_of
from tlcore.analysis.statistics.intervals import (
    Estimate,
    accuracy_estimate,
    correct_matrix,
    paired_estimate,
    rights_of,
    seed_means_estimate,
    wilson_interval,
)
from tlcore.analysis.statistics.resampling import resampled_difference, resampled_estimate, resampling_ratio
from tlcore.results import ComparisonRecord, PartMetrics

Predictions = Mapping[str, pd.DataFrame]
Right = Mapping[str, "pd.Series[bool]"]


def estimate_of(record: ComparisonRecord, group: Group, right: Right) -> Estimate | None:
    """Mean test accuracy of a group with its interval; None without a finished run.

    right: as of `all_right`; where it is not complete for a fixed split, the interval covers the seeds only.
    """
    tests = [run.outcome.test for run in group.finished if run.outcome is not None]
    if not tests:
        return None
    answers = [right[run.run_id] for run in group.finished if run.run_id in right]
    if record.spec.split_plan.is_fixed and len(answers) == len(tests):
        return accuracy_estimate(correct_matrix(answers))
    return estimate_of_tests(record, tests)


def estimate_of_tests(record: ComparisonRecord, tests: Sequence[PartMetrics]) -> Estimate:
    """The same from the figures of each seed alone; one seed of a fixed split covers its images, more the seeds."""
    if not record.spec.split_plan.is_fixed:
        smallest = min(test.num_images for test in tests)
        return resampled_estimate([test.accuracy for test in tests], smallest, _ratio(record, tests))
    if len(tests) == 1:
        (test,) = tests
        return Estimate(
            test.accuracy, wilson_interval(round(test.accuracy * test.num_images), test.num_images), "images"
        )
    return seed_means_estimate([test.accuracy for test in tests])


def estimates_of(record: ComparisonRecord, right: Right) -> list[tuple[Group, Estimate | None]]:
    """Every group of a comparison, in the order of `groups_of`, with its estimate as of `estimate_of`."""
    return [(group, estimate_of(record, group, right)) for group in groups_of(record)]


@dataclass(frozen=True)
class Paired:
    """Two groups on the seeds that both have finished. differences: per seed [N images], 1 where only the first is
    right, −1 where only the second is; seeds of a fixed split have the same images in the same order.
    """

    seeds: tuple[int, ...]
    differences: tuple[NDArray[np.int8], ...]
    estimate: Estimate

    @property
    def p_value(self) -> float:
        """Two-sided, that there is no difference."""
        assert self.estimate.p_value is not None, "a difference has one"
        return self.estimate.p_value


def difference_of(record: ComparisonRecord, first: Group, second: Group, right: Right) -> Paired | None:
    """Mean test accuracy of first − second over the seeds that both have finished, with its interval and p-value.

    right: as of `all_right`. None where there is no such seed, or its predictions are not at hand.
    Raises: ComparisonError when the two were not tested on the same images.
    """
    others = {run.spec.seed: run for run in second.finished}
    runs = [(run, others[run.spec.seed]) for run in first.finished if run.spec.seed in others]
    if not runs or any(run.run_id not in right for pair in runs for run in pair):
        return None
    seeds = tuple(run.spec.seed for run, _ in runs)
    if record.spec.split_plan.is_fixed:
        matrix = correct_matrix([right[run.run_id] for pair in runs for run in pair]).astype(np.int8)
        difference = matrix[::2] - matrix[1::2]
        return Paired(seeds, tuple(difference), paired_estimate(difference))
    pairs = [correct_matrix([right[one.run_id], right[other.run_id]]).astype(np.int8) for one, other in runs]
    tests = [run.outcome.test for run, _ in runs if run.outcome is not None]
    estimate = resampled_difference(pairs, _ratio(record, tests))
    return Paired(seeds, tuple(pair[0] - pair[1] for pair in pairs), estimate)


def all_right(predictions: Predictions) -> dict[str, "pd.Series[bool]"]:
    """Whether each test image was predicted right, by run id. predictions: as far as they are at hand."""
    return dict(zip(predictions, rights_of(predictions.values()), strict=True))


def resampling_of(record: ComparisonRecord, group: Group) -> float:
    """n_test/n_train of the group's splits, as of `resampling_ratio`."""
    return _ratio(record, [run.outcome.test for run in group.finished if run.outcome is not None])


def validation_ratio(record: ComparisonRecord) -> float:
    """n_val/n_rest of the images that each seed draws its validation part from: all but the test part of a fixed split.

    0 where validation is the dataset's own, the same for every seed: all seeds on one amount of data have one split.
    Where only parts of the training images were used, that is not to be seen, and the ratio is the careful one.
    """
    known = [(run.spec.fraction, run.spec.seed, run.resolved) for run in record.runs if run.resolved is not None]
    seeds, splits = defaultdict(set), defaultdict(set)
    for fraction, seed, resolved in known:
        seeds[fraction].add(seed)
        splits[fraction].add(resolved.split_fingerprint)
    if not known or any(len(splits[fraction]) == 1 < len(seeds[fraction]) for fraction in seeds):
        return 0.0
    tested = fmean(resolved.num_test for *_, resolved in known) if record.spec.split_plan.is_fixed else 0.0
    validated = fmean(resolved.num_val for *_, resolved in known)
    return validated / (record.dataset.num_images - tested - validated)


def _ratio(record: ComparisonRecord, tests: Sequence[PartMetrics]) -> float:
    return resampling_ratio(record.spec.split_plan, record.dataset.num_images, fmean(t.num_images for t in tests))

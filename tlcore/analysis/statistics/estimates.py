"""Accuracies and differences of groups with their intervals, as the split plan of the comparison demands."""

from collections.abc import Mapping, Sequence
from statistics import fmean

import pandas as pd

from tlcore.analysis.groups import Group, groups_of
from tlcore.analysis.statistics.intervals import (
    Estimate,
    accuracy_estimate,
    correct_matrix,
    difference_estimate,
    seed_means_estimate,
    wilson_interval,
)
from tlcore.analysis.statistics.resampling import resampled_difference, resampled_estimate, resampling_ratio
from tlcore.results import ComparisonRecord, PartMetrics

Predictions = Mapping[str, pd.DataFrame]


def estimate_of(record: ComparisonRecord, group: Group, predictions: Predictions) -> Estimate | None:
    """Mean test accuracy of a group with its interval; None without a finished run.

    predictions: by run id; where those of a fixed split are not complete, the interval covers the seeds only.
    """
    tests = [run.outcome.test for run in group.finished if run.outcome is not None]
    if not tests:
        return None
    frames = [predictions[run.run_id] for run in group.finished if run.run_id in predictions]
    if record.spec.split_plan.is_fixed and len(frames) == len(tests):
        return accuracy_estimate(correct_matrix(frames))
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


def estimates_of(record: ComparisonRecord, predictions: Predictions) -> list[tuple[Group, Estimate | None]]:
    """Every group of a comparison, in the order of `groups_of`, with its estimate as of `estimate_of`."""
    return [(group, estimate_of(record, group, predictions)) for group in groups_of(record)]


def difference_of(record: ComparisonRecord, first: Group, second: Group, predictions: Predictions) -> Estimate | None:
    """Mean test accuracy of first − second over the seeds that both have finished, with its interval.

    None where there is no such seed, or its predictions are not at hand. Raises: ComparisonError when the two were
    not tested on the same images.
    """
    others = {run.spec.seed: run for run in second.finished}
    runs = [(run, others[run.spec.seed]) for run in first.finished if run.spec.seed in others]
    if not runs or any(run.run_id not in predictions for pair in runs for run in pair):
        return None
    if record.spec.split_plan.is_fixed:
        matrix = correct_matrix([predictions[run.run_id] for pair in runs for run in pair])
        return difference_estimate(matrix[::2], matrix[1::2])
    pairs = [correct_matrix([predictions[one.run_id], predictions[other.run_id]]) for one, other in runs]
    tests = [run.outcome.test for run, _ in runs if run.outcome is not None]
    return resampled_difference(pairs, _ratio(record, tests))


def _ratio(record: ComparisonRecord, tests: Sequence[PartMetrics]) -> float:
    return resampling_ratio(record.spec.split_plan, record.dataset.num_images, fmean(t.num_images for t in tests))

"""Validation accuracy of one run along an axis of cost, and what is read off it.

A new head guesses, so every path begins at chance where nothing was spent. From there to the first evaluation it is a
straight line; what is fitted in one pass, or comes after trials of `tune`, is at chance until that is paid for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcore.analysis.curves import XAxis, last_evaluations
from tlcore.results import EvaluationPoint, RunRecord


@dataclass(frozen=True)
class Path:
    """Evaluations in order. x: epochs, images or seconds. idle: x up to which the run had learnt nothing.

    one_pass: the run is one pass and a fit, so that nothing more of it was to come.
    """

    x: tuple[float, ...]
    accuracy: tuple[float, ...]
    idle: float = 0.0
    one_pass: bool = False

    @property
    def best(self) -> float:
        return max(self.accuracy)

    @property
    def end(self) -> float:
        """Mean of the last evaluations."""
        return fmean(self.accuracy[-last_evaluations(len(self.accuracy)) :])


def path_of(run: RunRecord, x: XAxis) -> Path | None:
    """The run's path; None where it was never evaluated.

    A pass over the images whose features are fitted counts as images seen, also for what trains after it; seconds
    include making the features and the trials of `tune` that were not chosen.
    """
    points = [point for point in run.history if point.val_accuracy is not None]
    if not points:
        return None
    places = [_place(run, point, x) for point in points]
    tuning = run.outcome.tuning_seconds if run.outcome and x == "train_seconds" else 0.0
    values = tuple(float(point.val_accuracy) for point in points if point.val_accuracy is not None)
    idle = places[0] if _is_fit(points[0]) else tuning
    return Path(tuple(places), values, idle, one_pass=all(map(_is_fit, points)))


def value_at(path: Path, x: float) -> float:
    """Accuracy at x, from the first evaluation on: a line between evaluations, the last value after the end."""
    return float(np.interp(x, path.x, path.accuracy))


def jumpstart(path: Path, baseline: Path) -> tuple[float, float]:
    """Where both have been evaluated for the first time, and the difference there."""
    at = max(path.x[0], baseline.x[0])
    return at, value_at(path, at) - value_at(baseline, at)


def common_horizon(path: Path, baseline: Path) -> float | None:
    """Up to where both were followed; what was fitted in one pass stays as it is. None where both were."""
    ends = [each.x[-1] for each in (path, baseline) if not each.one_pass]
    return min(ends) if ends else None


def height(path: Path, chance: float, horizon: float) -> float:
    """Area between the path and chance from 0 to the horizon, divided by the horizon: the mean accuracy above chance.

    0 for a horizon of 0.
    """
    if horizon <= 0:
        return 0.0
    xs, above = _above(path, chance)
    if path.one_pass and horizon > xs[-1]:
        xs, above = np.append(xs, horizon), np.append(above, above[-1])
    place = int(np.searchsorted(xs, horizon))
    end = np.interp(horizon, xs[: place + 1], above[: place + 1])  # a jump at the horizon itself is past it
    return float(np.trapezoid(np.append(above[:place], end), np.append(xs[:place], horizon))) / horizon


def first_reach(path: Path, accuracy: float) -> float | None:
    """x of the first evaluation with at least this accuracy."""
    return next((x for x, value in zip(path.x, path.accuracy, strict=True) if value >= accuracy), None)


def _above(path: Path, chance: float) -> tuple[NDArray[Any], NDArray[Any]]:
    xs: Sequence[float] = (0.0, path.idle, *path.x)
    return np.array(xs), np.array((0.0, 0.0, *(value - chance for value in path.accuracy)))


def _place(run: RunRecord, point: EvaluationPoint, x: XAxis) -> float:
    if x == "train_seconds":
        return point.train_seconds + (run.outcome.tuning_seconds if run.outcome else 0.0)
    fitted = next((first.images_seen for first in run.history[:1] if _is_fit(first)), 0)
    images = point.images_seen if _is_fit(point) else point.images_seen + fitted
    if x == "images_seen":
        return float(images)
    passes = fitted * run.spec.fraction / run.resolved.num_train if run.resolved else float(fitted > 0)
    return passes if _is_fit(point) else point.epoch + passes


def _is_fit(point: EvaluationPoint) -> bool:
    """Whether the point is that of a fit: no optimiser step was taken yet."""
    return point.step == 0

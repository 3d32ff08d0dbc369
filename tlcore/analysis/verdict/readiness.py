"""Whether a strategy had time enough to be judged: it learnt, and its curve has stopped rising."""

from statistics import fmean
from typing import Literal

import numpy as np

from tlcore.analysis.groups import Group
from tlcore.results import EvaluationPoint, RunRecord

Standing = Literal["ready", "did not learn", "still rising"]
LAST_PART = 1 / 3  # of the optimiser steps: what the end of a curve is compared with


def standing_of(group: Group, margin: float) -> Standing:
    """What a lower accuracy of this group would mean. margin: accuracy in [0, 1] that is negligible.

    It did not learn where more than half of its seeds did not; it still rises where `rise_of` is more than the margin
    and more than its standard error.
    """
    outcomes = [run.outcome for run in group.finished if run.outcome is not None]
    if sum(outcome.did_not_learn for outcome in outcomes) * 2 > len(outcomes):
        return "did not learn"
    rise = rise_of(group.finished)
    if rise is None:
        return "ready"
    val = fmean(outcome.last_val.accuracy for outcome in outcomes)
    images = sum(outcome.last_val.num_images for outcome in outcomes)
    error = (2 * val * (1 - val) / images) ** 0.5  # of a difference of two shares of that many images each
    return "still rising" if rise > max(margin, error) else "ready"


def rise_of(runs: tuple[RunRecord, ...]) -> float | None:
    """How much the validation accuracy gained over the last third of the steps, mean over seeds; None for a fit."""
    gains = [gain for gain in (_gain(run.history) for run in runs) if gain is not None]
    return fmean(gains) if gains else None


def _gain(history: tuple[EvaluationPoint, ...]) -> float | None:
    points = [(point.step, point.val_accuracy) for point in history if point.val_accuracy is not None]
    if len(points) < 2 or points[-1][0] <= points[0][0]:
        return None
    steps, values = zip(*points, strict=True)
    before = float(np.interp((1 - LAST_PART) * steps[-1], steps, values))
    return float(values[-1]) - before

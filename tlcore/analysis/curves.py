"""Learning curves of several seeds as one: mean and interval on a common grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tlcore.analysis.statistics.intervals import CONFIDENCE
from tlcore.results import ENDED, EvaluationPoint, RunRecord

XAxis = Literal["epoch", "images_seen", "train_seconds"]
Metric = Literal["accuracy", "loss"]
Part = Literal["train", "val"]
LAST_EVALUATIONS = 3
LOSS_FALL = 0.1  # of the validation loss, over the last part of the steps
LAST_PART = 1 / 3  # of the steps: what the end of a curve is compared with
RISE = 0.01  # a point: the margin below which differences do not matter to most users
HIGHEST: dict[Metric, float] = {"accuracy": 1.0, "loss": float("inf")}
Series = tuple[NDArray[np.float64], NDArray[np.float64]]
Values = tuple[float, ...]


@dataclass(frozen=True)
class Band:
    """Mean over `num_seeds` seeds at each x; a single x for a strategy with one curve point.

    interval: lower and upper ends of the mean's 95 % t interval at each x, within what is possible; None for one seed.
    """

    x: Values
    mean: Values
    interval: tuple[Values, Values] | None
    num_seeds: int

    @property
    def is_point(self) -> bool:
        return len(self.x) == 1


def curve_runs(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Runs whose curves count: those that finished or still go on; the broken ones only where there are no others."""
    with_history = [r for r in runs if r.history]
    whole = [r for r in with_history if r.status not in {"FAILED", "KILLED"}]
    return whole or with_history


def band(runs: Sequence[RunRecord], part: Part, metric: Metric, x: XAxis, ratio: float = 0.0) -> Band | None:
    """Mean over the runs' seeds with its interval, or None where nothing was measured.

    Every seed is interpolated on all x that any seed was measured at. A seed that has ended keeps its last value to
    the end of the slowest one; while one still trains, the band ends where that one is. ratio: as of `seed_mean`.
    """
    used = curve_runs(runs)
    series = [(run, _series(run.history, f"{part}_{metric}", x)) for run in used]
    series = [(run, s) for run, s in series if len(s[0])]
    if not series:
        return None
    longer = [(run, s) for run, s in series if len(s[0]) > 1]
    if not longer:
        xs = np.array([s[0].mean() for _, s in series]).mean(keepdims=True)
        return _summary(xs, np.stack([s[1] for _, s in series]), metric, ratio)
    ended = all(run.status in ENDED for run, _ in longer)
    start = max(s[0][0] for _, s in longer)
    end = max(start, (max if ended else min)(s[0][-1] for _, s in longer))
    every = np.unique(np.concatenate([s[0] for _, s in longer]))
    grid = every[(every >= start) & (every <= end)]
    return _summary(grid, np.stack([np.interp(grid, *s) for _, s in longer]), metric, ratio)


def phase_borders(runs: Sequence[RunRecord], x: XAxis) -> dict[int, float]:
    """Where each phase after the first begins, by its index, mean over seeds: the last point of the one before.

    A phase in which nothing was measured is left out.
    """
    found: dict[int, list[float]] = {}
    for run in curve_runs(runs):
        for before, after in zip(run.history, run.history[1:], strict=False):
            if after.phase != before.phase:
                found.setdefault(after.phase, []).append(float(getattr(before, x)))
    return {phase: float(np.mean(found[phase])) for phase in sorted(found)}


def last_evaluations(number: int) -> int:
    """How many of a run's evaluations stand for its end: the last three, fewer where that is more than half of them."""
    return max(1, min(LAST_EVALUATIONS, number // 2))


def still_rising(runs: Sequence[RunRecord], margin: float = RISE) -> bool | None:
    """Whether the runs still get better where they end; None where no run was evaluated twice.

    Over the last third of the steps, the validation accuracy gained more than the margin and more than its standard
    error, or the validation loss, which is less noisy, fell by more than a tenth. What is fitted in one pass has
    nothing to come, so it does not rise.
    """
    rise = rise_of(runs)
    if rise is None:
        evaluated = any(run.history for run in runs)
        return False if evaluated and all(point.step == 0 for run in runs for point in run.history) else None
    fall = _mean_change(runs, "val_loss", relative=True)
    return rise > max(margin, _rise_error(runs)) or (fall is not None and fall < -LOSS_FALL)


def rise_of(runs: Sequence[RunRecord]) -> float | None:
    """How much the validation accuracy gained over the last third of the steps, mean over seeds; None for a fit."""
    return _mean_change(runs, "val_accuracy")


def _mean_change(runs: Sequence[RunRecord], field: str, relative: bool = False) -> float | None:
    changes = [change for change in (_change(run.history, field, relative) for run in runs) if change is not None]
    return float(np.mean(changes)) if changes else None


def _change(history: Sequence[EvaluationPoint], field: str, relative: bool) -> float | None:
    """Over the last third of the steps. relative: as a part of what it was before."""
    steps, values = _series(history, field, "images_seen")
    if len(steps) < 2 or steps[-1] <= steps[0]:
        return None
    before = float(np.interp((1 - LAST_PART) * steps[-1], steps, values))
    change = float(values[-1]) - before
    return change / before if relative and before > 0 else change


def _rise_error(runs: Sequence[RunRecord]) -> float:
    """Standard error of a difference of two accuracies, each of all seeds' validation images."""
    images = sum(run.resolved.num_val for run in runs if run.resolved is not None)
    ends = [run.history[-1].val_accuracy for run in runs if run.history]
    accuracy = float(np.mean([end for end in ends if end is not None])) if any(end is not None for end in ends) else 0.0
    return float((2 * accuracy * (1 - accuracy) / images) ** 0.5) if images else 0.0


def _series(history: Sequence[EvaluationPoint], field: str, x: XAxis) -> Series:
    points = [(float(getattr(p, x)), getattr(p, field)) for p in history]
    points = [(at, value) for at, value in points if value is not None and np.isfinite(value)]
    return np.array([at for at, _ in points], dtype=float), np.array([value for _, value in points], dtype=float)


def _summary(grid: NDArray[np.float64], values: NDArray[np.float64], metric: Metric, ratio: float) -> Band:
    """values: [S seeds, G grid points]. The interval is Student's (1908), with S − 1 degrees of freedom.

    ratio: widens it as `statistics.resampling` says.
    """
    from scipy.special import stdtrit

    mean, seeds = values.mean(axis=0), len(values)
    if seeds < 2:
        return Band(_floats(grid), _floats(mean), None, seeds)
    half = float(stdtrit(seeds - 1, (1 + CONFIDENCE) / 2)) * values.std(axis=0, ddof=1) * (1 / seeds + ratio) ** 0.5
    low, high = np.clip([mean - half, mean + half], 0.0, HIGHEST[metric])
    return Band(_floats(grid), _floats(mean), (_floats(low), _floats(high)), seeds)


def _floats(column: NDArray[np.float64]) -> Values:
    return tuple(float(value) for value in column)

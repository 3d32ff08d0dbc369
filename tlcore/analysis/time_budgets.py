"""The best within a budget of so many training seconds, read off the curves for any number of seconds.

The choice is by validation accuracy: test images are met once, at the end of a run, so no curve has them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcore.analysis.groups import Group, groups_of, largest_fraction, measured, minus, name_of, percent
from tlcore.analysis.left_out import LeftOut
from tlcore.analysis.statistics.estimates import validation_ratio
from tlcore.analysis.statistics.over_seeds import DIFFERENCES, SHARES, SeedMean, seed_mean
from tlcore.analysis.transfer.paths import Path, path_of
from tlcore.results import ComparisonRecord, RunRecord

SCHEDULE_CAUTION = (
    "Chosen by validation accuracy, as test images are met only once, at the end of a run. It also chose the best "
    "moments, so it is a little higher than test accuracy: do not set it against the test accuracies above. Read off "
    "the curves of runs whose learning rates were planned for the whole budget: a run that is asked for less time "
    "plans for it, and can do better than its curve at that moment."
)


@dataclass(frozen=True)
class Within:
    """What a group has by a time. accuracy: mean over its finished seeds of the best evaluation by then."""

    group: Group
    accuracy: SeedMean


@dataclass(frozen=True)
class Reign:
    """The best from `start` seconds on, until the next reign. lead: over the runner-up, None where it is alone."""

    start: float
    group: Group
    accuracy: float
    runner_up: Group | None
    lead: float | None


@dataclass(frozen=True)
class BudgetCurve:
    """Mean best validation accuracy that a group has by each time, from when all its finished seeds were evaluated."""

    group: Group
    seconds: tuple[float, ...]
    accuracy: tuple[float, ...]


def best_within(record: ComparisonRecord, seconds: float, left_out: LeftOut | None = None) -> list[Within]:
    """Every group on the most data that has something by so many training seconds, the best first.

    left_out: groups that are not among them.

    Seconds include features and tuning. A group counts from when all its finished seeds have been evaluated: the mean
    of the quick ones alone would be of other seeds than its rivals'.
    """
    found, ratio = [], validation_ratio(record)
    for group, paths in _paths(record, left_out):
        bests = [_best_by(path, np.array([seconds]))[0] for path in paths]
        if bests and all(np.isfinite(bests)):
            found.append(Within(group, seed_mean([float(best) for best in bests], SHARES, ratio)))
    return sorted(found, key=lambda each: -each.accuracy.mean)


def lead_within(record: ComparisonRecord, first: Group, second: Group, seconds: float) -> SeedMean | None:
    """Difference of the two by so many seconds, paired over the seeds that both have finished; None without one."""
    times = np.array([seconds])
    bests = [
        {run.spec.seed: _best_by(path, times)[0] for run in group.finished if (path := _seconds(run)) is not None}
        for group in (first, second)
    ]
    gains = [float(bests[0][seed] - bests[1][seed]) for seed in bests[0] if seed in bests[1]]
    known = [gain for gain in gains if np.isfinite(gain)]
    return seed_mean(known, DIFFERENCES, validation_ratio(record)) if known else None


def budget_curves(record: ComparisonRecord, left_out: LeftOut | None = None) -> list[BudgetCurve]:
    """For every group on the most data, a step at each of its evaluations."""
    curves = []
    for group, paths in _paths(record, left_out):
        times = np.unique([x for path in paths for x in path.x])
        values = np.mean([_best_by(path, times) for path in paths], axis=0)
        known = np.isfinite(values)
        curves.append(BudgetCurve(group, tuple(times[known].tolist()), tuple(values[known].tolist())))
    return curves


def reigns(record: ComparisonRecord, left_out: LeftOut | None = None) -> list[Reign]:
    """Who has the highest mean at which time; who holds the lead keeps it at equality."""
    curves = [curve for curve in budget_curves(record, left_out) if curve.seconds]
    if not curves:
        return []
    times = np.unique([at for curve in curves for at in curve.seconds])
    values = np.stack([_steps(curve, times) for curve in curves])  # [G groups, T times]
    best = values.max(axis=0)
    found: list[Reign] = []
    holder = -1
    for place, at in enumerate(times):
        if holder < 0 or values[holder, place] < best[place]:
            holder = int(values[:, place].argmax())
            found.append(_reign(curves, values[:, place], holder, float(at)))
    return found


def reign_sentence(found: Sequence[Reign], record: ComparisonRecord) -> str | None:
    """`From 4 s: Feature extraction; from 12 s: Fine-tuning`; None without a finished run."""
    groups = [group for group, _ in _paths(record)]
    said = [f"from {measured(reign.start)} s: {name_of(reign.group, groups)}" for reign in found]
    return f"Highest mean validation accuracy {'; '.join(said)}." if said else None


def within_sentence(record: ComparisonRecord, seconds: float, left_out: LeftOut | None = None) -> str:
    """The best within a budget with its runner-up."""
    found, groups = best_within(record, seconds, left_out), [group for group, _ in _paths(record)]
    if not found:
        who = "no strategy that can be judged" if left_out else "no strategy"
        return f"Within {measured(seconds)} s of training {who} has been evaluated in all its seeds."
    first = found[0]
    said = f"Within {measured(seconds)} s of training: {name_of(first.group, groups)}, "
    said += f"{percent(first.accuracy.mean)} of the validation images right"
    if len(found) < 2:
        return f"{said}; no other has been evaluated by then."
    lead = lead_within(record, first.group, found[1].group, seconds)
    return f"{said}; next {name_of(found[1].group, groups)}, {percent(found[1].accuracy.mean)}{_lead_words(lead)}."


def reign_table(found: Sequence[Reign], record: ComparisonRecord) -> list[dict[str, object]]:
    """The reigns as a table."""
    groups = [group for group, _ in _paths(record)]
    return [
        {
            "From (training time)": f"{measured(reign.start)} s",
            "Best": name_of(reign.group, groups),
            "Validation accuracy (%)": round(100 * reign.accuracy, 1),
            "Runner-up": name_of(reign.runner_up, groups) if reign.runner_up else "none yet",
            "Ahead by (points)": None if reign.lead is None else round(100 * reign.lead, 1),
        }
        for reign in found
    ]


def caution(record: ComparisonRecord) -> str:
    """What must be known of the best within a time, with what one validation image is worth where that is known."""
    sizes = {run.resolved.num_val for group, _ in _paths(record) for run in group.finished if run.resolved is not None}
    smallest = min(sizes, default=0)
    worth = f" A seed has {smallest:,} validation images: one is {100 / smallest:.2g} points." if smallest else ""
    return f"{SCHEDULE_CAUTION}{worth}"


def _lead_words(lead: SeedMean | None) -> str:
    if lead is None or lead.interval is None:
        return " (no interval: it needs two seeds that both have and that differ)"
    low, high = (100 * end for end in lead.interval)
    clear = "" if lead.differs else ": the two cannot be told apart"
    said = minus(f"{100 * lead.mean:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}")
    return f" (difference {said}{clear})"


def _paths(record: ComparisonRecord, left_out: LeftOut | None = None) -> list[tuple[Group, list[Path]]]:
    """Groups on the most data with the paths of their finished runs, over seconds."""
    groups = groups_of(record)
    most = largest_fraction(groups)
    kept = [(g, [p for run in g.finished if (p := _seconds(run)) is not None]) for g in groups if g.fraction == most]
    return [(g, paths) for g, paths in kept if paths and (g.model, g.strategy) not in (left_out or {})]


def _seconds(run: RunRecord) -> Path | None:
    return path_of(run, "train_seconds")


def _best_by(path: Path, times: NDArray[Any]) -> NDArray[np.float64]:
    """Best accuracy that the path has by each time; NaN before its first evaluation."""
    best = np.maximum.accumulate(path.accuracy)
    place = np.searchsorted(path.x, times, side="right") - 1
    return np.where(place < 0, np.nan, best[np.maximum(place, 0)])


def _steps(curve: BudgetCurve, times: NDArray[Any]) -> NDArray[np.float64]:
    """What the curve has by each time; −∞ before it begins."""
    place = np.searchsorted(curve.seconds, times, side="right") - 1
    return np.where(place < 0, -np.inf, np.array(curve.accuracy)[np.maximum(place, 0)])


def _reign(curves: Sequence[BudgetCurve], values: NDArray[Any], holder: int, start: float) -> Reign:
    others = [index for index in np.argsort(-values, kind="stable") if index != holder and np.isfinite(values[index])]
    accuracy = float(values[holder])
    if not others:
        return Reign(start, curves[holder].group, accuracy, None, None)
    return Reign(start, curves[holder].group, accuracy, curves[others[0]].group, accuracy - float(values[others[0]]))

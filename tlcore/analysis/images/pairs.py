"""Two groups of a comparison, side by side over the seeds that both have finished."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from tlcore.analysis.groups import Group, groups_of, name_of
from tlcore.results import ComparisonRecord, RunRecord


@dataclass(frozen=True)
class Pair:
    """A (first) and B (second). names: as told apart among the groups. runs: those of A and B with the same seed."""

    first: Group
    second: Group
    names: tuple[str, str]
    runs: tuple[tuple[RunRecord, RunRecord], ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(one.spec.seed for one, _ in self.runs)

    @property
    def seed_words(self) -> str:
        """`seed 0`, `3 seeds`: what sums and means are over."""
        return f"seed {self.seeds[0]}" if len(self.runs) == 1 else f"{len(self.runs)} seeds"


def ranked_groups(record: ComparisonRecord) -> list[Group]:
    """Groups with a finished run: the most training data first, then the highest mean test accuracy."""
    done = [group for group in groups_of(record) if group.finished]
    return sorted(done, key=lambda group: (-group.fraction, -_accuracy(group)))


def groups_to_choose(record: ComparisonRecord, model: str | None = None, fraction: float | None = None) -> list[Group]:
    """The ranked groups of a model and a fraction; None takes all.

    A random start on another network stands for itself beside every model.
    """
    return [
        group
        for group in ranked_groups(record)
        if (model is None or group.model == model or group.other_network) and fraction in {None, group.fraction}
    ]


def models_to_choose(record: ComparisonRecord) -> list[str]:
    """Models with finished runs, that of the best group first."""
    return list(dict.fromkeys(group.model for group in ranked_groups(record) if not group.other_network))


def pair_of(first: Group, second: Group, among: Sequence[Group], seed: int | None = None) -> Pair:
    """A and B over the seeds that both have finished, in order. seed: that one alone. runs may be empty."""
    others = {run.spec.seed: run for run in second.finished}
    own = {run.spec.seed: run for run in first.finished}
    seeds = sorted(number for number in own.keys() & others.keys() if seed in {None, number})
    runs = tuple((own[number], others[number]) for number in seeds)
    return Pair(first, second, (name_of(first, among), name_of(second, among)), runs)


def best_pair(record: ComparisonRecord) -> Pair | None:
    """The best and the runner-up by mean test accuracy on the most training data; None without two finished."""
    ranked = ranked_groups(record)
    alike = [group for group in ranked if group.fraction == ranked[0].fraction]
    return pair_of(alike[0], alike[1], ranked) if len(alike) > 1 else None


def summed_confusion(runs: Sequence[RunRecord], num_classes: int) -> NDArray[np.float64]:
    """Test images of true class i answered with class j, [K, K], summed over these runs."""
    matrices = [np.array(run.confusion["test"].counts, dtype=float) for run in runs if "test" in run.confusion]
    total: NDArray[np.float64] = np.stack(matrices or [np.zeros((num_classes, num_classes))]).sum(axis=0)
    return total


def largest_confusion(pair: Pair, num_classes: int) -> tuple[int, int]:
    """True and answered class of the mistake in which A and B differ most; of equal ones, that which they make most."""
    first, second = (summed_confusion([runs[place] for runs in pair.runs], num_classes) for place in (0, 1))
    weight = np.abs(first - second) + (first + second) / (1 + (first + second).sum())
    np.fill_diagonal(weight, -1.0)
    true, answered = np.unravel_index(int(weight.argmax()), weight.shape)
    return int(true), int(answered)


def _accuracy(group: Group) -> float:
    return fmean(run.outcome.test.accuracy for run in group.finished if run.outcome is not None)

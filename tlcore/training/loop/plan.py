"""A budget as a plan: where phases end and when to evaluate."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from tlcore.recipes import MAX_EVALUATIONS, Recipe, TrainRecipe, require_steps, steps_of
from tlcore.spec import Budget


@dataclass(frozen=True)
class Plan:
    """The budget of a run, in optimiser steps or in training seconds; the same for every fraction.

    unit: what `ends` and `interval` are counted in. ends: where each phase ends (a phase that is no training ends
    where it begins). steps_per_epoch: of the full training part. evaluations: steps after which to evaluate, phase
    ends included. interval: with a budget of seconds, evaluate at the first epoch's end after this many.
    """

    unit: str
    ends: tuple[float, ...]
    steps_per_epoch: float
    evaluations: frozenset[int] = frozenset()
    interval: float = 0.0

    @property
    def total(self) -> float:
        """The whole budget, in `unit`."""
        return self.ends[-1]

    @property
    def total_steps(self) -> int | None:
        """Optimiser steps of the whole run; None with a budget of seconds."""
        return int(self.total) if self.unit == "steps" else None


def make_plan(budget: Budget, recipe: Recipe, num_train_full: int) -> Plan:
    """The plan of a run. num_train_full: images of the whole training part, whatever the fraction.

    Raises: SpecError for fewer steps than phases that train.
    """
    require_steps(recipe, budget, num_train_full)
    per_epoch = num_train_full / recipe.batch_size
    shares = [phase.share if isinstance(phase, TrainRecipe) else 0.0 for phase in recipe.phases]
    if budget.seconds is not None:
        training = sum(share > 0 for share in shares)
        ends = tuple(budget.seconds * sum(shares[: i + 1]) for i in range(len(shares)))
        return Plan("seconds", ends, per_epoch, interval=budget.seconds / max(1, MAX_EVALUATIONS - training))
    steps = steps_of(budget, recipe.batch_size, num_train_full)
    assert steps is not None  # it is a budget of steps or epochs
    borders = _borders(steps, shares)
    return Plan("steps", borders, per_epoch, evaluations=_evaluations(borders, per_epoch))


def shortened(plan: Plan, stopped: Iterable[tuple[int, float]]) -> Plan:
    """The plan after some phases ended early, each with what was spent of the budget by then.

    The phases that follow share what is left in the proportions that they had; after the last phase it stays unspent.
    """
    for phase, at in stopped:
        plan = _cut(plan, phase, at)
    return plan


def _cut(plan: Plan, phase: int, at: float) -> Plan:
    lengths = [end - begin for begin, end in pairwise(plan.ends[phase:])]
    left = plan.total - at
    shares = [length / sum(lengths) for length in lengths]
    if plan.unit == "seconds":
        return replace(plan, ends=(*plan.ends[:phase], at, *(at + left * part for part in accumulate(shares))))
    later = (int(at) + border for border in _borders(int(left), shares))
    ends = (*(int(end) for end in plan.ends[:phase]), int(at), *later)
    return replace(plan, ends=ends, evaluations=_evaluations(ends, plan.steps_per_epoch))


def _borders(total: int, shares: list[float]) -> tuple[int, ...]:
    """Phase ends in whole steps, at least one step for each phase that trains."""
    ends: list[int] = []
    for i, share in enumerate(shares):
        begin = ends[-1] if ends else 0
        still_to_come = sum(later > 0 for later in shares[i + 1 :])
        wanted = round(total * sum(shares[: i + 1]))
        ends.append(min(max(wanted, begin + 1), total - still_to_come) if share > 0 else begin)
    return tuple(ends)


def _evaluations(borders: tuple[int, ...], per_epoch: float) -> frozenset[int]:
    """One at each phase end, and one per epoch, or fewer at even distances: 50 at most where there are fewer phases."""
    total, room = borders[-1], max(0, MAX_EVALUATIONS - len(borders))
    number = min(math.floor(total / per_epoch), room)
    distance = total / number if 0 < number == room else per_epoch
    regular = {round(k * distance) for k in range(1, number + 1)}
    return frozenset(step for step in regular | set(borders) if 0 < step <= total)

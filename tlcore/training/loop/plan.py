"""A budget as a plan: where phases end, when to evaluate, and how the learning rate moves."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from tlcore.recipes import Recipe, TrainRecipe
from tlcore.spec import Budget

MAX_EVALUATIONS = 50
# What becomes of the learning rate after the warm-up, by the part of that time which is done.
_SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),  # Loshchilov & Hutter 2017
    "linear": lambda done: 1 - done,
    "step": lambda done: 0.1 ** min(math.floor(3 * done), 2),  # a tenth at each third
    "constant": lambda done: 1.0,
}


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
    """The plan of a run. num_train_full: images of the whole training part, whatever the fraction."""
    per_epoch = num_train_full / recipe.batch_size
    shares = [phase.share if isinstance(phase, TrainRecipe) else 0.0 for phase in recipe.phases]
    training = sum(share > 0 for share in shares)
    if budget.seconds is not None:
        ends = tuple(budget.seconds * sum(shares[: i + 1]) for i in range(len(shares)))
        return Plan("seconds", ends, per_epoch, interval=budget.seconds / max(1, MAX_EVALUATIONS - training))
    asked = budget.steps if budget.epochs is None else round(budget.epochs * per_epoch)
    borders = _borders(max(asked or 0, training), shares)
    return Plan("steps", borders, per_epoch, evaluations=_evaluations(borders, per_epoch))


def learning_rate_factor(recipe: TrainRecipe, progress: float) -> float:
    """What the learning rate is multiplied with. progress: part of the phase that is done, 0…1.

    A linear warm-up, then the recipe's schedule over what is left of the phase.
    """
    if progress < recipe.warmup:
        return progress / recipe.warmup
    return _SCHEDULES[recipe.schedule]((progress - recipe.warmup) / (1 - recipe.warmup))


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
    """One per epoch, or fewer at even distances, and one at each phase end: 50 at most in all."""
    total = borders[-1]
    number = min(math.floor(total / per_epoch), MAX_EVALUATIONS - len(borders))
    distance = total / number if number == MAX_EVALUATIONS - len(borders) else per_epoch
    regular = {round(k * distance) for k in range(1, number + 1)}
    return frozenset(step for step in regular | set(borders) if 0 < step <= total)

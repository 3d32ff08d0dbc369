"""A budget as a plan: where phases end, when to evaluate, and how the learning rate moves."""

import math
from dataclasses import dataclass

from tlcore.recipes import Recipe, TrainRecipe
from tlcore.spec import Budget

MAX_EVALUATIONS = 50


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

    A linear warm-up, then half a cosine down to 0 (Loshchilov & Hutter 2017), or a constant rate.
    """
    if progress < recipe.warmup:
        return progress / recipe.warmup
    if recipe.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (progress - recipe.warmup) / (1 - recipe.warmup)))


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

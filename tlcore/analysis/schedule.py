"""The learning rates that a run's recipe asks for, at every step: what its evaluations recorded a few points of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tlcore.analysis.anatomy import HEAD, trained_share
from tlcore.recipes import TrainRecipe, learning_rate_factor
from tlcore.results import LayerGroup, PhaseReport, RunRecord

BACKBONE = "backbone"
MAX_POINTS = 400  # of a phase's line: more cannot be told apart on a screen


@dataclass(frozen=True)
class Stretch:
    """The rate of one group of parameters in one phase, after each of `steps`."""

    group: str
    steps: tuple[int, ...]
    rates: tuple[float, ...]


def schedule_of(run: RunRecord) -> list[Stretch]:
    """Stretches of a finished run, phase by phase; none of a run that did not record its phases.

    With a budget in seconds, the steps of a phase count as equally long.
    """
    rows = _recipes(run)
    if run.outcome is None or len(rows) != len(run.outcome.phases):
        return []
    found = []
    for place, phase in enumerate(run.outcome.phases):
        recipe, number = rows[place], phase.last_step - phase.first_step
        if recipe is None or number < 1:
            continue
        planned = number / _reached(run, rows, place)
        done = np.unique(np.linspace(1, number, min(number, MAX_POINTS)).round().astype(int))
        factors = [learning_rate_factor(recipe, min(1.0, (step - 0.5) / planned)) for step in done]
        steps = tuple(phase.first_step + int(step) for step in done)
        for group, rate in _rates(recipe, run.outcome.layer_groups, place).items():
            found.append(Stretch(group, steps, tuple(rate * factor for factor in factors)))
    return found


def _recipes(run: RunRecord) -> list[TrainRecipe | None]:
    """What each phase trained by; None for a phase that fits."""
    rows = run.resolved.recipe.get("phases") if run.resolved else None
    given = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list | tuple) else []
    return [TrainRecipe.model_validate(row) if "trainable" in row else None for row in given]


def _rates(recipe: TrainRecipe, groups: Sequence[LayerGroup], phase: int) -> dict[str, float]:
    """The highest rate of each group that trains, from input to head, by the name that evaluations record."""
    backbone = [group for group in groups if group.name != HEAD]
    trains = {n for n, group in enumerate(backbone, 1) if trained_share(group, phase)}
    highest = recipe.backbone_learning_rate
    if recipe.layer_decay == 1:
        found = {BACKBONE: highest} if trains else {}
    else:
        found = {f"{n:02d} {backbone[n - 1].name}": highest * recipe.layer_decay ** (len(backbone) - n) for n in trains}
    head = next((trained_share(group, phase) for group in groups if group.name == HEAD), None)
    frozen = head == 0  # by a pattern that leaves it out
    return {**dict(sorted(found.items())), **({} if frozen else {HEAD: recipe.learning_rate})}


def _reached(run: RunRecord, rows: Sequence[TrainRecipe | None], place: int) -> float:
    """The part of a phase's planned length after which it ended: 1 but where its patience was over."""
    assert run.outcome is not None
    recipe, phase = rows[place], run.outcome.phases[place]
    if recipe is None or recipe.patience == 0:
        return 1.0
    begun, ended, total = _spent(run, phase, rows)
    later = sum(row.share for row in rows[place:] if row is not None)
    planned = (total - begun) * recipe.share / later
    short = ended - begun < planned - 1  # borders are whole steps
    return (ended - begun) / planned if short else 1.0


def _spent(run: RunRecord, phase: PhaseReport, rows: Sequence[TrainRecipe | None]) -> tuple[float, float, float]:
    """What of the budget was spent when the phase began and ended, and all of it: in steps, else in seconds."""
    total = run.resolved.total_steps if run.resolved else None
    if total is not None or run.spec.budget.seconds is None:
        return phase.first_step, phase.last_step, total or phase.last_step
    fitted = [point.train_seconds for point in run.history if rows[point.phase] is None]
    before = [point.train_seconds for point in run.history if point.phase < phase.phase]
    ended = [point.train_seconds for point in run.history if point.phase <= phase.phase]
    fit = max(fitted, default=0.0)
    return max(before, default=fit) - fit, max(ended, default=fit) - fit, run.spec.budget.seconds

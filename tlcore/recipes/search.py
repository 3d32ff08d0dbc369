"""Where better values are looked for: by `tune`, a table of settings around the recipe's own; by the rate finder.

Learning rates: SimCLR (Chen et al. 2020, B.8) and BiT sweep a decade or more to each side. The same draw moves all
phases together, so that what a strategy's phases have to each other stays.
"""

import math
import random
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pydantic import Field, model_validator

from tlcore.recipes.applicable import why_idle
from tlcore.recipes.resolve import by_phase
from tlcore.recipes.values import FitRecipe, ModelFacts, Recipe, TrainRecipe
from tlcore.spec import Frozen
from tlcore.strategies import SettingValue, Strategy


class RateRange(Frozen):
    """What a learning-rate finder tries: `steps` rates, growing evenly from `low` to `high`; fastai's defaults."""

    low: float = Field(default=1e-7, gt=0, le=1)
    high: float = Field(default=10.0, gt=0, le=100)
    steps: int = Field(default=100, ge=20, le=2_000)

    @model_validator(mode="after")
    def _grows(self) -> "RateRange":
        if self.low >= self.high:
            raise ValueError(f"the lowest rate {self.low:g} must be below the highest, {self.high:g}")
        return self


DIGITS = 4  # significant ones of a value that was drawn


class Knob(NamedTuple):
    """A setting that trials vary. of: the kind of phase that has it. draw: its value, from the phase and 0…1."""

    name: str
    of: type[FitRecipe] | type[TrainRecipe]
    draw: Callable[[Any, float], SettingValue | None]
    drawn_with: Callable[[Any], str]


def _around(name: str, decades: float) -> Callable[[Any, float], float | None]:
    """Log-uniform within so many decades of the recipe's value; nothing where that is 0."""

    def draw(phase: Any, at: float) -> float | None:
        own = float(getattr(phase, name))
        return own * 10 ** (decades * (2 * at - 1)) if own > 0 else None

    return draw


def _one_c(phase: FitRecipe, at: float) -> float:
    """One C of the recipe's range, by its logarithm, in place of a sweep over all of it."""
    return phase.c_low + at * (phase.c_high - phase.c_low)


def _neighbors(phase: FitRecipe, at: float) -> int:
    """Between 1 and ten times the recipe's, log-uniform."""
    return max(1, round(math.exp(at * math.log(10 * phase.neighbors))))


def _backbone(phase: TrainRecipe) -> str:
    """Where head and backbone have one rate, as from scratch, they keep it."""
    same = phase.backbone_learning_rate == phase.learning_rate
    return "learning_rate" if same else "backbone_learning_rate"


SPACE = (
    Knob("learning_rate", TrainRecipe, _around("learning_rate", 1.0), lambda _: "learning_rate"),
    Knob("backbone_learning_rate", TrainRecipe, _around("backbone_learning_rate", 1.0), _backbone),
    Knob("weight_decay", TrainRecipe, _around("weight_decay", 1.0), lambda _: "weight_decay"),
    Knob("c_low", FitRecipe, _one_c, lambda _: "c"),
    Knob("c_high", FitRecipe, _one_c, lambda _: "c"),
    Knob("neighbors", FitRecipe, _neighbors, lambda _: "neighbors"),
)


def trial_settings(
    strategy: Strategy, recipe: Recipe, model: ModelFacts, asked: Mapping[str, SettingValue], seed: int, trial: int
) -> dict[str, SettingValue]:
    """What a trial sets on top of `asked`, for `resolve`; nothing for trial 0, which is the recipe itself.

    recipe: as resolved for `asked`. The draws depend on (seed, trial) and the setting alone, not on the strategy.
    """
    if trial == 0:
        return {}
    numbered = len(strategy.phases) > 1 or any("." in name for name in asked)
    found: dict[str, SettingValue] = {}
    for number, parts in enumerate(by_phase(strategy, recipe), 1):
        phase = parts[-1]  # of unfreezing the last stage, in which everything trains
        for knob in SPACE:
            if isinstance(phase, knob.of) and why_idle(knob.name, phase, model) is None:
                value = knob.draw(phase, _at(seed, trial, knob.drawn_with(phase)))
                if value is not None:
                    found[f"{number}.{knob.name}" if numbered else knob.name] = _rounded(value)
    return found


def _at(seed: int, trial: int, name: str) -> float:
    """A number in 0…1 that (seed, trial, name) gives."""
    return random.Random(f"{seed} {trial} {name}").random()


def _rounded(value: SettingValue) -> SettingValue:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value

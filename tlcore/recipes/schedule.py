"""How the learning rate moves during a phase."""

import math
from collections.abc import Callable

from tlcore.recipes.values import TrainRecipe

# What becomes of the learning rate after the warm-up, by the part of that time which is done.
_SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),  # Loshchilov & Hutter 2017
    "linear": lambda done: 1 - done,
    "step": lambda done: 0.1 ** min(math.floor(3 * done), 2),  # a tenth at each third
    "constant": lambda done: 1.0,
}


def learning_rate_factor(recipe: TrainRecipe, progress: float) -> float:
    """What the learning rate is multiplied with. progress: part of the phase that is done, 0…1.

    A linear warm-up, then the recipe's schedule over what is left of the phase.
    """
    if progress < recipe.warmup:
        return progress / recipe.warmup
    return _SCHEDULES[recipe.schedule]((progress - recipe.warmup) / (1 - recipe.warmup))

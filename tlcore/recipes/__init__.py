"""Every default of every strategy: what a recipe is made of, the table of rows, and how one is resolved."""

from tlcore.recipes.applicable import MAX_EVALUATIONS, network_settings, require_fit, why_idle
from tlcore.recipes.budgets import default_budget, require_steps, steps_of
from tlcore.recipes.known import idle_anywhere, require_known
from tlcore.recipes.resolve import (
    MAX_RECIPE_PHASES,
    asked_of,
    by_phase,
    default_image_size,
    groups_left,
    resolve,
    sized,
)
from tlcore.recipes.rows import RECIPES
from tlcore.recipes.schedule import learning_rate_factor
from tlcore.recipes.values import (
    Augmentation,
    ClassBalance,
    DataFacts,
    Family,
    FitRecipe,
    ModelFacts,
    NetworkRecipe,
    Preprocessing,
    Recipe,
    TrainRecipe,
)

__all__ = [
    "MAX_EVALUATIONS",
    "MAX_RECIPE_PHASES",
    "RECIPES",
    "Augmentation",
    "ClassBalance",
    "DataFacts",
    "Family",
    "FitRecipe",
    "ModelFacts",
    "NetworkRecipe",
    "Preprocessing",
    "Recipe",
    "TrainRecipe",
    "asked_of",
    "by_phase",
    "default_budget",
    "default_image_size",
    "groups_left",
    "idle_anywhere",
    "learning_rate_factor",
    "network_settings",
    "require_fit",
    "require_known",
    "require_steps",
    "resolve",
    "sized",
    "steps_of",
    "why_idle",
]

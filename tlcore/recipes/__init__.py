"""Every default of every strategy: what a recipe is made of, the table of rows, and how one is resolved."""

from tlcore.recipes.applicable import require_fit, require_network, why_idle
from tlcore.recipes.known import require_known
from tlcore.recipes.resolve import default_budget, default_image_size, resolve, sized
from tlcore.recipes.rows import RECIPES
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
    "default_budget",
    "default_image_size",
    "require_fit",
    "require_known",
    "require_network",
    "resolve",
    "sized",
    "why_idle",
]

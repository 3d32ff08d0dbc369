"""What a budget comes to in optimiser steps, the same for every strategy; and the default.

Source: BiT HyperRule (Kolesnikov et al. 2020).
"""

from tlcore.errors import SpecError
from tlcore.recipes.values import Recipe, TrainRecipe
from tlcore.spec import Budget


def default_budget(num_train: int, accelerated: bool) -> Budget:
    """BiT HyperRule's 500 steps (10,000 from 20,000 images) on a GPU; on a CPU 5 epochs, a matter of minutes."""
    if not accelerated:
        return Budget(epochs=5)
    return Budget(steps=500 if num_train < 20_000 else 10_000)


def steps_of(budget: Budget, batch_size: int, num_train: int) -> int | None:
    """Optimiser steps of a budget, one at least; None for a budget of seconds.

    batch_size: images. num_train: images of the whole training part, whatever the fraction.
    """
    if budget.epochs is None:
        return budget.steps
    return max(1, round(budget.epochs * (num_train / batch_size)))


def require_steps(recipe: Recipe, budget: Budget, num_train: int) -> None:
    """Refuse a budget with fewer steps than a recipe has training phases: none may get more than the others.

    num_train: as of `steps_of`. Raises: SpecError.
    """
    steps = steps_of(budget, recipe.batch_size, num_train)
    phases = sum(isinstance(phase, TrainRecipe) for phase in recipe.phases)
    if steps is not None and steps < phases:
        comes_to = "" if budget.steps else f" comes to {steps} in batches of {recipe.batch_size}, which"
        raise SpecError(
            f"{recipe.strategy} trains in {phases} phases of one step or more, but a budget of {budget}{comes_to} is "
            f"too little: raise the budget to {phases} steps or more, or leave the strategy out"
        )

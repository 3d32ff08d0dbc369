"""How long a comparison will take, from a short measurement on this machine."""

from statistics import fmean

from tlcore.recipes import FitRecipe, ModelFacts, Recipe, TrainRecipe
from tlcore.results import Value
from tlcore.service import models
from tlcore.service.plans import Plan
from tlcore.spec import Budget


class Speed(Value):
    """Images per second of one model at one size: forward only, and a full training step."""

    forward: float
    step: float


class Estimate(Value):
    """seconds: of all runs one after another. per_strategy: mean seconds of one run."""

    seconds: float
    per_strategy: dict[str, float]


def estimate(plan: Plan) -> Estimate:
    """Seconds that the plan's runs need, from measured speeds; decoding the images for the first time is not in it."""
    cells = {cell: _seconds(plan, cell, measure(cell[0], recipe, plan.device)) for cell, recipe in plan.recipes.items()}
    repeats = len(plan.spec.seeds) * len(plan.spec.fractions)
    per_strategy = {s: fmean(cells[cell] for cell in cells if cell[1] == s) for s in plan.spec.strategies}
    return Estimate(seconds=sum(cells.values()) * repeats, per_strategy=per_strategy)


def measure(model: str, recipe: Recipe, device: str) -> Speed:
    """The model's speed on this machine, measured once and kept."""
    request = {
        "question": "speed",
        "model": model,
        "image_size": recipe.preprocessing.size,
        "batch_size": recipe.batch_size,
        "device": device,
    }
    return Speed.model_validate(models.ask_once(request))


def trained_share(trainable: str, num_groups: int) -> float:
    """The part of a full step's backward pass that a phase needs, 0…1, with all layer groups taken as equally costly.

    Nothing flows back below the lowest group that trains. Adapters need the gradients of all activations, but not
    those of the weights, which are half of a backward pass (Kaplan et al. 2020, table 1: 2 of 4 operations).
    """
    kind, _, count = trainable.partition(":")
    if kind == "last":
        return min(1.0, int(count) / num_groups)
    return {"head": 0.0, "lora": 0.5}.get(kind, 1.0)


def _seconds(plan: Plan, cell: tuple[str, str], speed: Speed) -> float:
    """One run: its phases, again for each trial, then every image once through the best network."""
    recipe, facts, budget = plan.recipes[cell], plan.facts[cell[0]], plan.spec.budget
    speed = _cut(speed, recipe, facts)
    parts = plan.dataset.splits
    steps, evaluations = _steps(budget, parts["train"], recipe.batch_size)
    fits = sum(_fit_seconds(phase, parts, speed) for phase in recipe.phases if isinstance(phase, FitRecipe))
    trains = [phase for phase in recipe.phases if isinstance(phase, TrainRecipe)]
    if not trains:
        return fits
    training = sum(_train_seconds(budget, phase, recipe.batch_size, steps, facts, speed) for phase in trains)
    watching = parts["val"] * evaluations / speed.forward
    return fits + (training + watching) * max(1, plan.spec.tune) + sum(parts.values()) / speed.forward


def _cut(speed: Speed, recipe: Recipe, facts: ModelFacts) -> Speed:
    """The speed of a network that ends after its first `cut_at` layer groups."""
    kept = recipe.network.cut_at
    if kept is None:
        return speed
    faster = facts.num_groups / kept
    return Speed(forward=speed.forward * faster, step=speed.step * faster)


def _fit_seconds(phase: FitRecipe, parts: dict[str, int], speed: Speed) -> float:
    """One pass over every image, and one over the training images for each augmented view."""
    return (sum(parts.values()) + phase.views * parts["train"]) / speed.forward


def _train_seconds(
    budget: Budget, phase: TrainRecipe, batch_size: int, steps: int, facts: ModelFacts, speed: Speed
) -> float:
    if budget.seconds is not None:
        return budget.seconds * phase.share
    forward = 1 / speed.forward
    backward = max(0.0, 1 / speed.step - forward)
    per_image = forward + backward * trained_share(phase.trainable, facts.num_groups)
    return steps * phase.share * batch_size * per_image


def _steps(budget: Budget, num_train: int, batch_size: int) -> tuple[int, int]:
    per_epoch = max(1, round(num_train / batch_size))
    if budget.steps is not None:
        return budget.steps, min(50, max(1, budget.steps // per_epoch))
    epochs = budget.epochs or 1
    return epochs * per_epoch, min(50, epochs)

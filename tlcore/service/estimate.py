"""How long a comparison will take, from a short measurement on this machine."""

from collections.abc import Iterable
from itertools import groupby
from statistics import fmean

from tlcore.recipes import FitRecipe, Recipe, TrainRecipe, groups_left, steps_of
from tlcore.results import Value
from tlcore.service import models
from tlcore.service.plans import Plan
from tlcore.spec import Budget, RunSpec

MAX_LOOKS = 50  # at the validation part during a run


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


def cheapest_first(plan: Plan, runs: Iterable[RunSpec]) -> list[RunSpec]:
    """Runs in the order to do them: those of one seed stay together, so that a stopped comparison is matched, and the
    cheap ones come first, so that there is soon something to see. Nothing is measured: a network's training step counts
    as three forward passes, and all networks as equally large. Runs of one plan share one device, one after another.

    runs: of the plan, in its order.
    """
    costs = {cell: _seconds(plan, cell, Speed(forward=3.0, step=1.0)) for cell in plan.recipes}
    seeds = groupby(runs, key=lambda run: (run.fraction, run.seed))
    return [run for _, of_seed in seeds for run in sorted(of_seed, key=lambda run: costs[run.model, run.strategy])]


def measure(model: str, recipe: Recipe, device: str) -> Speed:
    """The model's speed on this machine, measured once and kept."""
    request = {
        "question": "speed",
        "model": model,
        "image_size": recipe.preprocessing.size,
        "batch_size": recipe.batch_size,
        "device": device,
    }
    return Speed.model_validate(models.ask_once(request)[0])


def backward_share(trainable: str, num_groups: int) -> float:
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
    recipe, facts, parts = plan.recipes[cell], plan.facts[cell[0]], plan.dataset.splits
    groups = groups_left(recipe.network, facts)
    speed = _cut(speed, facts.num_groups / groups)
    fits = sum(_fit_seconds(phase, parts, speed) for phase in recipe.phases if isinstance(phase, FitRecipe))
    trains = [phase for phase in recipe.phases if isinstance(phase, TrainRecipe)]
    if not trains:
        return fits
    training = _training_seconds(plan.spec.budget, trains, recipe.batch_size, groups, parts, speed)
    return fits + training * max(1, plan.spec.tune) + sum(parts.values()) / speed.forward


def _cut(speed: Speed, faster: float) -> Speed:
    """The speed of a network that ends early, with all layer groups taken as equally costly."""
    return Speed(forward=speed.forward * faster, step=speed.step * faster)


def _fit_seconds(phase: FitRecipe, parts: dict[str, int], speed: Speed) -> float:
    """One pass over every image, and one over the training images for each augmented view."""
    return (sum(parts.values()) + phase.views * parts["train"]) / speed.forward


def _training_seconds(
    budget: Budget, phases: list[TrainRecipe], batch_size: int, groups: int, parts: dict[str, int], speed: Speed
) -> float:
    """All gradient steps, with the looks at the validation part, which a budget of seconds holds already."""
    if budget.seconds is not None:
        return budget.seconds
    steps = steps_of(budget, batch_size, parts["train"])
    assert steps is not None  # it is a budget of steps or epochs
    forward = 1 / speed.forward
    backward = max(0.0, 1 / speed.step - forward)
    per_image = sum(phase.share * (forward + backward * backward_share(phase.trainable, groups)) for phase in phases)
    looks = min(MAX_LOOKS, max(1, round(steps * batch_size / parts["train"])))
    return steps * batch_size * per_image + looks * parts["val"] * forward

"""How long a comparison will take, from a short measurement on this machine."""

from tlcore.recipes import FitRecipe, Recipe, TrainRecipe
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
    speeds = {m: measure(m, plan.recipes[m, plan.spec.strategies[0]], plan.device) for m in plan.spec.models}
    cells = {key: _seconds(plan, recipe, speeds[key[0]]) for key, recipe in plan.recipes.items()}
    repeats = len(plan.spec.seeds) * len(plan.spec.fractions)
    per_strategy = {s: sum(cells[m, s] for m in plan.spec.models) / len(plan.spec.models) for s in plan.spec.strategies}
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


def _seconds(plan: Plan, recipe: Recipe, speed: Speed) -> float:
    images = sum(plan.dataset.splits.values())
    steps, evaluations = _steps(plan.spec.budget, plan.dataset.splits["train"], recipe.batch_size)
    evaluating = (plan.dataset.splits["val"] * evaluations + images) / speed.forward
    return evaluating + sum(_phase_seconds(plan.spec.budget, p, recipe, steps, speed) for p in recipe.phases)


def _phase_seconds(budget: Budget, phase: FitRecipe | TrainRecipe, recipe: Recipe, steps: int, speed: Speed) -> float:
    if isinstance(phase, FitRecipe):
        return 0.0
    if budget.seconds is not None:
        return budget.seconds * phase.share
    rate = speed.forward if phase.trainable == "head" else speed.step
    return steps * phase.share * recipe.batch_size / rate


def _steps(budget: Budget, num_train: int, batch_size: int) -> tuple[int, int]:
    per_epoch = max(1, round(num_train / batch_size))
    if budget.steps is not None:
        return budget.steps, min(50, max(1, budget.steps // per_epoch))
    epochs = budget.epochs or 1
    return epochs * per_epoch, min(50, epochs)

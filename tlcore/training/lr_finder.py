"""A learning-rate finder: the first gradient phase of a strategy, trained at a growing rate on the training part.

The steps are those of a run (its images, augmentation, loss, optimiser and batch); only the rate differs, and nothing
is kept. Neither validation nor test images are evaluated, except that a `Fit` before the phase sweeps its C.
"""

import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.optim import Optimizer

from tlcore.datasets import splits, store
from tlcore.errors import NonFiniteLossError, SpecError
from tlcore.recipes import FitRecipe, TrainRecipe
from tlcore.recipes.search import RateRange
from tlcore.results import EvaluationPoint, RateFinding, Resolved, Trial
from tlcore.settings import get_settings
from tlcore.spec import RunSpec, checked
from tlcore.training import lr_curve
from tlcore.training.answer import Listener
from tlcore.training.device import pick_device, reset_peak_memory, set_threads
from tlcore.training.features.fitting import fit_phase
from tlcore.training.features.store import Features
from tlcore.training.loop.checkpoints import State, fresh_state
from tlcore.training.loop.memory import memory_told
from tlcore.training.loop.steps import make_ready, train_step
from tlcore.training.loop.task import Task, check_stop
from tlcore.training.networks.checking import idle_settings
from tlcore.training.prepare import Ground, prepare, recipe_of
from tlcore.training.room import used_stays

_NOISE = (
    "the loss falls by no more than it scatters from batch to batch, so this suggestion is little more than a guess: "
    "try more steps or a larger batch, or keep the recipe's rate"
)


@dataclass(frozen=True)
class _Told:
    """Passes on what the parts of a run report. Implements `reporter.Reporter`."""

    listener: Listener

    def resolved(self, resolved: Resolved) -> None:
        """Nobody asks."""

    def evaluated(self, history: tuple[EvaluationPoint, ...], newest: int) -> None:
        """There is no curve of a run."""

    def tried(self, trials: tuple[Trial, ...]) -> None:
        """There are no trials."""

    def progressed(self, done: float, message: str) -> None:
        self.listener.progress(done, message)

    def should_stop(self) -> bool:
        return self.listener.should_stop()


def answer_question(request: dict[str, Any], listener: Listener) -> dict[str, Any]:
    """The answer to the question `lr_find`. request: `spec` of a run, `weights_path`, and the fields of `RateRange`.

    Raises: RunCancelledError, and what `train_run` raises before its first step.
    """
    spec = RunSpec.model_validate(request["spec"])
    given = {name: request[name] for name in RateRange.model_fields if request.get(name) is not None}
    path, settings = request.get("weights_path"), get_settings()
    dataset = store.load_dataset(spec.dataset_id, settings)
    split = splits.make_split(dataset, spec.seed, spec.fraction, spec.split)
    set_threads(spec.num_threads)
    with tempfile.TemporaryDirectory(prefix="lr-find-") as folder:
        ground = Ground(
            spec, dataset, split, Path(folder), settings.cache, _Told(listener), path and Path(path),
            pick_device(spec.device), time.perf_counter(),
        )  # fmt: skip
        return find_learning_rate(ground, checked(RateRange, **given)).model_dump(mode="json")


def find_learning_rate(ground: Ground, wanted: RateRange) -> RateFinding:
    """Train the strategy's first gradient phase at growing rates. ground.work_dir: for what is made on the way.

    Raises: SpecError for a strategy without gradient steps; RunCancelledError; TrainingError where memory runs out.
    """
    with memory_told(), used_stays():
        return _find(ground, wanted)


def _find(ground: Ground, wanted: RateRange) -> RateFinding:
    check_stop(ground.reporter)
    reset_peak_memory(ground.device.device)
    recipe = recipe_of(ground)
    found = next(((i, p) for i, p in enumerate(recipe.phases) if isinstance(p, TrainRecipe)), None)
    if found is None:
        raise SpecError(f"{ground.spec.strategy} takes no gradient steps, so it has no learning rate to find")
    number, phase = found
    prepared = prepare(ground, recipe, ground.work_dir / "checkpoint", ground.reporter)
    state = fresh_state(ground.device.device)
    _fit_before(prepared.task, state, prepared.stored, number)
    begun = time.perf_counter()
    rates = lr_curve.growing_rates(wanted.low, wanted.high, wanted.steps)
    losses = _losses(prepared.task, state, phase, rates)
    return _finding(prepared.task, ground.spec, number, rates, losses, time.perf_counter() - begun, state.notes)


def _fit_before(task: Task, state: State, stored: Features, number: int) -> None:
    """Do the phases before the first gradient phase: a `Fit` at most."""
    for phase in task.recipe.phases[:number]:
        assert isinstance(phase, FitRecipe)  # `number` is the first of the others
        fit_phase(task, state, phase, stored)


def _losses(task: Task, state: State, phase: TrainRecipe, rates: list[float]) -> list[float]:
    """The loss at each rate, until it diverges; one that is no number is left out."""
    steady = phase.model_copy(update={"schedule": "constant", "warmup": 0.0})
    lesson = make_ready(task, steady)
    set_rate = _rate_setter(lesson.optimizer, phase)
    losses: list[float] = []
    try:
        for rate in rates:
            check_stop(task.reporter)
            set_rate(rate)
            before, seen = float(state.loss_sum), state.seen
            try:
                train_step(task, state, lesson)
            except NonFiniteLossError:
                break
            loss = (float(state.loss_sum) - before) / (state.seen - seen)
            if not math.isfinite(loss):
                break
            losses.append(loss)
            task.reporter.progressed(len(losses) / len(rates), f"rate {rate:.2g}, step {len(losses)} of {len(rates)}")
            if lr_curve.diverged(lr_curve.smoothed(losses)):
                break
    finally:
        lesson.let_go()
    return losses


def _rate_setter(optimizer: Optimizer, phase: TrainRecipe) -> Callable[[float], None]:
    """Sets the head's rate, and all others in the recipe's proportion to it."""
    own = [group["base_lr"] / phase.learning_rate for group in optimizer.param_groups]

    def set_rate(rate: float) -> None:
        for group, factor in zip(optimizer.param_groups, own, strict=True):
            group["base_lr"] = factor * rate

    return set_rate


def _settings(task: Task, spec: RunSpec, number: int, rate: float | None) -> dict[str, float]:
    """What to set so that the phase has this rate: of the head and of the backbone where they train, in proportion."""
    phase = task.recipe.phases[number]
    if rate is None or not isinstance(phase, TrainRecipe):
        return {}
    rates = {"learning_rate": rate, "backbone_learning_rate": rate * phase.backbone_learning_rate / phase.learning_rate}
    idle = idle_settings(task.network, phase)
    place = f"{number + 1}." if len(spec.entry.phases) > 1 else ""
    return {place + name: float(f"{value:.3g}") for name, value in rates.items() if name not in idle}


def _finding(
    task: Task,
    spec: RunSpec,
    number: int,
    rates: list[float],
    losses: list[float],
    seconds: float,
    notes: tuple[str, ...],
) -> RateFinding:
    phase = task.recipe.phases[number]
    assert isinstance(phase, TrainRecipe)
    curve, tried = lr_curve.smoothed(losses), rates[: len(losses)]
    middle, steep = (rule(tried, curve, len(rates)) for rule in (lr_curve.valley, lr_curve.steepest))
    return RateFinding(
        strategy=spec.strategy,
        model=spec.model,
        phase=number,
        trainable=phase.trainable,
        batch_size=task.recipe.batch_size,
        rates=tuple(tried),
        losses=tuple(losses),
        smoothed=tuple(curve),
        steepest=steep,
        valley=middle,
        suggestion=middle or steep,
        recipe_rate=phase.learning_rate,
        settings=_settings(task, spec, number, middle or steep),
        diverged=len(losses) < len(rates),
        seconds=seconds,
        notes=notes,
        caution=_NOISE if (middle or steep) and lr_curve.is_noise(losses, len(rates)) else "",
    )

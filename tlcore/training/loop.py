"""One phase of gradient steps, readable from top to bottom.

What is charged to `train_seconds`: optimiser steps (fetching and augmenting the batch included) and validation passes.
Never charged: decoding and building caches, queueing, logging, checkpoints, and the final pass over train and test.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from tlcore.errors import NonFiniteLossError, RunCancelledError
from tlcore.recipes import Recipe, TrainRecipe
from tlcore.results import EvaluationPoint, FrozenState, PartMetrics
from tlcore.training import evaluation, stream
from tlcore.training.batches import ImageSource, Rows, training_batch
from tlcore.training.checkpoints import Best, State, save_best, save_last
from tlcore.training.forward import logits, predictions
from tlcore.training.freezing import apply_trainable, frozen_fingerprint
from tlcore.training.models import Network
from tlcore.training.optimizers import learning_rates, make_optimizer, set_learning_rates, synchronize
from tlcore.training.plan import Plan
from tlcore.training.position import evaluation_due, phase_over, phase_progress, save_due, spent
from tlcore.training.reporter import Reporter

CHECK_EVERY = 50  # steps between looks at the loss on a GPU, as each look waits for it; a CPU looks at every step
PREPARED, TRAINED = 0.05, 0.95  # of the progress bar


@dataclass(frozen=True)
class Task:
    """What a run needs and never changes. train, val: row numbers. started: perf_counter at 0 total seconds."""

    network: Network
    source: ImageSource
    train: Rows
    val: Rows
    num_train_full: int
    num_classes: int
    recipe: Recipe
    plan: Plan
    seed: int
    fingerprint: str
    folder: Path
    reporter: Reporter
    started: float

    @property
    def evaluation_batch(self) -> int:
        """Images at once without gradients, which needs less than half the memory of training."""
        return 2 * self.recipe.batch_size


def train_phase(task: Task, state: State, recipe: TrainRecipe) -> None:
    """Train the phase that `state` stands in, from wherever it stands, to its end. recipe: of this phase.

    Raises: RunCancelledError when asked to stop, with a checkpoint written; NonFiniteLossError.
    """
    apply_trainable(task.network, recipe.trainable, recipe.normalization)
    optimizer = make_optimizer(task.network, recipe)
    if state.begun is None:
        begin_phase(task, state, recipe)
    elif state.optimizer is not None:
        optimizer.load_state_dict(state.optimizer)
    saved = state.train_seconds
    try:
        while True:
            if evaluation_due(task.plan, state):
                _evaluate(task, state, optimizer)
                saved = save(task, state, optimizer)
                task.reporter.evaluated(state.history, 1)
            elif save_due(task.plan, state, saved):
                saved = save(task, state, optimizer)
            if phase_over(task.plan, state):
                break
            check_stop(task.reporter)
            with charged(state, task.source.device.device, steps=True):
                _step(task, state, recipe, optimizer)
            _report_progress(task, state)
    except RunCancelledError:
        save(task, state, optimizer)
        raise
    end_phase(task, state, recipe)


def _step(task: Task, state: State, recipe: TrainRecipe, optimizer: Optimizer) -> None:
    """One optimiser step. Everything random in it follows from (seed, step)."""
    seed = stream.step_seed(task.seed, state.step)
    torch.manual_seed(seed)
    positions = stream.batch_positions(task.seed, state.step, task.recipe.batch_size, len(task.train))
    images, labels = training_batch(task.source, task.train[positions], recipe.augmentation, seed)
    scores = logits(task.network, task.source.device, images)
    loss = cross_entropy(scores, labels, label_smoothing=recipe.label_smoothing)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    set_learning_rates(optimizer, recipe, phase_progress(task.plan, state))
    optimizer.step()

    scores = scores.detach()
    state.loss_sum += cross_entropy(scores, labels, reduction="sum").double()
    state.hits += (scores.argmax(1) == labels).sum()
    state.seen += len(labels)
    state.step += 1
    if scores.device.type == "cpu" or state.step % CHECK_EVERY == 0:
        _require_finite(task, state, float(state.loss_sum), "training")


def _evaluate(task: Task, state: State, optimizer: Optimizer) -> None:
    """Add a point to the curve; keep the weights if they are the best so far. Changes nothing when it is stopped."""
    _require_finite(task, state, float(state.loss_sum), "training")
    with charged(state, task.source.device.device):
        batches = predictions(
            task.network, task.source, task.val, task.evaluation_batch, lambda: check_stop(task.reporter)
        )
        val = evaluation.summarise(batches, task.num_classes)
    _require_finite(task, state, val.loss or 0.0, "validation")
    record(
        task,
        state,
        val,
        train_loss=float(state.loss_sum) / state.seen,
        train_accuracy=int(state.hits) / state.seen,
        rates=learning_rates(optimizer),
        images_seen=state.step * task.recipe.batch_size,
    )


def record(
    task: Task,
    state: State,
    val: PartMetrics,
    train_loss: float | None,
    train_accuracy: float,
    rates: dict[str, float],
    images_seen: int,
    extra: dict[str, torch.Tensor] | None = None,
) -> None:
    """Append a point, and save the best. extra: tensors to keep beside the network's."""
    epoch = state.step * task.recipe.batch_size / task.num_train_full
    point = EvaluationPoint(
        step=state.step,
        epoch=epoch,
        images_seen=images_seen,
        train_seconds=state.train_seconds,
        timestamp_ms=time.time_ns() // 1_000_000,
        phase=state.phase,
        train_loss=train_loss,
        train_accuracy=train_accuracy,
        val_loss=val.loss,
        val_accuracy=val.accuracy,
        learning_rates=rates,
    )
    if state.best is None or _rank(val) > _rank(state.best.val):
        weights = save_best(task.folder, state.step, {**task.network.module.state_dict(), **(extra or {})})
        state.best = Best(step=state.step, epoch=epoch, val=val, weights=weights)
    state.history = (*state.history, point)
    state.last_val = val
    state.loss_sum.zero_()
    state.hits.zero_()
    state.seen = 0


def begin_phase(task: Task, state: State, recipe: TrainRecipe | None = None) -> None:
    """Note where the phase begins, and the hash of what it must not change (all but the head without a recipe)."""
    number, before = _fingerprint(task, recipe)
    state.begun, state.begun_step = spent(task.plan, state), state.step
    state.frozen_before = before if number else None


def end_phase(task: Task, state: State, recipe: TrainRecipe | None = None) -> None:
    """Note the hash again, and move on to the next phase."""
    if state.frozen_before is not None:
        number, after = _fingerprint(task, recipe)
        proof = FrozenState(phase=state.phase, num_tensors=number, before=state.frozen_before, after=after)
        state.frozen_states = (*state.frozen_states, proof)
    state.phase += 1
    state.begun = state.frozen_before = state.optimizer = None


def save(task: Task, state: State, optimizer: Optimizer | None = None) -> float:
    """Write the checkpoint of now; the training seconds that it holds."""
    state.optimizer = None if optimizer is None else optimizer.state_dict()
    state.total_seconds = time.perf_counter() - task.started
    save_last(task.folder, task.fingerprint, state, task.network.module.state_dict())
    return state.train_seconds


@contextmanager
def charged(state: State, device: torch.device, steps: bool = False) -> Iterator[None]:
    """Charge the time inside to the run's training seconds. A GPU's queue is waited for, except between steps."""
    begun = time.perf_counter()
    yield
    if not steps:
        synchronize(device)
    seconds = time.perf_counter() - begun
    state.train_seconds += seconds
    state.step_seconds += seconds if steps else 0.0


def check_stop(reporter: Reporter) -> None:
    """Raises: RunCancelledError when somebody asked for the end."""
    if reporter.should_stop():
        raise RunCancelledError("the run was stopped; it goes on from its checkpoint when it is resumed")


def _rank(val: PartMetrics) -> tuple[float, float]:
    """Higher is better; the earlier of two equal ones stays."""
    return val.accuracy, -(val.loss or 0.0)


def _fingerprint(task: Task, recipe: TrainRecipe | None) -> tuple[int, str]:
    if recipe is None:
        return frozen_fingerprint(task.network, "head", "eval")
    return frozen_fingerprint(task.network, recipe.trainable, recipe.normalization)


def _require_finite(task: Task, state: State, loss: float, which: str) -> None:
    if math.isfinite(loss):
        return
    recipe = task.recipe.phases[state.phase]
    rate = recipe.learning_rate if isinstance(recipe, TrainRecipe) else 0.0
    raise NonFiniteLossError(
        f"the {which} loss is {loss} at optimiser step {state.step} (learning rate {rate:g}): try a lower one, "
        f"such as --set {task.recipe.strategy}.learning_rate={rate / 10:g}"
    )


def _report_progress(task: Task, state: State) -> None:
    plan = task.plan
    done = min(1.0, spent(plan, state) / plan.total)
    amount = (
        f"step {state.step} of {plan.total_steps}"
        if plan.total_steps
        else f"{state.train_seconds:.0f} of {plan.total:g} s"
    )
    phase = f"phase {state.phase + 1} of {len(plan.ends)}, " if len(plan.ends) > 1 else ""
    task.reporter.progressed(PREPARED + done * (TRAINED - PREPARED), f"training: {phase}{amount}")


def rows_of(numbers: tuple[int, ...]) -> Rows:
    """Row numbers as an array."""
    return np.array(numbers, dtype=np.int64)

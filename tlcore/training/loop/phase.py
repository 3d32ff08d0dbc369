"""One phase of gradient steps, readable from top to bottom.

What is charged to `train_seconds`: optimiser steps (fetching and augmenting the batch included) and validation passes.
Never charged: decoding and building caches, queueing, logging, checkpoints, and the final pass over train and test.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch.optim import Optimizer

from tlcore.errors import RunCancelledError
from tlcore.recipes import FitRecipe, TrainRecipe
from tlcore.results import EvaluationPoint, FrozenState, PartMetrics
from tlcore.training.features.store import Features, feature_seconds
from tlcore.training.images.batches import Rows
from tlcore.training.loop.checkpoints import Best, State, save_best, save_last
from tlcore.training.loop.memory import in_parts, letting_go
from tlcore.training.loop.optimizers import learning_rates, synchronize
from tlcore.training.loop.position import evaluation_due, phase_over, plan_now, rank, save_due, spent, stale_evaluations
from tlcore.training.loop.steps import Lesson, make_ready, require_finite, train_step
from tlcore.training.loop.task import PREPARED, TRAINED, Task, check_stop
from tlcore.training.networks.adapters import merge_adapters, network_tensors
from tlcore.training.networks.forward import predictions
from tlcore.training.networks.freezing import frozen_fingerprint, has_linear_head
from tlcore.training.outcome import evaluation, reports
from tlcore.training.outcome.evaluation import Predictions

FEW = 10  # images per second, below which one decimal is told


def train_phase(task: Task, state: State, recipe: TrainRecipe, stored: Features) -> None:
    """Train the phase that `state` stands in, from wherever it stands, to its end. recipe: of this phase.

    stored: features of the network as it started.

    Raises: RunCancelledError when asked to stop, with a checkpoint written; NonFiniteLossError.
    """
    lesson = make_ready(task, recipe)
    if state.begun is None:
        begin_phase(task, state)
    elif state.optimizer is not None:
        lesson.optimizer.load_state_dict(state.optimizer)
    saved, first = state.train_seconds, (state.step, state.step_seconds)
    try:
        while True:
            plan = plan_now(task.plan, state)
            if evaluation_due(plan, state):
                _await_steps(task, state)
                _evaluate(task, state, lesson, stored)
                _stop_early(task, state, recipe)
                saved = save(task, state, lesson.optimizer)
                with task.watch.measure("logging"):
                    task.reporter.evaluated(state.history, 1)
            elif save_due(plan, state, saved):
                _await_steps(task, state)
                saved = save(task, state, lesson.optimizer)
            if phase_over(plan_now(task.plan, state), state):
                break
            with task.watch.measure("logging"):
                check_stop(task.reporter)
            with charged(state, task.source.device.device, steps=True):
                train_step(task, state, lesson)
            with task.watch.measure("logging"):
                _report_progress(task, state, *first)
    except RunCancelledError:
        save(task, state, lesson.optimizer)
        raise
    finally:
        lesson.let_go()
    end_phase(task, state)
    merge_adapters(task.network)


def predicted(
    task: Task, state: State, rows: Rows, stored: Features, let_go: Callable[[], bool] = lambda: False
) -> list[Predictions]:
    """What the network says of some rows, fewer at once where memory runs out.

    stored: features of the network as it started, used as long as nothing else has trained than what they go into.
    let_go: as of `letting_go`, where not even the smallest part fits. Raises: RunCancelledError.
    """
    seen = stored.plain().features if _features_stay(task, state) else None

    def work(size: int) -> list[Predictions]:
        return list(predictions(task.network, task.source, rows, size, lambda: check_stop(task.reporter), seen))

    asked = min(state.evaluation_batch or task.evaluation_batch, len(rows))
    found, size = letting_go(partial(in_parts, work, asked, "evaluation"), let_go)
    if size < asked:
        state.evaluation_batch = size
        note = f"memory ran out while evaluating: from there on, {size} images at a time instead of {asked}"
        state.notes = (*state.notes, note)
    return found


def _await_steps(task: Task, state: State) -> None:
    """Charge what a GPU still has to do of the steps that it was given."""
    with charged(state, task.source.device.device, steps=True):
        synchronize(task.source.device.device)


def _features_stay(task: Task, state: State) -> bool:
    """Whether the head's last linear layer, which receives the features, is all that has trained so far."""
    phases = task.recipe.phases[: state.phase + 1]
    return has_linear_head(task.network) and all(isinstance(p, FitRecipe) or p.trainable == "head" for p in phases)


def _evaluate(task: Task, state: State, lesson: Lesson, stored: Features) -> None:
    """Add a point to the curve; keep the weights if they are the best so far. Changes nothing when it is stopped."""
    require_finite(task, state, float(state.loss_sum), "training")
    cost = 0.0 if state.history else feature_seconds(task, stored)
    with charged(state, task.source.device.device), task.watch.measure("evaluation"):
        val = evaluation.summarise(predicted(task, state, task.val, stored, lesson.let_go), task.num_classes)
    state.train_seconds += cost
    require_finite(task, state, val.loss or 0.0, "validation")
    record(
        task,
        state,
        val,
        train_loss=float(state.loss_sum) / state.seen,
        train_accuracy=int(state.hits) / state.seen,
        rates=learning_rates(lesson.optimizer),
        images_seen=state.step * task.recipe.batch_size,
    )


def _stop_early(task: Task, state: State, recipe: TrainRecipe) -> None:
    """End the phase where its patience is used up. Phases that follow share what is left of the budget."""
    plan, stale = plan_now(task.plan, state), stale_evaluations(state)
    if not recipe.patience or stale < recipe.patience or phase_over(plan, state):
        return
    state.stopped = (*state.stopped, (state.phase, spent(plan, state)))
    which = f"phase {state.phase + 1}" if len(plan.ends) > 1 else "training"
    count = f"{stale} evaluation{'s' if stale != 1 else ''}"
    note = f"{which} ended early, at optimiser step {state.step}: {count} without a better one (patience)"
    state.notes = (*state.notes, note)


def record(
    task: Task,
    state: State,
    val: PartMetrics,
    train_loss: float | None,
    train_accuracy: float,
    rates: dict[str, float],
    images_seen: int,
    has_probabilities: bool = True,
    extra: dict[str, torch.Tensor] | None = None,
) -> None:
    """Append a point, and save the best. has_probabilities: as of `Best`. extra: tensors beside the network's."""
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
    if state.best is None or rank_of(val) > rank_of(state.best.val):
        with task.watch.measure("checkpoint"):
            weights = save_best(task.folder, state.step, {**network_tensors(task.network), **(extra or {})})
        state.best = Best(step=state.step, epoch=epoch, val=val, weights=weights, has_probabilities=has_probabilities)
    state.history = (*state.history, point)
    state.last_val = val
    state.loss_sum.zero_()
    state.hits.zero_()
    state.seen = 0


def begin_phase(task: Task, state: State) -> None:
    """Note where the phase begins, and the hash of what it must not change."""
    number, before = _fingerprint(task, state)
    state.begun, state.begun_step = spent(task.plan, state), state.step
    state.frozen_before = before if number else None


def end_phase(task: Task, state: State) -> None:
    """Note the hash again and what the phase did, and move on to the next phase."""
    if state.frozen_before is not None:
        number, after = _fingerprint(task, state)
        proof = FrozenState(phase=state.phase, num_tensors=number, before=state.frozen_before, after=after)
        state.frozen_states = (*state.frozen_states, proof)
    recipe = task.recipe.phases[state.phase]
    report = reports.phase_report(task.network, state.phase, recipe, state.begun_step, state.step)
    state.phases = (*state.phases, report)
    state.trained = (*state.trained, reports.trained_by_group(task.network, recipe))
    state.phase += 1
    state.begun = state.frozen_before = state.optimizer = None


def save(task: Task, state: State, optimizer: Optimizer | None = None) -> float:
    """Write the checkpoint of now; the training seconds that it holds."""
    state.optimizer = None if optimizer is None else optimizer.state_dict()
    state.total_seconds, state.seconds_by_part = time.perf_counter() - task.started, task.watch.seconds
    with task.watch.measure("checkpoint"):
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


def rank_of(val: PartMetrics) -> tuple[float, float]:
    """By which the best is chosen, of evaluations and of trials."""
    return rank(val.accuracy, val.loss)


def _fingerprint(task: Task, state: State) -> tuple[int, str]:
    recipe = task.recipe.phases[state.phase]
    if isinstance(recipe, FitRecipe):
        return frozen_fingerprint(task.network, "head", "eval")
    return frozen_fingerprint(task.network, recipe.trainable, recipe.normalization)


def _report_progress(task: Task, state: State, first_step: int, first_seconds: float) -> None:
    """first_step, first_seconds: where this attempt at the phase began; its pace is told."""
    plan = plan_now(task.plan, state)
    done = min(1.0, spent(plan, state) / plan.total)
    amount = (
        f"step {state.step} of {plan.total_steps}"
        if plan.total_steps
        else f"{spent(plan, state):.0f} of {plan.total:g} s"
    )
    phase = f"phase {state.phase + 1} of {len(plan.ends)}, " if len(plan.ends) > 1 else ""
    pace = (state.step - first_step) * task.recipe.batch_size / (state.step_seconds - first_seconds)
    words = f"training: {phase}{amount}, {pace:,.{1 if pace < FEW else 0}f} images/s"
    task.reporter.progressed(PREPARED + done * (TRAINED - PREPARED), words)

"""One run from its spec to its outcome: prepare, train phase by phase, conclude."""

import platform
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import sklearn
import timm
import torch
import torchvision
from torch import Tensor

from tlcore.datasets.dataset import Dataset, Split
from tlcore.errors import TrainingError
from tlcore.recipes import FitRecipe, TrainRecipe
from tlcore.results import Resolved, RunOutcome, TrainedOn
from tlcore.settings import VERSION
from tlcore.spec import RunSpec
from tlcore.training.crowding import core_time, crowding_notes
from tlcore.training.device import Device, pick_device, reset_peak_memory, set_threads
from tlcore.training.features.fitting import KNN_FEATURES, KNN_LABELS, feature_predictions
from tlcore.training.features.store import Features
from tlcore.training.floors import floors_of
from tlcore.training.images.batches import Rows
from tlcore.training.loop import checkpoints
from tlcore.training.loop.auto_batch import batch_note
from tlcore.training.loop.checkpoints import Best, State
from tlcore.training.loop.memory import memory_told
from tlcore.training.loop.phase import predicted
from tlcore.training.loop.phases import train
from tlcore.training.loop.task import Task, check_stop
from tlcore.training.networks.construction import second_heads_note
from tlcore.training.networks.onnx_network import provider_note
from tlcore.training.outcome import evaluation
from tlcore.training.outcome.conclusion import conclude, write_artifacts
from tlcore.training.outcome.costs import take_home_costs
from tlcore.training.outcome.evaluation import Predictions
from tlcore.training.outcome.export import write_model
from tlcore.training.outcome.reports import layer_groups, tensors_at_start
from tlcore.training.prepare import Ground, Prepared, prepare, recipe_of, resume
from tlcore.training.reporter import Reporter
from tlcore.training.room import used_stays
from tlcore.training.tuning import tune

LIBRARIES = (torch, torchvision, timm, sklearn, np)


def train_run(
    spec: RunSpec,
    dataset: Dataset,
    split: Split,
    work_dir: Path,
    cache_dir: Path,
    reporter: Reporter,
    weights_path: Path | None = None,
    trained_on: TrainedOn | None = None,
) -> RunOutcome:
    """Do one run, or go on with it where `work_dir` holds its checkpoint; on a CPU the curve is the same, bit for bit.

    work_dir: gets `checkpoint/`, `artifacts/` and `model/`. cache_dir: decoded images and features, shared by runs.
    weights_path: the file behind `file:` or `run:` weights where it is not in the spec. trained_on: what the network
    will have learned from, to be told in its weights file.
    Raises: RunCancelledError with a checkpoint written, NonFiniteLossError, and other TlcoreErrors.
    """
    started = time.perf_counter()
    with memory_told(), used_stays():
        check_stop(reporter)
        reporter.progressed(0.0, "preparing")
        set_threads(spec.num_threads)
        device = pick_device(spec.device)
        reset_peak_memory(device.device)
        ground = Ground(spec, dataset, split, work_dir, cache_dir, reporter, weights_path, device, started, trained_on)
        return _train_run(ground)


def _train_run(ground: Ground) -> RunOutcome:
    spec, split, reporter = ground.spec, ground.split, ground.reporter
    before = core_time()
    prepared = prepare(ground, recipe_of(ground), ground.work_dir / "checkpoint", reporter)
    resolved = _resolved(ground, prepared)
    reporter.resolved(resolved)
    floors, floor_notes = floors_of(ground, prepared)
    tuned = None
    if spec.tune:
        tuned = tune(ground, prepared.task.watch.seconds)
        prepared = prepare(ground, tuned.recipe, tuned.folder, reporter)
        resolved = _resolved(ground, prepared)
        reporter.resolved(resolved)

    start = tensors_at_start(prepared.task.network)
    task, state = resume(prepared.task)
    train(task, state, prepared.stored)  # of a tuned run, nothing but the end is left
    crowding = crowding_notes(before, core_time(), torch.get_num_threads())

    recipe, classes = task.recipe, ground.dataset.info.classes
    best, tensors = _load_best(task, state)
    score = partial(_score, task, state, prepared.stored, tensors, best)
    groups = layer_groups(task.network, start, tensors, state.trained)
    outcome, answers = conclude(task, state, score, split, groups)
    if tuned is not None:
        outcome = tuned.charged(outcome)
    folder = ground.work_dir / "model"
    write_model(folder, task.network, tensors, spec, recipe, classes, best.has_probabilities, ground.trained_on)
    pace = outcome.images_per_second or 1 / prepared.stored.plain().seconds_per_image
    notes = (*outcome.notes, *crowding, *floor_notes)
    figures = {"floors": floors, "notes": notes, "images_per_second": pace, **take_home_costs(task, folder)}
    outcome = outcome.model_copy(update=figures)
    write_artifacts(ground.work_dir / "artifacts", ground.dataset, split, state, resolved, outcome, answers)
    reporter.progressed(1.0, "finished")
    return outcome


def _load_best(task: Task, state: State) -> tuple[Best, dict[str, Tensor]]:
    """The best evaluation, and its tensors, which are put into the network, with those of a k-NN beside them."""
    if state.best is None:
        raise TrainingError("the run ended without an evaluation: its budget has no whole step")
    tensors = checkpoints.load_best(task.folder, state.best)
    own = {name: tensor for name, tensor in tensors.items() if name not in (KNN_FEATURES, KNN_LABELS)}
    task.network.module.load_state_dict(own)
    return state.best, tensors


def _score(
    task: Task, state: State, stored: Features, tensors: dict[str, Tensor], best: Best, rows: Rows
) -> Predictions:
    """What the best network says of some rows: by the classifier itself where the last phase fitted one."""
    last = task.recipe.phases[-1]
    if isinstance(last, FitRecipe):
        return feature_predictions(task, last, stored, tensors, rows)
    found = evaluation.join(predicted(task, state, rows, stored))
    return found if best.has_probabilities else replace(found, probabilities=None, losses=None)


def _notes(prepared: Prepared, device: Device) -> tuple[str, ...]:
    """What a person must know of how the run went about it, besides its weights."""
    task = prepared.task
    onnx = provider_note(device.device) if task.network.facts.library == "onnx" else ()
    deep = any(isinstance(phase, TrainRecipe) and phase.trainable != "head" for phase in task.recipe.phases)
    heads = second_heads_note(task.network.facts.model) if deep else ()
    return (*batch_note(task.recipe, device, task.network.facts), *onnx, *heads)


def _resolved(ground: Ground, prepared: Prepared) -> Resolved:
    task, split, device, recipe = prepared.task, ground.split, ground.device, prepared.task.recipe
    return Resolved(
        device=device.id,
        device_reason=device.reason,
        dtype=str(device.dtype).removeprefix("torch."),
        num_threads=torch.get_num_threads(),
        image_size=recipe.preprocessing.size,
        batch_size=recipe.batch_size,
        total_steps=task.plan.total_steps,
        num_train=len(split.train),
        num_val=len(split.val),
        num_test=len(split.test),
        split_fingerprint=split.fingerprint,
        test_fingerprint=split.test_fingerprint,
        weights_fingerprint=prepared.weights and prepared.weights.fingerprint,
        weights=prepared.weights and prepared.weights.match,
        notes=(*(prepared.weights.notes if prepared.weights else ()), *_notes(prepared, device)),
        recipe=recipe.model_dump(mode="json"),
        library_versions={
            "tlcore": VERSION,
            "python": platform.python_version(),
            **{m.__name__: m.__version__ for m in LIBRARIES},
        },
    )

"""What must be there before a run, or a trial of it, can train: recipe, network, images, plan, stored features."""

import logging
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from tlcore.datasets.dataset import Dataset, Split
from tlcore.recipes import DataFacts, FitRecipe, Recipe, TrainRecipe, resolve
from tlcore.results import TrainedOn
from tlcore.spec import RunSpec, content_fingerprint
from tlcore.strategies import SettingValue
from tlcore.training.device import Device
from tlcore.training.features.store import FEATURES_MADE, Extraction, Features, backbone_state
from tlcore.training.images import stream
from tlcore.training.images.batches import open_source
from tlcore.training.images.cache import open_cache
from tlcore.training.loop import checkpoints
from tlcore.training.loop.auto_batch import Probe, batch_limit, is_measured, largest_batch
from tlcore.training.loop.checkpoints import State
from tlcore.training.loop.plan import make_plan
from tlcore.training.loop.task import PREPARED, Task, check_stop
from tlcore.training.networks.adapters import attach_adapters, holds_adapters
from tlcore.training.networks.models import Network, build_network, model_facts
from tlcore.training.reporter import Reporter
from tlcore.training.stopwatch import Stopwatch
from tlcore.training.weights.loading import WeightsReport, load_backbone

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ground:
    """What all trials of a run stand on. started: perf_counter at 0 total seconds. Others: as of `run.train_run`."""

    spec: RunSpec
    dataset: Dataset
    split: Split
    work_dir: Path
    cache_dir: Path
    reporter: Reporter
    weights_path: Path | None
    device: Device
    started: float
    trained_on: TrainedOn | None = None


@dataclass(frozen=True)
class Prepared:
    """A run at its start. weights: what was loaded. stored: features of the network as it starts."""

    task: Task
    weights: WeightsReport | None
    stored: Features


def recipe_of(ground: Ground, own: dict[str, SettingValue] | None = None) -> Recipe:
    """The run's recipe, its batch size measured where it is `auto`. own: values on top of what was asked.

    Raises: SpecError.
    """
    spec, num_train, facts = ground.spec, ground.split.num_train_full, model_facts(ground.spec.model)
    resolved = partial(
        resolve,
        spec.entry,
        DataFacts(num_train=num_train, short_side=ground.dataset.info.short_side),
        facts,
        image_size=spec.image_size,
        overrides={**spec.settings, **(own or {})},
    )
    recipe = resolved(batch_size=spec.batch_size)
    if not is_measured(recipe, ground.device, facts):
        return recipe
    limit = batch_limit(num_train, recipe.batch_size)
    probe = Probe(spec.model, recipe.preprocessing.size, len(ground.dataset.info.classes), limit, recipe.network)
    size = largest_batch(probe, ground.device, ground.cache_dir)
    return resolved(batch_size=size).model_copy(update={"auto_batch": True})


def prepare(ground: Ground, recipe: Recipe, folder: Path, reporter: Reporter) -> Prepared:
    """The network at its start, and all that training needs. folder: of the checkpoint. Raises: TlcoreError."""
    watch = Stopwatch(ground.device.device)
    with watch.measure("network"):
        network, weights = _network(ground, recipe)
    task = _task(ground, recipe, network, folder, reporter, watch)
    return Prepared(task, weights, Features(_extraction(ground, task, weights.fingerprint if weights else None)))


def resume(task: Task) -> tuple[Task, State]:
    """The state to go on from, which is said, its tensors in the network, its history sent again; or a fresh state."""
    device = task.source.device.device
    found = checkpoints.load_last(task.folder, task.fingerprint, device)
    if found is None:
        return task, checkpoints.fresh_state(device)
    state, tensors = found
    phase = task.recipe.phases[state.phase] if holds_adapters(tensors) else None
    if isinstance(phase, TrainRecipe):
        attach_adapters(task.network, phase, stream.start_seed(task.seed))
    task.network.module.load_state_dict(tensors)
    task.watch.include(state.seconds_by_part)
    number, phases = min(state.phase + 1, len(task.recipe.phases)), len(task.recipe.phases)
    said = f"goes on from its checkpoint: step {state.step}, phase {number} of {phases}"
    _log.info(said)
    task.reporter.progressed(state.step / task.plan.total_steps if task.plan.total_steps else 0.0, said)
    if state.history:
        task.reporter.evaluated(state.history, len(state.history))
    return replace(task, started=task.started - state.total_seconds), state


def _network(ground: Ground, recipe: Recipe) -> tuple[Network, WeightsReport | None]:
    """The network at its start on the device, channels last, and what was loaded of its pretrained weights."""
    spec = ground.spec
    torch.manual_seed(stream.start_seed(spec.seed))
    network = build_network(spec.model, len(ground.dataset.info.classes), recipe.preprocessing.size, recipe.network)
    report = None
    if spec.entry.needs_weights:
        report = load_backbone(network, spec.weights, ground.weights_path, spec.allow_partial_weights)
    network.module.to(ground.device.device).to(memory_format=torch.channels_last)
    return network, report


def _task(ground: Ground, recipe: Recipe, network: Network, folder: Path, reporter: Reporter, watch: Stopwatch) -> Task:
    def progress(done: float, message: str) -> None:
        check_stop(reporter)
        reporter.progressed(done * PREPARED, message)

    split = ground.split
    with watch.measure("decode"):
        cache = open_cache(ground.dataset, recipe.preprocessing, ground.cache_dir, progress)
        source = open_source(cache, ground.dataset, recipe.preprocessing, ground.device)
    identity = {
        "spec": ground.spec.model_dump(mode="json", exclude={"split"}),
        "split": split.fingerprint,  # the parts themselves instead of the plan
        "recipe": recipe.model_dump(mode="json"),
    }
    return Task(
        network=network,
        source=source,
        train=np.array(split.train, dtype=np.int64),
        val=np.array(split.val, dtype=np.int64),
        num_train_full=split.num_train_full,
        num_classes=len(ground.dataset.info.classes),
        recipe=recipe,
        plan=make_plan(ground.spec.budget, recipe, split.num_train_full),
        seed=ground.spec.seed,
        fingerprint=content_fingerprint(identity),
        folder=folder,
        reporter=reporter,
        started=ground.started,
        watch=watch,
    )


def _extraction(ground: Ground, task: Task, weights: str | None) -> Extraction:
    return Extraction(
        network=task.network,
        changes=task.recipe.network,
        source=task.source,
        dataset=ground.dataset,
        weights=weights or f"random:{ground.spec.seed}",
        start=backbone_state(task.network),
        cache_dir=ground.cache_dir,
        batch_size=task.evaluation_batch,
        reporter=task.reporter,
        watch=task.watch,
        until=FEATURES_MADE if isinstance(task.recipe.phases[0], FitRecipe) else PREPARED,
    )

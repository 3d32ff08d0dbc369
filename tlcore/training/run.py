"""One run from its spec to its outcome: prepare, train phase by phase, conclude."""

import platform
import time
from collections.abc import Callable
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
from tlcore.recipes import DataFacts, FitRecipe, Recipe, resolve
from tlcore.results import Resolved, RunOutcome
from tlcore.settings import VERSION
from tlcore.spec import RunSpec, content_fingerprint
from tlcore.strategies import STRATEGIES
from tlcore.training import checkpoints, evaluation, stream
from tlcore.training.batches import Rows, open_source
from tlcore.training.checkpoints import State
from tlcore.training.device import Device, pick_device, reset_peak_memory, set_threads
from tlcore.training.evaluation import Predictions
from tlcore.training.export import write_model
from tlcore.training.features import StoredFeatures
from tlcore.training.fitting import KNN_FEATURES, KNN_LABELS, feature_predictions, features_for, fit_phase
from tlcore.training.forward import predictions
from tlcore.training.freezing import trained_names
from tlcore.training.images import open_cache
from tlcore.training.loop import PREPARED, Task, check_stop, train_phase
from tlcore.training.models import Network, build_network, model_facts
from tlcore.training.outcome import conclude, write_artifacts
from tlcore.training.plan import make_plan
from tlcore.training.reporter import Reporter
from tlcore.training.weights import load_backbone

LIBRARIES = (torch, torchvision, timm, sklearn, np)


def train_run(
    spec: RunSpec,
    dataset: Dataset,
    split: Split,
    work_dir: Path,
    cache_dir: Path,
    reporter: Reporter,
    weights_path: Path | None = None,
) -> RunOutcome:
    """Do one run, or go on with it where `work_dir` holds its checkpoint; on a CPU the curve is the same, bit for bit.

    work_dir: gets `checkpoint/`, `artifacts/` and `model/`. cache_dir: decoded images and features, shared by runs.
    weights_path: the file behind `file:` or `run:` weights where it is not in the spec.
    Raises: RunCancelledError with a checkpoint written, NonFiniteLossError, and other TlcoreErrors.
    """
    started = time.perf_counter()
    try:
        return _train_run(spec, dataset, split, work_dir, cache_dir, reporter, weights_path, started)
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"the device ran out of memory: {error}; ask for a smaller batch (--batch-size) or image (--image-size)"
        ) from error


def _train_run(
    spec: RunSpec,
    dataset: Dataset,
    split: Split,
    work_dir: Path,
    cache_dir: Path,
    reporter: Reporter,
    weights_path: Path | None,
    started: float,
) -> RunOutcome:
    check_stop(reporter)
    reporter.progressed(0.0, "preparing")
    threads = set_threads(spec.num_threads)
    device = pick_device(spec.device)
    reset_peak_memory(device.device)
    recipe = _recipe(spec, dataset, split)
    network, weights = _network(spec, dataset, recipe, device, weights_path)
    task = _task(spec, dataset, split, work_dir, cache_dir, reporter, recipe, network, device, started)
    resolved = _resolved(device, threads, recipe, task, split, weights)
    reporter.resolved(resolved)

    task, state = _resume(task)
    stored = _features(task, state, dataset, weights or f"random:{spec.seed}", cache_dir)
    while state.phase < len(recipe.phases):
        phase = recipe.phases[state.phase]
        if isinstance(phase, FitRecipe):
            fit_phase(task, state, phase, stored())
        else:
            train_phase(task, state, phase)

    tensors = _load_best(task, state)
    score = partial(_score, task, stored, tensors)
    outcome, predicted = conclude(task, state, score, split, _num_trained(network, recipe))
    write_artifacts(work_dir / "artifacts", dataset, split, state, resolved, outcome, predicted)
    write_model(work_dir / "model", network, tensors, spec, recipe, dataset.info.classes)
    reporter.progressed(1.0, "finished")
    return outcome


def _recipe(spec: RunSpec, dataset: Dataset, split: Split) -> Recipe:
    return resolve(
        STRATEGIES[spec.strategy],
        DataFacts(num_train=split.num_train_full, short_side=dataset.info.short_side),
        model_facts(spec.model),
        image_size=spec.image_size,
        batch_size=spec.batch_size,
        overrides=spec.overrides,
    )


def _network(
    spec: RunSpec, dataset: Dataset, recipe: Recipe, device: Device, weights_path: Path | None
) -> tuple[Network, str | None]:
    """The network at its start on the device, channels last, and the fingerprint of its pretrained weights."""
    torch.manual_seed(stream.start_seed(spec.seed))
    network = build_network(spec.model, len(dataset.info.classes), recipe.preprocessing.size)
    fingerprint = None
    if STRATEGIES[spec.strategy].needs_weights:
        fingerprint = load_backbone(network, spec.weights, weights_path).fingerprint
    network.module.to(device.device).to(memory_format=torch.channels_last)
    return network, fingerprint


def _task(
    spec: RunSpec,
    dataset: Dataset,
    split: Split,
    work_dir: Path,
    cache_dir: Path,
    reporter: Reporter,
    recipe: Recipe,
    network: Network,
    device: Device,
    started: float,
) -> Task:
    def progress(done: float, message: str) -> None:
        check_stop(reporter)
        reporter.progressed(done * PREPARED, message)

    cache = open_cache(dataset, recipe.preprocessing, cache_dir, progress)
    identity = {
        "spec": spec.model_dump(mode="json"),
        "split": split.fingerprint,
        "recipe": recipe.model_dump(mode="json"),
    }
    return Task(
        network=network,
        source=open_source(cache, dataset, recipe.preprocessing, device),
        train=np.array(split.train, dtype=np.int64),
        val=np.array(split.val, dtype=np.int64),
        num_train_full=split.num_train_full,
        num_classes=len(dataset.info.classes),
        recipe=recipe,
        plan=make_plan(spec.budget, recipe, split.num_train_full),
        seed=spec.seed,
        fingerprint=content_fingerprint(identity),
        folder=work_dir / "checkpoint",
        reporter=reporter,
        started=started,
    )


def _resume(task: Task) -> tuple[Task, State]:
    """The state to go on from, its tensors in the network, and its history sent again; or a fresh state."""
    device = task.source.device.device
    found = checkpoints.load_last(task.folder, task.fingerprint, device)
    if found is None:
        return task, checkpoints.fresh_state(device)
    state, tensors = found
    task.network.module.load_state_dict(tensors)
    if state.history:
        task.reporter.evaluated(state.history, len(state.history))
    return replace(task, started=task.started - state.total_seconds), state


def _features(
    task: Task, state: State, dataset: Dataset, weights: str, cache_dir: Path
) -> Callable[[], StoredFeatures]:
    """A function that gives the stored features of the network as it starts, making them at most once."""
    known: list[StoredFeatures] = []

    def stored() -> StoredFeatures:
        if not known:
            known.append(features_for(task, dataset, weights, cache_dir))
        return known[0]

    return stored


def _load_best(task: Task, state: State) -> dict[str, Tensor]:
    """The tensors of the best network, which are put into the network, and those of a k-NN beside them."""
    if state.best is None:
        raise TrainingError("the run ended without an evaluation: its budget has no whole step")
    tensors = checkpoints.load_best(task.folder, state.best)
    own = {name: tensor for name, tensor in tensors.items() if name not in (KNN_FEATURES, KNN_LABELS)}
    task.network.module.load_state_dict(own)
    return tensors


def _score(task: Task, stored: Callable[[], StoredFeatures], tensors: dict[str, Tensor], rows: Rows) -> Predictions:
    """What the best network says of some rows: from stored features where the last phase fitted on them."""
    last = task.recipe.phases[-1]
    if isinstance(last, FitRecipe):
        return feature_predictions(task, last, stored(), tensors, rows)
    check = partial(check_stop, task.reporter)
    return evaluation.join(list(predictions(task.network, task.source, rows, task.evaluation_batch, check)))


def _num_trained(network: Network, recipe: Recipe) -> int:
    """The largest number of trained parameters over the phases; k-NN has none."""
    sizes = {name: parameter.numel() for name, parameter in network.module.named_parameters()}
    asked = ["head" if isinstance(p, FitRecipe) else p.trainable for p in recipe.phases]
    knn = [isinstance(p, FitRecipe) and p.classifier == "knn" for p in recipe.phases]
    counts = [sum(sizes[name] for name in trained_names(network, trainable)) for trainable in asked]
    return max(0 if without else count for count, without in zip(counts, knn, strict=True))


def _resolved(device: Device, threads: int, recipe: Recipe, task: Task, split: Split, weights: str | None) -> Resolved:
    return Resolved(
        device=device.id,
        device_reason=device.reason,
        dtype=str(device.dtype).removeprefix("torch."),
        num_threads=threads,
        image_size=recipe.preprocessing.size,
        batch_size=recipe.batch_size,
        total_steps=task.plan.total_steps,
        num_train=len(split.train),
        num_val=len(split.val),
        num_test=len(split.test),
        split_fingerprint=split.fingerprint,
        test_fingerprint=split.test_fingerprint,
        weights_fingerprint=weights,
        recipe=recipe.model_dump(mode="json"),
        library_versions={
            "tlcore": VERSION,
            "python": platform.python_version(),
            **{m.__name__: m.__version__ for m in LIBRARIES},
        },
    )

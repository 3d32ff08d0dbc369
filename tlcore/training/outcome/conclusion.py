"""The end of a run: its best network meets the test split, once, and everything is written down."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import BaseModel

from tlcore.datasets.dataset import Dataset, Split
from tlcore.errors import TrainingError
from tlcore.results import LayerGroup, PartMetrics, Resolved, RunOutcome
from tlcore.training.device import peak_memory
from tlcore.training.images.batches import Rows
from tlcore.training.loop.checkpoints import State, write_atomically, write_text
from tlcore.training.loop.guessing import guesses_of, lucky_accuracy
from tlcore.training.loop.position import did_not_learn
from tlcore.training.loop.task import TRAINED, Task
from tlcore.training.networks.models import Network
from tlcore.training.outcome import evaluation
from tlcore.training.outcome.evaluation import Predictions

Score = Callable[[Rows], Predictions]


def conclude(
    task: Task, state: State, score: Score, split: Split, groups: tuple[LayerGroup, ...]
) -> tuple[RunOutcome, dict[str, Predictions]]:
    """The outcome, and the predictions for val and test. score: what the best network says of some rows.

    groups: what the run did to the network. The passes here are charged to `total_seconds` only.
    """
    if state.best is None or state.last_val is None:
        raise TrainingError("the run ended without an evaluation: its budget has no whole step")
    task.reporter.progressed(TRAINED, "scoring the best network on the test images")
    parts = {"val": task.val, "test": np.array(split.test, dtype=np.int64)}
    with task.watch.measure("scoring"):
        predictions = {name: score(rows) for name, rows in parts.items()}
        train = _metrics(score(task.train), task)
    scores = {name: _metrics(part, task) for name, part in predictions.items()}
    images_seen = state.history[-1].images_seen
    outcome = RunOutcome(
        train=train,
        val=scores["val"],
        test=scores["test"],
        last_val=state.last_val,
        best_step=state.best.step,
        best_epoch=state.best.epoch,
        epochs=state.history[-1].epoch,
        images_seen=images_seen,
        train_seconds=state.train_seconds,
        total_seconds=time.perf_counter() - task.started,
        peak_memory_bytes=peak_memory(task.source.device.device),
        num_parameters=_num_parameters(task.network),
        num_trainable_parameters=max(phase.num_trainable for phase in state.phases),
        frozen_states=state.frozen_states,
        did_not_learn=_did_not_learn(task, state, train),
        seconds_by_part=task.watch.seconds,
        images_per_second=images_seen / state.step_seconds if state.step_seconds else None,
        notes=state.notes,
        phases=state.phases,
        layer_groups=groups,
    )
    return outcome, predictions


def write_artifacts(
    folder: Path,
    dataset: Dataset,
    split: Split,
    state: State,
    resolved: Resolved,
    outcome: RunOutcome,
    predictions: dict[str, Predictions],
) -> None:
    """Write all files of `artifacts/`, each whole or not at all. Raises: StorageError."""
    classes = dataset.info.classes
    sums = {name: evaluation.tally(part, len(classes)) for name, part in predictions.items()}
    confusion = {name: evaluation.confusion_matrix(part, classes) for name, part in sums.items()}
    per_class = {name: evaluation.class_metrics(part, classes) for name, part in sums.items()}
    _write_json(folder / "confusion_matrix.json", {name: _plain(value) for name, value in confusion.items()})
    _write_json(folder / "per_class.json", {name: [_plain(row) for row in rows] for name, rows in per_class.items()})
    _write_json(folder / "history.json", [_plain(point) for point in state.history])
    _write_json(
        folder / "resolved.json", _plain(resolved.model_copy(update={"notes": (*resolved.notes, *state.notes)}))
    )
    _write_json(folder / "outcome.json", _plain(outcome))
    rows = {"val": split.val, "test": split.test}
    paths = dataset.images["path"].to_numpy()
    frames = [_frame(name, paths[list(rows[name])], part, len(classes)) for name, part in predictions.items()]
    table = pd.concat(frames, ignore_index=True)
    write_atomically(folder / "predictions.parquet", table.to_parquet)


def _num_parameters(network: Network) -> int:
    """All parameters, also those in an ONNX file, which torch does not hold."""
    if network.facts.library == "onnx":
        return network.facts.num_parameters + sum(p.numel() for p in network.head.parameters())
    return sum(p.numel() for p in network.module.parameters())


def _did_not_learn(task: Task, state: State, train: PartMetrics) -> bool:
    labels = task.source.labels.cpu().numpy()[task.train]
    guesses, lucky = guesses_of(task.recipe, labels, task.num_classes), lucky_accuracy(labels, task.num_classes)
    return did_not_learn(state.history, task.plan, guesses, train, lucky, state.fit_seconds)


def _metrics(predictions: Predictions, task: Task) -> PartMetrics:
    return evaluation.summarise([predictions], task.num_classes)


def _frame(name: str, paths: np.ndarray, part: Predictions, num_classes: int) -> pd.DataFrame:
    """One row per image. prob_i: float32, all null where the classifier has no probabilities."""
    frame = pd.DataFrame({"split": name, "path": paths, "label": part.labels.numpy()})
    frame["predicted"] = part.predicted.numpy()
    shape = (len(paths), num_classes)
    known = np.full(shape, np.nan) if part.probabilities is None else part.probabilities.numpy()
    columns = pd.DataFrame(known.astype(np.float32), columns=[f"prob_{i}" for i in range(num_classes)])
    return pd.concat([frame, columns], axis=1)


def _plain(value: BaseModel) -> object:
    return value.model_dump(mode="json")


def _write_json(path: Path, value: object) -> None:
    write_text(path, json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False))

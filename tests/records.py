"""Synthetic comparisons for tests of analysis and pages: consistent records with the predictions behind them.

Every number of an outcome is counted from the predictions, so that a test can compute it again.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tlcore.recipes import DataFacts, ModelFacts, Preprocessing, resolve
from tlcore.results import (
    ClassMetrics,
    ComparisonRecord,
    ConfusionMatrix,
    DatasetSummary,
    EvaluationPoint,
    FrozenState,
    PartMetrics,
    Resolved,
    RunOutcome,
    RunRecord,
    Status,
)
from tlcore.spec import Budget, ComparisonSpec, RunSpec
from tlcore.strategies import STRATEGIES, Fit, Train

START_MS = 1_760_000_000_000
ANTS_AND_BEES = ("ants", "bees")
PREPROCESSING = Preprocessing(
    size=224, resize=256, interpolation="bicubic", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)
FACTS = ModelFacts(
    model="mobilenetv2_100", library="timm", family="cnn", preprocessing=PREPROCESSING, crop_pct=0.875,
    fixed_input_size=False, num_parameters=2_226_434, num_features=1280, num_groups=18, has_batch_norm=True,
)  # fmt: skip


@dataclass(frozen=True)
class Behaviour:
    """How a strategy ends: final accuracies, how far the first point is from the last, and its pace."""

    train: float
    test: float
    first: float
    seconds_per_epoch: float
    spread: float = 0.01
    stuck: bool = False


BEHAVIOUR = {
    "from_scratch": Behaviour(0.58, 0.55, 0.5, 11.0, 0.03, stuck=True),
    "feature_extraction": Behaviour(1.0, 0.94, 0.94, 6.0, 0.004),
    "transfer_learning": Behaviour(0.96, 0.93, 0.84, 4.1),
    "fine_tuning": Behaviour(0.995, 0.86, 0.7, 11.5, 0.02),
    "staged_fine_tuning": Behaviour(0.98, 0.95, 0.82, 9.2),
}


@dataclass(frozen=True)
class Example:
    """A comparison and the predictions of its finished runs, by run id."""

    record: ComparisonRecord
    predictions: dict[str, pd.DataFrame] = field(default_factory=dict)


def example(
    strategies: Sequence[str] = tuple(STRATEGIES),
    seeds: Sequence[int] = (0, 1, 2),
    models: Sequence[str] = ("mobilenetv2_100",),
    fractions: Sequence[float] = (1.0,),
    classes: Sequence[str] = ANTS_AND_BEES,
    num_val: int = 50,
    num_test: int = 153,
    epochs: int = 6,
    status: dict[tuple[str, int], Status] | None = None,
) -> Example:
    """A grid of runs over one dataset. status: of the runs (strategy, seed) that have not finished."""
    spec = ComparisonSpec(
        dataset_id="hymenoptera-1a2b3c4d", dataset_fingerprint="d" * 64, budget=Budget(epochs=epochs),
        models=tuple(models), strategies=tuple(strategies), seeds=tuple(seeds), fractions=tuple(fractions),
        weights=dict.fromkeys(models, "file:/data/weights/mobilenetv2_100.safetensors"), device="cpu", num_threads=2,
    )  # fmt: skip
    given = status or {}
    built = [
        _run(run, tuple(classes), (num_val, num_test), given.get((run.strategy, run.seed), "FINISHED"))
        for run in spec.runs()
    ]
    dataset = DatasetSummary(
        id=spec.dataset_id, name="Ants and bees", fingerprint=spec.dataset_fingerprint,
        num_images=194 + num_val + num_test, num_classes=len(classes), classes=tuple(classes),
        splits={"train": 194, "val": num_val, "test": num_test},
    )  # fmt: skip
    statuses = {record.status for record, _ in built}
    record = ComparisonRecord(
        comparison_id="c0ffee" + "0" * 26, spec=spec, status="FINISHED" if statuses == {"FINISHED"} else "RUNNING",
        owner="ada", created_ms=START_MS, dataset=dataset, runs=tuple(r for r, _ in built),
    )  # fmt: skip
    return Example(record, {r.run_id: frame for r, frame in built if frame is not None})


def predictions_frame(
    accuracy: dict[str, float], sizes: dict[str, int], num_classes: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Predictions of one run per split; hard images are hard for every run, as in real life."""
    frames = []
    for split, size in sizes.items():
        labels = np.arange(size) % num_classes
        ease = np.random.default_rng(size).normal(size=size)  # the same images for all runs
        score = ease + rng.normal(scale=0.8, size=size)
        right = score >= np.quantile(score, 1 - accuracy[split])
        predicted = np.where(right, labels, (labels + rng.integers(1, num_classes, size)) % num_classes)
        top = np.where(right, rng.uniform(0.7, 1.0, size), rng.uniform(0.5, 0.8, size))
        probabilities = np.tile(((1 - top) / (num_classes - 1))[:, None], (1, num_classes))
        probabilities[np.arange(size), predicted] = top
        columns = {f"prob_{k}": probabilities[:, k].astype(np.float32) for k in range(num_classes)}
        paths = [f"{split}/{i:05d}.jpg" for i in range(size)]
        frame = pd.DataFrame({"split": split, "path": paths, "label": labels, "predicted": predicted, **columns})
        frames.append(frame.sample(frac=1, random_state=int(rng.integers(2**31))))
    return pd.concat(frames, ignore_index=True)


def part_metrics(frame: pd.DataFrame, split: str) -> PartMetrics:
    """Metrics counted from a run's predictions."""
    part = frame[frame["split"] == split]
    right = part["label"] == part["predicted"]
    truth = part[[c for c in part if c.startswith("prob_")]].to_numpy()[np.arange(len(part)), part["label"]]
    balanced = float(right.groupby(part["label"]).mean().mean())
    return PartMetrics(
        num_images=len(part), accuracy=float(right.mean()), balanced_accuracy=balanced,
        loss=float(-np.log(truth + 1e-9).mean()), ece=0.05,
    )  # fmt: skip


def confusion(frame: pd.DataFrame, split: str, classes: Sequence[str]) -> ConfusionMatrix:
    counts = np.zeros((len(classes), len(classes)), dtype=int)
    part = frame[frame["split"] == split]
    np.add.at(counts, (part["label"].to_numpy(), part["predicted"].to_numpy()), 1)
    return ConfusionMatrix(classes=tuple(classes), counts=tuple(tuple(int(c) for c in row) for row in counts))


def class_metrics(matrix: ConfusionMatrix) -> tuple[ClassMetrics, ...]:
    counts = np.array(matrix.counts)
    found = []
    for k, name in enumerate(matrix.classes):
        true, predicted, right = int(counts[k].sum()), int(counts[:, k].sum()), int(counts[k, k])
        recall, precision = (right / n if n else None for n in (true, predicted))
        f1 = 2 * right / (true + predicted) if true + predicted else None
        found.append(ClassMetrics(name=name, num_images=true, precision=precision, recall=recall, f1=f1))
    return tuple(found)


def history(spec: RunSpec, rng: np.random.Generator, upto: float = 1.0) -> tuple[EvaluationPoint, ...]:
    """A learning curve that ends at the strategy's behaviour; `upto` cuts it for a run that still trains."""
    end = BEHAVIOUR[spec.strategy]
    phases = STRATEGIES[spec.strategy].phases
    if any(isinstance(p, Fit) for p in phases):
        values = {"train_loss": 0.02, "train_accuracy": end.train, "val_loss": 0.2, "val_accuracy": end.test}
        return (_point(0, 0.0, 194, 6.0 + rng.uniform(0, 0.5), 0, values),)
    assert spec.budget.epochs is not None
    pace = end.seconds_per_epoch * rng.uniform(0.95, 1.05)
    border = phases[0].share * spec.budget.epochs if isinstance(phases[0], Train) and len(phases) > 1 else np.inf
    points = []
    for epoch in np.arange(1, spec.budget.epochs + 1):
        done = 1 - np.exp(-1.5 * (epoch - 1))
        train = end.first + (end.train - end.first) * done + rng.normal(scale=end.spread)
        val = end.first + 0.04 + (end.test - end.first - 0.04) * done + rng.normal(scale=end.spread)
        overfit = max(0.0, end.train - end.test - 0.08) * epoch
        values = {
            "train_loss": float(1.2 * (1 - train) + 0.3 / epoch), "train_accuracy": float(min(1.0, train)),
            "val_loss": float(1.2 * (1 - val) + 0.2 + overfit), "val_accuracy": float(min(1.0, val)),
        }  # fmt: skip
        phase = 0 if epoch <= border else 1
        points.append(_point(int(epoch * 7), float(epoch), int(epoch * 194), float(pace * epoch), phase, values))
    return tuple(points[: max(1, round(upto * len(points)))])


def _point(
    step: int, epoch: float, images: int, seconds: float, phase: int, values: dict[str, float]
) -> EvaluationPoint:
    return EvaluationPoint(
        step=step, epoch=epoch, images_seen=images, train_seconds=seconds, phase=phase,
        timestamp_ms=START_MS + int(1000 * seconds), learning_rates={"head": 0.01}, **values,
    )  # fmt: skip


def _run(
    spec: RunSpec, classes: tuple[str, ...], sizes: tuple[int, int], status: Status
) -> tuple[RunRecord, pd.DataFrame | None]:
    rng = np.random.default_rng(zlib.crc32(spec.name.encode()))
    run_id = f"{zlib.crc32(spec.name.encode()):08x}" * 4
    common = {"run_id": run_id, "comparison_id": "c0ffee" + "0" * 26, "spec": spec, "status": status}
    if status == "SCHEDULED":
        return RunRecord.model_validate(common), None
    common |= {"started_ms": START_MS, "resolved": resolved(spec, sizes)}
    if status != "FINISHED":
        error = "the loss became nan at step 12: lower the learning rate" if status == "FAILED" else None
        return RunRecord.model_validate({**common, "error": error, "history": history(spec, rng, upto=0.5)}), None
    end = BEHAVIOUR[spec.strategy]
    loss = 0.0 if spec.fraction == 1 else 0.06 * (1 - spec.fraction)
    test = min(1.0, max(0.0, end.test - loss + rng.normal(scale=end.spread)))
    named = {"val": sizes[0], "test": sizes[1]}
    frame = predictions_frame({"val": min(1.0, end.test - loss + 0.005), "test": test}, named, len(classes), rng)
    matrices = {part: confusion(frame, part, classes) for part in named}
    points = history(spec, rng)
    return RunRecord.model_validate(
        {
            **common,
            "ended_ms": START_MS + 90_000,
            "history": points,
            "outcome": _outcome(spec, frame, points),
            "confusion": matrices,
            "per_class": {part: class_metrics(matrix) for part, matrix in matrices.items()},
        }
    ), frame


def _outcome(spec: RunSpec, frame: pd.DataFrame, points: tuple[EvaluationPoint, ...]) -> RunOutcome:
    end = BEHAVIOUR[spec.strategy]
    strategy = STRATEGIES[spec.strategy]
    fit = isinstance(strategy.phases[0], Fit)
    val = part_metrics(frame, "val")
    frozen = [i for i, p in enumerate(strategy.phases) if isinstance(p, Fit) or p.trainable != "all"]
    return RunOutcome(
        train=PartMetrics(num_images=194, accuracy=end.train, balanced_accuracy=end.train, loss=0.1, ece=0.02),
        val=val, last_val=val, test=part_metrics(frame, "test"), best_step=points[-1].step,
        best_epoch=points[-1].epoch, epochs=points[-1].epoch, images_seen=0 if fit else points[-1].images_seen,
        train_seconds=points[-1].train_seconds, total_seconds=points[-1].train_seconds + 3.5,
        peak_memory_bytes=1_200_000_000, num_parameters=2_226_434, did_not_learn=end.stuck,
        num_trainable_parameters=2_562 if fit or strategy.id == "transfer_learning" else 2_226_434,
        frozen_states=tuple(FrozenState(phase=i, num_tensors=312, before="ab" * 32, after="ab" * 32) for i in frozen),
    )  # fmt: skip


def resolved(spec: RunSpec, sizes: tuple[int, int]) -> Resolved:
    """What such a run would have resolved on two CPU cores, with the true recipe."""
    strategy = STRATEGIES[spec.strategy]
    recipe = resolve(strategy, DataFacts(194, 375), FACTS, overrides=spec.overrides)
    fit = isinstance(strategy.phases[0], Fit)
    return Resolved(
        device="cpu", device_reason="asked for", dtype="bfloat16", num_threads=2, image_size=224, batch_size=32,
        total_steps=None if fit else 42, num_train=int(194 * spec.fraction), num_val=sizes[0], num_test=sizes[1],
        split_fingerprint=f"{spec.seed:064d}", test_fingerprint="7" * 64,
        weights_fingerprint="e" * 64 if strategy.needs_weights else None, recipe=recipe.model_dump(mode="json"),
        library_versions={"torch": "2.15.0", "timm": "1.0.31"},
    )  # fmt: skip

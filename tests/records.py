"""Synthetic comparisons for tests of analysis and pages: consistent records with the predictions behind them.

Every number of an outcome is counted from the predictions, so that a test can compute it again.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from tests import records_anatomy as anatomy
from tests.records_model import FACTS, FULL_FACTS, PREPROCESSING
from tests.records_predictions import class_metrics, confusion, part_metrics, predictions_frame
from tlcore.recipes import DataFacts, FitRecipe, Recipe, resolve
from tlcore.results import (
    ComparisonRecord,
    DatasetSummary,
    EvaluationPoint,
    Floor,
    PartMetrics,
    Resolved,
    RunOutcome,
    RunRecord,
    Status,
)
from tlcore.spec import Budget, ComparisonSpec, RunSpec
from tlcore.strategies import CORE, split_reference

__all__ = ["FACTS", "PREPROCESSING", "START_MS", "Behaviour", "Example", "before", "example", "history"]
START_MS = 1_760_000_000_000
ANTS_AND_BEES = ("ants", "bees")
PARTS = ("val", "test")


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
    strategies: Sequence[str] = CORE,
    seeds: Sequence[int] = (0, 1, 2),
    models: Sequence[str] = ("mobilenetv2_100",),
    fractions: Sequence[float] = (1.0,),
    classes: Sequence[str] = ANTS_AND_BEES,
    num_val: int = 50,
    num_test: int = 153,
    epochs: int = 6,
    status: dict[tuple[str, int], Status] | None = None,
    **more: Any,
) -> Example:
    """A grid of runs over one dataset. status: of the runs (strategy, seed) that have not finished.

    more: of the comparison's spec, such as `scratch_model`, `own_strategies`, `tune` or `split`.
    """
    spec = ComparisonSpec(
        dataset_id="hymenoptera-1a2b3c4d", dataset_fingerprint="d" * 64, budget=Budget(epochs=epochs),
        models=tuple(models), strategies=tuple(strategies), seeds=tuple(seeds), fractions=tuple(fractions),
        weights=dict.fromkeys(models, "file:/data/weights/mobilenetv2_100.safetensors"), device="cpu", num_threads=2,
        **more,
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


def history(spec: RunSpec, rng: np.random.Generator, upto: float = 1.0) -> tuple[EvaluationPoint, ...]:
    """A learning curve that ends at the strategy's behaviour; `upto` cuts it for a run that still trains.

    A point at every epoch and at the end of every phase; a fit is a point at epoch 0.
    """
    end = behaviour(spec)
    recipe = recipe_of(spec)
    points = []
    if isinstance(recipe.phases[0], FitRecipe):
        values = {"train_loss": 0.02, "train_accuracy": end.train, "val_loss": 0.2, "val_accuracy": end.test}
        points.append(_point(0, 0.0, 194, 6.0 + rng.uniform(0, 0.5), 0, values, {}))
        if len(recipe.phases) == 1:
            return tuple(points)
    assert spec.budget.epochs is not None
    started = points[0].train_seconds if points else 0.0
    pace = end.seconds_per_epoch * rng.uniform(0.95, 1.05)
    borders = anatomy.borders(recipe, spec.budget.epochs)
    for epoch in sorted({*(float(e) for e in range(1, spec.budget.epochs + 1)), *(b for b in borders if b > 0)}):
        done = 1 - np.exp(-1.5 * (epoch - 1))
        train = end.first + (end.train - end.first) * done + rng.normal(scale=end.spread)
        val = end.first + 0.04 + (end.test - end.first - 0.04) * done + rng.normal(scale=end.spread)
        overfit = max(0.0, end.train - end.test - 0.08) * epoch
        values = {
            "train_loss": float(1.2 * (1 - train) + 0.3 / epoch), "train_accuracy": float(min(1.0, train)),
            "val_loss": float(1.2 * (1 - val) + 0.2 + overfit), "val_accuracy": float(min(1.0, val)),
        }  # fmt: skip
        phase = next(index for index, border in enumerate(borders) if epoch <= border + 1e-9)
        begun = borders[phase - 1] if phase else 0.0
        rates = anatomy.learning_rates(
            recipe.phases[phase], (epoch - begun - 0.5 / anatomy.STEPS_PER_EPOCH) / (borders[phase] - begun)
        )
        step = round(epoch * anatomy.STEPS_PER_EPOCH)
        points.append(_point(step, epoch, int(epoch * 194), started + float(pace * epoch), phase, values, rates))
    return tuple(points[: max(1, round(upto * len(points)))])


def behaviour(spec: RunSpec) -> Behaviour:
    return BEHAVIOUR.get(split_reference(spec.strategy)[0], Behaviour(0.97, 0.94, 0.8, 8.0))


def recipe_of(spec: RunSpec) -> Recipe:
    """The true recipe on a network that every strategy fits."""
    return resolve(spec.entry, DataFacts(194, 375), FULL_FACTS, overrides=spec.settings)


def before(found: Example) -> Example:
    """The example as an earlier version recorded it: without phases, layer groups and trials."""
    runs = tuple(
        run.model_copy(update={"outcome": anatomy.as_recorded_before(run.outcome)}) if run.outcome else run
        for run in found.record.runs
    )
    return Example(found.record.model_copy(update={"runs": runs}), found.predictions)


def _point(
    step: int, epoch: float, images: int, seconds: float, phase: int, values: dict[str, float], rates: dict[str, float]
) -> EvaluationPoint:
    return EvaluationPoint(
        step=step, epoch=epoch, images_seen=images, train_seconds=seconds, phase=phase,
        timestamp_ms=START_MS + int(1000 * seconds), learning_rates=rates, **values,
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
        if status == "FAILED":
            common["error"] = "the loss became nan at step 12: lower the learning rate"
        if status != "RUNNING":
            common["ended_ms"] = START_MS + 45_000
        return RunRecord.model_validate({**common, "history": history(spec, rng, upto=0.5)}), None
    end = behaviour(spec)
    loss = 0.0 if spec.fraction == 1 else 0.06 * (1 - spec.fraction)
    test = min(1.0, max(0.0, end.test - loss + rng.normal(scale=end.spread)))
    named = {"val": sizes[0], "test": sizes[1]}
    frame = predictions_frame({"val": min(1.0, end.test - loss + 0.005), "test": test}, named, len(classes), rng)
    if not spec.split_plan.is_fixed:
        frame["path"] = f"{spec.seed}/" + frame["path"]
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
    end, recipe = behaviour(spec), recipe_of(spec)
    fit = all(isinstance(phase, FitRecipe) for phase in recipe.phases)
    val = part_metrics(frame, "val")
    reports = anatomy.phase_reports(recipe, points[-1].epoch)
    seconds = points[-1].train_seconds
    return RunOutcome(
        train=PartMetrics(num_images=194, accuracy=end.train, balanced_accuracy=end.train, loss=0.1, ece=0.02),
        val=val, last_val=val, test=part_metrics(frame, "test"), best_step=points[-1].step,
        best_epoch=points[-1].epoch, epochs=points[-1].epoch, images_seen=points[-1].images_seen,
        train_seconds=seconds * (1 + spec.tune), total_seconds=seconds * (1 + spec.tune) + 3.5,
        tuning_seconds=seconds * spec.tune, peak_memory_bytes=1_200_000_000, num_parameters=2_226_434,
        did_not_learn=end.stuck, num_trainable_parameters=max(report.num_trainable for report in reports),
        frozen_states=anatomy.frozen_states(recipe), phases=reports,
        layer_groups=anatomy.layer_groups(recipe, spec.entry.start == "random"),
        floors=floors(spec, frame), model_bytes=8_900_000, latency_ms=12.5, images_per_second=300.0 if fit else 40.0,
        trials=anatomy.trials(spec.tune, val.accuracy, seconds * (1 + spec.tune)) if spec.tune else (),
        seconds_by_part=time_parts(fit, seconds),
    )  # fmt: skip


def time_parts(fit: bool, seconds: float) -> dict[str, float]:
    """What training seconds went into, of a fit or of steps, and a second of preparing; half a second stays unnamed."""
    shares = (
        {"features": 0.75, "fit": 0.25} if fit else {"augment": 0.1, "forward": 0.3, "backward": 0.5, "optimizer": 0.1}
    )
    return {"network": 0.5, "decode": 1.0, "scoring": 1.5, **{part: seconds * share for part, share in shares.items()}}


def floors(spec: RunSpec, frame: pd.DataFrame) -> tuple[Floor, ...]:
    """What answers without training get: always class 0, and, from pretrained weights, right for all but some."""
    found = []
    for name, answer in (("majority_class", 0), ("nearest_class_mean", frame["label"])):
        guessed = frame.assign(predicted=answer)
        if name == "nearest_class_mean":
            wrong = guessed.index % 5 <= spec.seed % 2  # a fifth of all images, of every second seed two fifths
            guessed.loc[wrong, "predicted"] = 1 - guessed.loc[wrong, "label"].clip(0, 1)
        parts = {part: part_metrics(guessed, part).model_copy(update={"loss": None, "ece": None}) for part in PARTS}
        found.append(Floor(name=name, **parts))
    return tuple(found) if spec.entry.needs_weights else (found[0],)


def resolved(spec: RunSpec, sizes: tuple[int, int]) -> Resolved:
    """What such a run would have resolved on two CPU cores, with the true recipe."""
    strategy, recipe = spec.entry, recipe_of(spec)
    fit = all(isinstance(phase, FitRecipe) for phase in recipe.phases)
    tested = "7" * 7 if spec.split_plan.is_fixed else f"{spec.seed:07d}"
    return Resolved(
        device="cpu", device_reason="asked for", dtype="bfloat16", num_threads=2, image_size=224, batch_size=32,
        total_steps=None if fit else 42, num_train=int(194 * spec.fraction), num_val=sizes[0], num_test=sizes[1],
        split_fingerprint=f"{spec.seed:064d}", test_fingerprint=tested + "7" * 57,
        weights_fingerprint="e" * 64 if strategy.needs_weights else None, recipe=recipe.model_dump(mode="json"),
        library_versions={"torch": "2.15.0", "timm": "1.0.31"},
    )  # fmt: skip

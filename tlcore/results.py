"""What runs produce, as plain data: curve points, metrics, outcomes, and the records that pages and reports read.

A value that does not exist is None, never 0 or NaN.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from tlcore.spec import ComparisonSpec, RunSpec


class Value(BaseModel):
    """A frozen record; fields may be added later, so unknown ones are ignored when old files are read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


Status = Literal["SCHEDULED", "RUNNING", "FINISHED", "FAILED", "KILLED"]
ENDED: frozenset[str] = frozenset({"FINISHED", "FAILED", "KILLED"})


class EvaluationPoint(Value):
    """One point of a learning curve.

    step: optimiser steps done. epoch: passes over the training part that `images_seen` amounts to.
    train_*: running averages over the augmented batches since the last point. timestamp_ms: Unix time.
    learning_rates: per parameter group (`head`, `backbone`). phase: index into the strategy's phases.
    """

    step: int
    epoch: float
    images_seen: int
    train_seconds: float
    timestamp_ms: int
    phase: int
    train_loss: float | None = None
    train_accuracy: float | None = None
    val_loss: float | None = None
    val_accuracy: float | None = None
    learning_rates: dict[str, float] = {}


class PartMetrics(Value):
    """Metrics of one part (train, val or test). loss: mean cross-entropy in nats. ece: 15 bins, top label."""

    num_images: int
    accuracy: float
    balanced_accuracy: float
    loss: float | None = None
    ece: float | None = None


class ConfusionMatrix(Value):
    """counts[i][j]: images of true class i predicted as class j."""

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


class ClassMetrics(Value):
    """One class in one part. None where it is undefined (nothing predicted, or no image)."""

    name: str
    num_images: int
    precision: float | None
    recall: float | None
    f1: float | None


class FrozenState(Value):
    """SHA-256 of the frozen parameters and buffers before and after a phase that freezes some."""

    phase: int
    num_tensors: int
    before: str
    after: str

    @property
    def unchanged(self) -> bool:
        return self.before == self.after


class Resolved(Value):
    """What a run really used, decided when it started: `resolved.json`."""

    device: str
    device_reason: str
    dtype: str
    num_threads: int
    image_size: int
    batch_size: int
    total_steps: int | None
    num_train: int
    num_val: int
    num_test: int
    split_fingerprint: str
    test_fingerprint: str
    weights_fingerprint: str | None
    recipe: dict[str, object]
    notes: tuple[str, ...] = ()
    library_versions: dict[str, str] = {}


class RunOutcome(Value):
    """How a finished run ended. Best = highest validation accuracy, then lower loss, then earlier."""

    train: PartMetrics
    val: PartMetrics
    test: PartMetrics
    last_val: PartMetrics
    best_step: int
    best_epoch: float
    epochs: float
    images_seen: int
    train_seconds: float
    total_seconds: float
    peak_memory_bytes: int | None
    num_parameters: int
    num_trainable_parameters: int
    frozen_states: tuple[FrozenState, ...] = ()
    did_not_learn: bool = False
    images_per_second: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def frozen_state_unchanged(self) -> bool | None:
        """True when every frozen phase left its tensors as they were; None where no phase freezes."""
        return all(f.unchanged for f in self.frozen_states) if self.frozen_states else None


class RunRecord(Value):
    """One run as the store knows it, with what pages and reports need of it."""

    run_id: str
    comparison_id: str
    spec: RunSpec
    status: Status
    error: str | None = None
    started_ms: int | None = None
    ended_ms: int | None = None
    resolved: Resolved | None = None
    outcome: RunOutcome | None = None
    history: tuple[EvaluationPoint, ...] = ()
    confusion: dict[str, ConfusionMatrix] = {}
    per_class: dict[str, tuple[ClassMetrics, ...]] = {}


class DatasetSummary(Value):
    """What a comparison's result says of its dataset; `splits` are the sizes for its first seed."""

    id: str
    name: str
    fingerprint: str
    num_images: int
    num_classes: int
    classes: tuple[str, ...]
    splits: dict[str, int]


class ComparisonRecord(Value):
    """A comparison as the store knows it. `recorded_on` is set for one that was recorded elsewhere and shipped."""

    comparison_id: str
    spec: ComparisonSpec
    status: Status
    owner: str
    created_ms: int
    dataset: DatasetSummary
    runs: tuple[RunRecord, ...]
    recorded_on: str | None = None


class ComparisonSummary(Value):
    """One line of a list of comparisons. counts: runs by status."""

    comparison_id: str
    title: str
    dataset_id: str
    dataset_name: str
    models: tuple[str, ...]
    strategies: tuple[str, ...]
    counts: dict[str, int]
    status: Status
    owner: str
    created_ms: int


class JobView(Value):
    """A job of the queue as people see it.

    id: the run's MLflow id for a run. status: QUEUED, RUNNING, FINISHED, FAILED or CANCELLED. progress: 0…1.
    eta_seconds: time left as far as the progress tells. result: what an import made (a dataset id).
    attempts: how often a worker took it. settled: MLflow's status of the run agrees (always, for other jobs).
    """

    id: str
    kind: Literal["run", "import", "question"]
    title: str
    status: Literal["QUEUED", "RUNNING", "FINISHED", "FAILED", "CANCELLED"]
    progress: float
    message: str
    error: str | None = None
    comparison_id: str | None = None
    slot: str = ""
    created_ms: int = 0
    started_ms: int | None = None
    ended_ms: int | None = None
    eta_seconds: float | None = None
    cancel_requested: bool = False
    result: str | None = None
    attempts: int = 0
    settled: bool = True


class WorkerView(Value):
    """A live worker. job_id: what it is busy with, None while it waits."""

    slot: str
    pid: int
    job_id: str | None


class QueueOverview(Value):
    """The state of the queue at a glance."""

    queued: int
    running: int
    workers: tuple[WorkerView, ...]
    supervisor_alive: bool


class PartScore(Value):
    accuracy: float | None = None
    balanced_accuracy: float | None = None
    loss: float | None = None
    ece: float | None = None


class AccuracyOnly(Value):
    accuracy: float | None = None


class RunResult(Value):
    """A run in the JSON contract of the command line."""

    run_id: str
    model: str
    strategy: str
    seed: int
    fraction: float
    weights: str
    status: Status
    error: str | None
    test: PartScore
    val: AccuracyOnly
    train: AccuracyOnly
    best_epoch: float | None
    epochs: float | None
    images_seen: int | None
    train_seconds: float | None
    total_seconds: float | None
    peak_memory_bytes: int | None
    num_parameters: int | None
    num_trainable_parameters: int | None
    frozen_state_unchanged: bool | None
    did_not_learn: bool | None


class StrategyResult(Value):
    """One model, strategy and fraction over its finished seeds."""

    model: str
    strategy: str
    fraction: float
    num_seeds: int
    test_accuracy_mean: float | None
    test_accuracy_ci95: tuple[float, float] | None


class Verdict(Value):
    text: str
    best: tuple[str, ...]
    distinguishable: bool


class ComparisonResult(Value):
    """The JSON contract of `compare --json`."""

    comparison_id: str
    dataset: DatasetSummary
    models: tuple[str, ...]
    weights: str
    device: str | None
    device_reason: str | None
    budget: dict[str, int | float]
    runs: tuple[RunResult, ...]
    strategies: tuple[StrategyResult, ...]
    verdict: Verdict

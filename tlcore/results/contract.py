"""The JSON contract of the command line: `compare --json`."""

from tlcore.results.records import DatasetSummary
from tlcore.results.runs import FloorName, Status, Value
from tlcore.strategies import SettingValue


class PartScore(Value):
    accuracy: float | None = None
    balanced_accuracy: float | None = None
    loss: float | None = None
    ece: float | None = None


class AccuracyOnly(Value):
    accuracy: float | None = None


class RunResult(Value):
    """A run in the JSON contract of the command line.

    model_bytes, latency_ms: as of `RunOutcome`. num_trials: of a tuned run. chosen: the settings of its best trial.
    tuning_seconds: of train_seconds, what the other trials took.
    """

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
    model_bytes: int | None = None
    latency_ms: float | None = None
    images_per_second: float | None = None
    num_parameters: int | None
    num_trainable_parameters: int | None
    frozen_state_unchanged: bool | None
    did_not_learn: bool | None
    num_trials: int = 0
    chosen: dict[str, SettingValue] | None = None
    tuning_seconds: float | None = None


class StrategyResult(Value):
    """One model, strategy and fraction over its finished seeds."""

    model: str
    strategy: str
    label: str
    fraction: float
    num_seeds: int
    test_accuracy_mean: float | None
    test_accuracy_ci95: tuple[float, float] | None


class FloorResult(Value):
    """What has to be beaten: an answer without any training, as of `Floor`, over the seeds that recorded it."""

    model: str
    fraction: float
    name: FloorName
    label: str
    num_seeds: int
    test_accuracy_mean: float
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
    split: str = "fixed"
    runs: tuple[RunResult, ...]
    strategies: tuple[StrategyResult, ...]
    floors: tuple[FloorResult, ...] = ()
    verdict: Verdict

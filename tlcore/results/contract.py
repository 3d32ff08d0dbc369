"""The JSON contract of the command line: `compare --json`."""

from typing import Literal

from pydantic import Field

from tlcore.results.records import DatasetSummary
from tlcore.results.runs import FloorName, Status, TimePart, Value
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

    model_bytes, latency_ms, images_per_second, seconds_by_part: as of `RunOutcome`. num_trials: of a tuned run. chosen:
    the settings of its best trial. tuning_seconds: of train_seconds, what the other trials took.
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
    seconds_by_part: dict[TimePart, float] | None = None
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


DEFAULT_MARGIN = 0.01  # one point of accuracy
VerdictStatus = Literal["winner", "tie", "unclear", "alone", "nothing learnt", "not compared", "none"]


class PairResult(Value):
    """Two strategies: test accuracy of the first − second, over the seeds of both. The first has the higher mean.

    ci95: of this pair by itself. p_value: two-sided; p_adjusted: Holm, over all pairs of the grid. level: below
    which it is a claim, that of the last look which brought the pair seeds. relation: of the first to the second;
    `negligible` where ci95, widened at later looks, lies within the margin. basis: the variation that ci95 and p_value
    cover.
    """

    first: str
    second: str
    difference: float
    ci95: tuple[float, float] | None
    p_value: float
    p_adjusted: float
    level: float = 0.05
    relation: Literal["better", "worse", "negligible", "unclear"]
    basis: str
    num_seeds: int
    num_images: int


class NotJudged(Value):
    """A strategy other than the leader of which nothing is claimed. reason: why, in words."""

    name: str
    reason: str


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
    """Who to choose, how surely. text: in plain language. best: the leader and all that may be as good.

    status: `winner` where the leader beats all that can be judged, `tie` where the others are within the margin,
    `unclear` where some may be as good, `alone` where there is nothing to judge it by. distinguishable: a winner over
    several seeds; at one seed it is the network that won, not the strategy.
    margin: accuracy that counts as negligible. level: of p_adjusted, smaller at the second look and later ones; a
    tie needs an interval at the confidence 1 − level within the margin.
    claim: what the intervals speak of. needed_seeds, needed_test_images: in all, to show a difference of the margin
    between the leader and those that may be as good; None where unknown, or none would do. provisional: runs are
    missing. by_model: the verdict within each model, where there are several; its pairs are those of the whole grid, as
    corrected and pooled there. A network on which only the random start ran has none.
    """

    text: str
    best: tuple[str, ...]
    distinguishable: bool
    status: VerdictStatus = "none"
    provisional: bool = False
    margin: float = DEFAULT_MARGIN
    level: float = 0.05
    looks: int = 1
    claim: str = ""
    not_judged: tuple[NotJudged, ...] = ()
    needed_seeds: int | None = None
    needed_test_images: int | None = None
    pairs: tuple[PairResult, ...] = ()
    by_model: dict[str, "Verdict"] = Field(default_factory=dict)


class ReportSection(Value):
    """A closer look: what it says, and its tables as rows by column, numbers as they are shown."""

    title: str
    words: tuple[str, ...] = ()
    tables: tuple[tuple[dict[str, str | int | float | None], ...], ...] = ()


class ComparisonResult(Value):
    """The JSON contract of `compare --json`.

    sections: cost, transfer, amounts of data, where strategies differ, calibration, tuning, as in the report.
    """

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
    sections: tuple[ReportSection, ...] = ()

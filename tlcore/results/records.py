"""Runs and comparisons as the store knows them, with what pages and reports need."""

from pydantic import Field

from tlcore.results.runs import ClassMetrics, ConfusionMatrix, EvaluationPoint, Resolved, RunOutcome, Status, Value
from tlcore.spec import ComparisonSpec, RunSpec

GATHERED = "runs:"  # before the ids of runs that are seen together, in place of a comparison's id


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
    confusion: dict[str, ConfusionMatrix] = Field(default_factory=dict)
    per_class: dict[str, tuple[ClassMetrics, ...]] = Field(default_factory=dict)

    @property
    def total_seconds(self) -> float | None:
        """Wall clock of its work; of a run that failed or was cancelled, from its first start to its end.

        None where it never started or has not ended.
        """
        if self.outcome is not None:
            return self.outcome.total_seconds
        if self.started_ms is None or self.ended_ms is None:
            return None
        return (self.ended_ms - self.started_ms) / 1000


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
    """A comparison as the store knows it. `recorded_on` is set for one that was recorded elsewhere and shipped.

    looks: how often its results could be looked at, the present time included: one more for each time that seeds were
    added while the verdict was open.
    """

    comparison_id: str
    spec: ComparisonSpec
    status: Status
    owner: str
    created_ms: int
    dataset: DatasetSummary
    runs: tuple[RunRecord, ...]
    recorded_on: str | None = None
    looks: int = 1

    @property
    def can_grow(self) -> bool:
        """Whether runs can be added: neither to a recording nor to what was gathered from several comparisons."""
        return self.recorded_on is None and not self.comparison_id.startswith(GATHERED)


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

"""Backbones from a source dataset: one run of the ordinary machinery, whose weights are then offered for a target."""

from typing import Any

from tlcore import tracking
from tlcore.datasets.dataset import DatasetInfo
from tlcore.results import ComparisonRecord, Value
from tlcore.service import comparisons, plans
from tlcore.service.plans import Plan
from tlcore.settings import get_settings
from tlcore.spec import checked

PURPOSE = "backbone"  # the tag by which such a comparison is found; its title may be anything
DEFAULT_STRATEGY = "from_scratch"
_RECENT = 200  # as many source runs are offered


class SourceRun(Value):
    """A finished source run. name: for lists. weights: what to give as weights of the same model."""

    run_id: str
    name: str
    model: str
    strategy: str
    dataset_name: str
    test_accuracy: float

    @property
    def weights(self) -> str:
        return f"run:{self.run_id}"


def require_sensible(model: str, strategy: str = DEFAULT_STRATEGY, weights: str | None = None, **more: Any) -> None:
    """Refuse what makes no sense on any dataset, before one is read. Takes what `plan_source` does.

    Raises: SpecError.
    """
    plans.require_sensible(**_wishes(model, strategy, weights), **more)


def plan_source(
    dataset: DatasetInfo, model: str, strategy: str = DEFAULT_STRATEGY, weights: str | None = None, **more: Any
) -> Plan:
    """A checked plan of one run that makes a backbone. more: as of `plans.make_spec`. Raises: TlcoreError."""
    spec = plans.make_spec(dataset, **_wishes(model, strategy, weights), **more)
    title = f"Backbone from {dataset.name} · {model} · {strategy}"
    return plans.make_plan(checked(type(spec), **{**spec.model_dump(), "title": title}))


def _wishes(model: str, strategy: str, weights: str | None) -> dict[str, Any]:
    return {"models": [model], "strategies": [strategy], "weights": [weights] if weights else []}


def submit(plan: Plan) -> str:
    """Queue the plan of a backbone; returns the comparison's id at once. Raises: as `comparisons.submit`."""
    return comparisons.submit(plan, purpose=PURPOSE)


def source_runs() -> list[SourceRun]:
    """Finished source runs, newest first. Raises: StorageError."""
    settings = get_settings()
    found = tracking.list_comparisons(settings, limit=_RECENT, purpose=PURPOSE)
    ended = [summary for summary in found if summary.counts.get("FINISHED")]
    records = [tracking.load_comparison(settings, summary.comparison_id, with_history=False) for summary in ended]
    return [run for record in records for run in of_record(record)]


def of_record(record: ComparisonRecord) -> list[SourceRun]:
    """The finished runs of one such comparison."""
    return [
        SourceRun(
            run_id=run.run_id,
            name=f"{record.dataset.name} · {run.spec.entry.short_label} · test {100 * run.outcome.test.accuracy:.1f} %",
            model=run.spec.model,
            strategy=run.spec.strategy,
            dataset_name=record.dataset.name,
            test_accuracy=run.outcome.test.accuracy,
        )
        for run in record.runs
        if run.status == "FINISHED" and run.outcome is not None
    ]

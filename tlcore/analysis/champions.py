"""Which runs stand for a comparison: the finished ones in order, and the best of each strategy."""

from math import inf

from tlcore.analysis.groups import order_of
from tlcore.results import ComparisonRecord, RunRecord


def finished_runs(record: ComparisonRecord) -> list[RunRecord]:
    """Runs with results: highest validation accuracy first, then lowest validation loss."""
    done = [run for run in record.runs if run.status == "FINISHED" and run.outcome is not None]
    return sorted(done, key=_by_validation)


def champions(record: ComparisonRecord, seed: int | None = None) -> list[RunRecord]:
    """The best seed of each model and strategy by validation accuracy, on the most training data it was given.

    In the order of the models as asked, then of the strategies as everywhere. seed: that one instead of the best.
    """
    best: dict[tuple[str, str], RunRecord] = {}
    runs = [run for run in finished_runs(record) if seed is None or run.spec.seed == seed]
    for run in sorted(runs, key=lambda run: -run.spec.fraction):
        best.setdefault((run.spec.model, run.spec.strategy), run)
    return [best[model, s] for model in record.spec.all_models for s in order_of(record) if (model, s) in best]


def _by_validation(run: RunRecord) -> tuple[float, float]:
    if run.outcome is None:
        return 0.0, inf
    val = run.outcome.val
    return -val.accuracy, inf if val.loss is None else val.loss

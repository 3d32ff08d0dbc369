"""A comparison as a page shows it: its record with every table and finding, all computed here and none on the page."""

from dataclasses import dataclass
from math import inf
from statistics import fmean

import pandas as pd

from tlcore.analysis.comparison import comparable, differences, leaderboard, leaderboard_table, overfitting, result_of
from tlcore.analysis.leaderboard import LeaderboardRow
from tlcore.results import ComparisonRecord, JobView, RunRecord, Verdict
from tlcore.service import comparisons
from tlcore.strategies import STRATEGIES


@dataclass(frozen=True)
class ComparisonView:
    """rows, table: the leaderboard as values and as people read it. The last three: sentences."""

    record: ComparisonRecord
    rows: list[LeaderboardRow]
    table: pd.DataFrame
    verdict: Verdict
    differences: list[str]
    not_comparable: list[str]
    findings: list[str]


def view(comparison_id: str) -> ComparisonView:
    """Everything of a comparison, finished or not. Raises: NotFoundError."""
    record = comparisons.record(comparison_id)
    predictions = comparisons.all_predictions(record)
    rows = leaderboard(record, predictions)
    return ComparisonView(
        record=record,
        rows=rows,
        table=leaderboard_table(rows),
        verdict=result_of(record, predictions).verdict,
        differences=differences(record),
        not_comparable=comparable(record.runs),
        findings=overfitting(record),
    )


def finished_runs(record: ComparisonRecord) -> list[RunRecord]:
    """Runs with results: highest validation accuracy first, then lowest validation loss."""
    done = [run for run in record.runs if run.status == "FINISHED" and run.outcome is not None]
    return sorted(done, key=_by_validation)


def champions(record: ComparisonRecord) -> list[RunRecord]:
    """The best seed of each model and strategy by validation accuracy, on the most training data it was given.

    In the order of the models as asked, then of the strategies as everywhere.
    """
    best: dict[tuple[str, str], RunRecord] = {}
    for run in sorted(finished_runs(record), key=lambda run: -run.spec.fraction):
        best.setdefault((run.spec.model, run.spec.strategy), run)
    return [best[model, s] for model in record.spec.models for s in STRATEGIES if (model, s) in best]


def progress(jobs: list[JobView]) -> float:
    """The finished part of these jobs, 0…1."""
    shares = [min(job.progress, 1.0) if job.status in {"QUEUED", "RUNNING"} else 1.0 for job in jobs]
    return fmean(shares) if shares else 1.0


def time_left(record: ComparisonRecord, jobs: list[JobView]) -> float | None:
    """Seconds until the last run ends, one after another: a waiting run takes as long as the ended ones on average.

    The average is that of the run's own strategy where one has ended. None as long as nothing has.
    """
    strategies = {run.run_id: run.spec.strategy for run in record.runs}
    took: dict[str, list[float]] = {}
    for run in record.runs:
        if run.outcome is not None:
            took.setdefault(run.spec.strategy, []).append(run.outcome.total_seconds)
    means = {strategy: fmean(seconds) for strategy, seconds in took.items()}
    usual = fmean(means.values()) if means else None
    left = [job.eta_seconds for job in jobs if job.status == "RUNNING"]
    left += [means.get(strategies.get(job.id, ""), usual) for job in jobs if job.status == "QUEUED"]
    known = [seconds for seconds in left if seconds is not None]
    return sum(known) if len(known) == len(left) else None


def _by_validation(run: RunRecord) -> tuple[float, float]:
    if run.outcome is None:
        return 0.0, inf
    val = run.outcome.val
    return -val.accuracy, inf if val.loss is None else val.loss

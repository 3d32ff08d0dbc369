"""A comparison as a page shows it: its record with every table and finding, all computed here and none on the page."""

from dataclasses import dataclass
from statistics import fmean

import pandas as pd

from tlcore.analysis import anatomy
from tlcore.analysis.caveats import loud, notes_of, split_lines
from tlcore.analysis.champions import champions, finished_runs
from tlcore.analysis.comparison import differences, leaderboard, leaderboard_table, overfitting
from tlcore.analysis.floors import FloorRow, floors_of
from tlcore.analysis.leaderboard import LeaderboardRow
from tlcore.analysis.statistics.estimates import all_right, estimates_of
from tlcore.analysis.sweeps import Sweep, sweeps_of
from tlcore.analysis.trials import trial_rows, tuning_words
from tlcore.analysis.verdict import Decision, judged, pair_rows, pairs_note
from tlcore.results import DEFAULT_MARGIN, ComparisonRecord, JobView, Verdict
from tlcore.service import comparisons

__all__ = [
    "ComparisonView",
    "anatomy",
    "champions",
    "finished_runs",
    "progress",
    "time_left",
    "trial_rows",
    "tuning_words",
    "view",
]


@dataclass(frozen=True)
class ComparisonView:
    """rows, floors, table: the leaderboard as values and as people read it. warnings, notes and the rest: sentences.

    pairs: every pair behind the verdict, as a table. decision: the verdict as values, None where the runs cannot be
    compared. warnings: what changes the meaning of the table. split: what seeds with test images of their own do to
    it. notes: what runs noted while they ran.
    """

    record: ComparisonRecord
    rows: list[LeaderboardRow]
    floors: list[FloorRow]
    table: pd.DataFrame
    verdict: Verdict
    pairs: list[dict[str, object]]
    pairs_note: str
    decision: Decision | None
    differences: list[str]
    split: list[str]
    findings: list[str]
    warnings: list[str]
    notes: list[str]
    sweeps: list[Sweep]


def view(comparison_id: str, margin: float = DEFAULT_MARGIN) -> ComparisonView:
    """Everything of a comparison, finished or not. Raises: NotFoundError.

    margin: accuracy in [0, 1] below which a difference does not matter.
    """
    record = comparisons.record(comparison_id)
    predictions = comparisons.all_predictions(record)
    right = all_right(predictions)
    rows = leaderboard(record, predictions, estimates_of(record, right))
    floors = floors_of(record)
    found = judged(record, right, margin)
    return ComparisonView(
        record=record,
        rows=rows,
        floors=floors,
        table=leaderboard_table(rows, floors),
        verdict=found.verdict,
        pairs=pair_rows(record, found.verdict),
        pairs_note=pairs_note(found.verdict),
        decision=found.decision,
        differences=differences(record),
        split=split_lines(record.spec),
        findings=overfitting(record),
        warnings=loud(record),
        notes=notes_of(record),
        sweeps=sweeps_of(record, rows),
    )


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

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
from tlcore.results import DEFAULT_MARGIN, STOPPED, ComparisonRecord, JobView, Verdict
from tlcore.service import comparisons

__all__ = [
    "ComparisonView",
    "TimeLeft",
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
    """The finished part of these jobs, 0…1, but for those that failed or were cancelled."""
    wanted = [job for job in jobs if job.status not in STOPPED]
    shares = [1.0 if job.status == "FINISHED" else min(job.progress, 1.0) for job in wanted]
    return fmean(shares) if shares else 1.0


@dataclass(frozen=True)
class TimeLeft:
    """seconds: until the last run ends, one after another. is_least: it may well take longer."""

    seconds: float
    is_least: bool


def time_left(record: ComparisonRecord, jobs: list[JobView]) -> TimeLeft | None:
    """A waiting run takes as long as the ended ones of its model and strategy on average.

    Where none of those has ended, as long as the dearest so far, at least: cheap ones come first. None as long as
    nothing has ended.
    """
    cells = {run.run_id: (run.spec.model, run.spec.strategy) for run in record.runs}
    took: dict[tuple[str, str], list[float]] = {}
    for run in record.runs:
        if run.outcome is not None:
            took.setdefault(cells[run.run_id], []).append(run.outcome.total_seconds)
    means = {cell: fmean(seconds) for cell, seconds in took.items()}
    running = [job.eta_seconds for job in jobs if job.status == "RUNNING"]
    waiting = [cells[job.id] for job in jobs if job.status == "QUEUED" and job.id in cells]
    known = [eta for eta in running if eta is not None]
    if not means or len(known) < len(running):
        return None
    dearest = max(means.values())
    seconds = sum(known) + sum(means.get(cell, dearest) for cell in waiting)
    return TimeLeft(seconds, is_least=any(cell not in means for cell in waiting))

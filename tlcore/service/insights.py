"""Closer looks at a comparison, computed when a page asks for them: transfer, the best within a time, how much data."""

from dataclasses import dataclass
from typing import Any

from tlcore.analysis.costs import COSTS, CostAxis, cost_sentences
from tlcore.analysis.costs import EXPLAINED as COSTS_EXPLAINED
from tlcore.analysis.curves import XAxis
from tlcore.analysis.data_amounts import Series, data_series
from tlcore.analysis.data_words import EXPLAINED as DATA_EXPLAINED
from tlcore.analysis.data_words import data_rows, data_sentences
from tlcore.analysis.groups import Panel, groups_of, panels
from tlcore.analysis.left_out import LeftOut, left_out_of, left_out_sentence
from tlcore.analysis.statistics.estimates import all_right
from tlcore.analysis.time_budgets import (
    BudgetCurve,
    budget_curves,
    caution,
    reign_sentence,
    reign_table,
    reigns,
    within_sentence,
)
from tlcore.analysis.time_parts import EXPLAINED as TIME_EXPLAINED
from tlcore.analysis.time_parts import TimeShares, time_sentences, time_shares, time_tables
from tlcore.analysis.transfer import (
    EXPLAINED,
    REACHED_EXPLAINED,
    Reached,
    TransferRow,
    missing_words,
    threshold_rows,
    threshold_table,
    transfer_rows,
    transfer_sentences,
    transfer_table,
)
from tlcore.errors import NotFoundError
from tlcore.results import GATHERED, ComparisonRecord
from tlcore.service import comparisons

__all__ = [
    "COSTS",
    "COSTS_EXPLAINED",
    "DATA_EXPLAINED",
    "EXPLAINED",
    "REACHED_EXPLAINED",
    "TIME_EXPLAINED",
    "BudgetView",
    "CostAxis",
    "DataView",
    "LeftOut",
    "Panel",
    "TimeView",
    "TransferView",
    "caution",
    "cost_sentences",
    "data",
    "has_amounts",
    "left_out_of",
    "left_out_sentence",
    "panels",
    "profile",
    "time_budget",
    "time_parts",
    "time_rows",
    "transfer",
    "usual_seconds",
]
_RECENT = 20  # comparisons that are looked through for one with a measured run


@dataclass(frozen=True)
class TransferView:
    """What pretrained weights bring on one panel. missing: why there is nothing to measure, else None."""

    rows: list[TransferRow]
    table: list[dict[str, object]]
    sentences: list[str]
    reached: list[Reached]
    reached_table: list[dict[str, object]]
    missing: str | None


@dataclass(frozen=True)
class BudgetView:
    """The best by any time. answer: within the seconds asked for. summary: who leads from when."""

    curves: list[BudgetCurve]
    answer: str
    summary: str | None
    table: list[dict[str, object]]


@dataclass(frozen=True)
class TimeView:
    """Where the time went. tables: per model and fraction, with its title. sentences: what holds each strategy back."""

    shares: list[TimeShares]
    tables: list[tuple[str, list[dict[str, str]]]]
    sentences: list[str]


@dataclass(frozen=True)
class DataView:
    """Error by training images. sentences: crossovers, and what twice the images would bring."""

    series: list[Series]
    table: list[dict[str, object]]
    sentences: list[str]


def transfer(record: ComparisonRecord, x: XAxis, panel: Panel) -> TransferView:
    """The transfer measures on one panel; the end's tests are corrected for those of all panels."""
    rows = [r for r in transfer_rows(record, x) if (r.group.model, r.group.fraction) == (panel.model, panel.fraction)]
    reached = [r for r in threshold_rows(record, x) if (r.model, r.group.fraction) == (panel.model, panel.fraction)]
    return TransferView(
        rows,
        transfer_table(rows, x),
        transfer_sentences(rows, x),
        reached,
        threshold_table(reached, x),
        None if rows else missing_words(groups_of(record)),
    )


def time_budget(record: ComparisonRecord, seconds: float, left_out: LeftOut | None = None) -> BudgetView:
    """The best within so many training seconds, and who leads from when. left_out: groups that cannot be judged."""
    found = reigns(record, left_out)
    return BudgetView(
        budget_curves(record, left_out),
        within_sentence(record, seconds, left_out),
        reign_sentence(found, record),
        reign_table(found, record),
    )


def profile(name: str | None = None) -> tuple[str, TimeView]:
    """What was looked at, and where its time went.

    name: a comparison's id, a run's, or `runs:ID,ID`; None for the newest comparison of which a run was measured.
    Raises: NotFoundError, also where no run was measured.
    """
    names = [name] if name else [c.comparison_id for c in comparisons.list_comparisons(limit=_RECENT)]
    if not names:
        raise NotFoundError("there is no comparison yet: python -m tlcore demo, or compare, makes one")
    for found in names:
        record = _record_of(found)
        view = time_parts(record)
        if view.shares:
            return f"{record.spec.title or record.dataset.name}: {record.comparison_id}", view
    which = names[0] if len(names) == 1 else f"the newest {len(names)} comparisons"
    raise NotFoundError(f"no run of {which} has finished with its time measured: see python -m tlcore runs")


def _record_of(name: str) -> ComparisonRecord:
    """A comparison, or a run seen alone. Raises: NotFoundError."""
    try:
        return comparisons.record(name)
    except NotFoundError as error:
        if name.startswith(GATHERED):
            raise
        try:
            return comparisons.record(GATHERED + name)
        except NotFoundError:
            raise error from None


def time_rows(found: TimeView) -> list[dict[str, Any]]:
    """Seconds of each model, strategy and part of the data, for JSON: mean seconds by part, images per second."""
    return [
        {
            "model": each.group.model,
            "strategy": each.group.strategy,
            "fraction": each.group.fraction,
            "runs": each.runs,
            "seconds": each.total,
            "seconds_by_part": each.seconds,
            "images_per_second": each.pace,
        }
        for each in found.shares
    ]


def time_parts(record: ComparisonRecord) -> TimeView:
    """Where the time of the finished runs went; nothing of runs that were not measured."""
    shares = time_shares(record)
    return TimeView(shares, time_tables(record, shares), time_sentences(shares))


def usual_seconds(record: ComparisonRecord) -> float | None:
    """A budget to begin with: half of what the longest curve took, to one digit; None without a finished run."""
    ends = [curve.seconds[-1] for curve in budget_curves(record) if curve.seconds]
    return float(f"{max(ends) / 2:.1g}") if ends else None


def has_amounts(record: ComparisonRecord) -> bool:
    """Whether runs on several parts of the training images were asked for."""
    return len(record.spec.fractions) > 1


def data(record: ComparisonRecord) -> DataView:
    """Reads the predictions of every finished run: slow for many."""
    right = all_right(comparisons.all_predictions(record))
    series = data_series(record, right)
    return DataView(series, data_rows(series), data_sentences(record, right, series))

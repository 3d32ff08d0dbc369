"""Closer looks at a comparison, computed when a page asks for them: transfer, the best within a time, how much data."""

from dataclasses import dataclass

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
from tlcore.results import ComparisonRecord
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
    "time_budget",
    "time_parts",
    "transfer",
    "usual_seconds",
]


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

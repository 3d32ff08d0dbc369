"""What accuracy costs: time, memory, parameters, and who is beaten at every price."""

from collections.abc import Sequence
from typing import Literal

from tlcore.analysis.groups import percent
from tlcore.analysis.leaderboard import LeaderboardRow
from tlcore.analysis.left_out import LeftOut
from tlcore.results import Value

CostAxis = Literal["train_seconds", "peak_memory_bytes", "num_trainable_parameters"]


class Cost(Value):
    """A cost axis: what it is called, what its values are divided by, and the unit of the result."""

    title: str
    scale: float
    unit: str


COSTS: dict[CostAxis, Cost] = {
    "train_seconds": Cost(title="Training time per run", scale=1.0, unit="s"),
    "peak_memory_bytes": Cost(title="Peak memory", scale=1e9, unit="GB"),
    "num_trainable_parameters": Cost(title="Parameters trained", scale=1e3, unit="thousand"),
}


def priced(rows: Sequence[LeaderboardRow], cost: CostAxis = "train_seconds") -> list[LeaderboardRow]:
    """Rows on the most training data with an accuracy and this cost: fewer images would be another price."""
    most = max((row.fraction for row in rows), default=1.0)
    return [r for r in rows if r.fraction == most and r.test_accuracy is not None and price_of(r, cost) is not None]


def price_of(row: LeaderboardRow, cost: CostAxis) -> float | None:
    """In the unit of the axis."""
    value = getattr(row, cost)
    return None if value is None else value / COSTS[cost].scale


def rivals(
    rows: Sequence[LeaderboardRow], cost: CostAxis = "train_seconds", left_out: LeftOut | None = None
) -> list[LeaderboardRow]:
    """Of the priced rows, those among which a choice is made."""
    return [row for row in priced(rows, cost) if (row.model, row.strategy) not in (left_out or {})]


def pareto_front(
    rows: Sequence[LeaderboardRow], cost: CostAxis = "train_seconds", left_out: LeftOut | None = None
) -> list[LeaderboardRow]:
    """The rows that no other beats: none is as cheap and as accurate, and better in one of the two. Cheapest first."""
    known = [(price_of(row, cost) or 0.0, row.test_accuracy or 0.0, row) for row in rivals(rows, cost, left_out)]
    front = [
        (price, accuracy, row)
        for price, accuracy, row in known
        if not any(p <= price and a >= accuracy and (p, a) != (price, accuracy) for p, a, _ in known)
    ]
    return [row for _, _, row in sorted(front, key=lambda each: each[:2])]


def cost_sentences(
    rows: Sequence[LeaderboardRow], cost: CostAxis = "train_seconds", left_out: LeftOut | None = None
) -> list[str]:
    """Which rows are worth their price, and which are not."""
    front, shown = pareto_front(rows, cost, left_out), rivals(rows, cost, left_out)
    if not front:
        return []
    several = len({row.model for row in shown}) > 1
    listed = [
        f"{row_name(row, several)} ({percent(row.test_accuracy or 0.0)}, {price_words(row, cost)})" for row in front
    ]
    lines = [f"Worth their price by test accuracy at the end of a run, from the cheapest: {'; '.join(listed)}."]
    beaten = [row_name(row, several) for row in shown if row not in front]
    lines += [f"Beaten, as another is no dearer and no worse on average: {', '.join(beaten)}."] if beaten else []
    return lines


def row_name(row: LeaderboardRow, several: bool) -> str:
    """Strategy, with the model where there are several."""
    return f"{row.model_name} / {row.short_label}" if several else row.short_label


def price_words(row: LeaderboardRow, cost: CostAxis) -> str:
    """`6.23 s`, `1.6 GB`, `2,226 thousand`; `–` where unknown."""
    price = price_of(row, cost)
    if price is None:
        return "–"
    return f"{price:,.0f} {COSTS[cost].unit}" if price >= 1000 else f"{price:.3g} {COSTS[cost].unit}"

"""What accuracy costs: time, memory, parameters, and who is beaten at every price."""

from collections.abc import Sequence
from typing import Literal

from tlcore.analysis.groups import fraction_words, measured, percent
from tlcore.analysis.leaderboard import LeaderboardRow
from tlcore.analysis.left_out import LeftOut
from tlcore.results import Value

EXPLAINED = (
    "Training time holds making the features, also where they came from the cache, and all trials of a tuned run; "
    "no waiting, no decoding. Images per second: seen while training, or while features were made where there are no "
    "steps. Answer for one image: the forward pass alone, on the device that trained; measured once for equal networks."
)
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


def cost_rows(rows: Sequence[LeaderboardRow]) -> list[dict[str, object]]:
    """A table of what the finished rows cost: units in the headings, constant columns left out; None where unknown."""
    known = [row for row in rows if row.train_seconds is not None]
    models, fractions = ({row.model_name for row in known}, {row.fraction for row in known})
    return [
        {
            **({"Model": row.model_name} if len(models) > 1 else {}),
            "Strategy": row.short_label,
            **({"Training data": fraction_words(row.fraction)} if len(fractions) > 1 else {}),
            "Training time per run (s)": _rounded(row.train_seconds, 1),
            "Whole run (s)": _rounded(row.total_seconds, 1),
            "Images per second": _rounded(row.images_per_second, 0),
            "Peak memory (GB)": _rounded(row.peak_memory_bytes, 2, 1e9),
            "Answer for one image (ms)": _rounded(row.latency_ms, 1),
            "Model file (MB)": _rounded(row.model_bytes, 1, 1e6),
            "Parameters": row.num_parameters,
            "Parameters trained": row.num_trainable_parameters,
        }
        for row in known
    ]


def _rounded(value: float | None, digits: int, scale: float = 1.0) -> float | None:
    """To what two measurements would agree on."""
    return None if value is None else round(value / scale, digits or None)


def row_name(row: LeaderboardRow, several: bool) -> str:
    """Strategy, with the model where there are several."""
    return f"{row.model_name} / {row.short_label}" if several else row.short_label


def price_words(row: LeaderboardRow, cost: CostAxis) -> str:
    """`6.23 s`, `1.6 GB`, `2,226 thousand`; `–` where unknown."""
    price = price_of(row, cost)
    if price is None:
        return "–"
    return f"{measured(price)} {COSTS[cost].unit}"

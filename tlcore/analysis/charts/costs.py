"""Accuracy against a cost with the front of those that nobody beats, and the best by any time."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from tlcore.analysis.charts.floors import NOTE, level_floors, within_reach
from tlcore.analysis.charts.scores import interval_words, intervals, seeds_words
from tlcore.analysis.charts.style import (
    SYMBOLS,
    X_TITLES,
    axis,
    ink,
    layout,
    legend_below_axis,
    legend_room,
    share_axis,
)
from tlcore.analysis.costs import COSTS, CostAxis, pareto_front, price_of, price_words, priced, row_name
from tlcore.analysis.floors import FloorRow
from tlcore.analysis.groups import measured, name_of
from tlcore.analysis.leaderboard import LeaderboardRow
from tlcore.analysis.left_out import REASONS, LeftOut
from tlcore.analysis.time_budgets import BudgetCurve

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")  # of models, where they share a strategy
LOG_FROM = 8.0  # the axis of a cost is logarithmic from this ratio of the largest to the smallest


def pareto(
    rows: Sequence[LeaderboardRow],
    cost: CostAxis = "train_seconds",
    revision: str = "pareto",
    dark: bool = False,
    left_out: LeftOut | None = None,
    floors: Sequence[FloorRow] = (),
) -> go.Figure:
    """Mean test accuracy against a cost, on the most training data: filled marks are on the front, hollow ones not.

    left_out: crosses, whatever their price. floors: thin lines, those on the most training data.
    """
    shown, front = priced(rows, cost), pareto_front(rows, cost, left_out)
    models = list(dict.fromkeys(row.model for row in shown))
    figure = go.Figure()
    if len(front) > 1:
        figure.add_scatter(
            x=[price_of(row, cost) for row in front], y=[row.test_accuracy for row in front], mode="lines",
            line={"color": ink(dark).muted, "width": 1.6, "shape": "hv"}, hoverinfo="skip", name="not beaten",
        )  # fmt: skip
    for row in shown:
        why = (left_out or {}).get((row.model, row.strategy))
        place = "front" if row in front else "beaten by another" if why is None else REASONS[why]
        figure.add_scatter(**_mark(row, cost, models, place))
    lines = [floor for floor in floors if floor.fraction == max(row.fraction for row in rows)]
    drawn = [value for row in shown for value in (row.test_accuracy, *(row.ci95 or ())) if value is not None]
    accuracies = share_axis("Test accuracy (%)", drawn + [f.test_accuracy for f in within_reach(lines, drawn)])
    level_floors(figure, lines, accuracies["range"], dark)
    note = "Up and to the left is better. Bar: 95 % interval. Hollow: another is no dearer and no worse on average."
    note += (" Cross: not given enough to be judged." if left_out else "") + (NOTE if lines else "")
    room = legend_room([trace.name for trace in figure.data])
    figure.update_layout(**layout(dark, f"{revision}-{cost}", "Test accuracy and cost", note, 342 + room))
    figure.update_layout(margin={"b": room})
    legend_below_axis(figure)
    _price_axis(figure, shown, cost)
    figure.update_yaxes(**accuracies)
    return figure


def _price_axis(figure: go.Figure, shown: Sequence[LeaderboardRow], cost: CostAxis) -> None:
    """Logarithmic where prices differ widely."""
    prices = [price for row in shown if (price := price_of(row, cost))]
    log = bool(prices) and max(prices) / min(prices) > LOG_FROM
    title = f"{COSTS[cost].title} ({COSTS[cost].unit}{', logarithmic' if log else ''})"
    figure.update_xaxes(**axis(title, **(_log_ticks(prices) if log else {"rangemode": "tozero"})))


def _log_ticks(values: Sequence[float]) -> dict[str, Any]:
    """A logarithmic axis with marks at 1, 2 and 5 times powers of ten around the values."""
    powers = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
    marks = [lead * 10.0**power for power in powers for lead in (1, 2, 5)]
    return {"type": "log", "tickvals": marks, "ticktext": [f"{mark:,g}" for mark in marks]}


def best_by_time(
    curves: Sequence[BudgetCurve], seconds: float | None = None, revision: str = "budget", dark: bool = False
) -> go.Figure:
    """Mean best validation accuracy that each strategy has by each moment. seconds: the budget that is asked about."""
    groups = [curve.group for curve in curves]
    models = list(dict.fromkeys(group.model for group in groups))
    ends = [curve.seconds[-1] for curve in curves if curve.seconds] + ([seconds] if seconds else [])
    figure = go.Figure()
    for curve in (each for each in curves if each.seconds):
        name = escape(name_of(curve.group, groups), quote=False)
        color = curve.group.entry.color
        dash = DASHES[models.index(curve.group.model) % len(DASHES)]
        figure.add_scatter(
            x=[*curve.seconds, max(ends)],
            y=[*curve.accuracy, curve.accuracy[-1]],
            mode="lines+markers",
            name=name,
            line={"color": color, "width": 2.4, "shape": "hv", "dash": dash},
            marker={"color": color, "size": [7] * len(curve.seconds) + [0]},
            hovertemplate=f"<b>%{{y:.1%}}</b> by %{{x:.1f}} s<extra>{name}</extra>",
        )
    if seconds:
        said = {"text": f"{measured(seconds)} s", "font": {"color": ink(dark).text}, "y": 1, "yanchor": "bottom"}
        figure.add_vline(x=seconds, line={"color": ink(dark).text, "width": 1.6, "dash": "dot"}, annotation=said)
    note = "Mean over seeds of the best evaluation so far; a line begins when all its seeds were evaluated."
    note += " Time includes features and tuning."
    room = legend_room([trace.name for trace in figure.data])
    figure.update_layout(**layout(dark, revision, "The best by any time: validation accuracy", note, 322 + room))
    figure.update_layout(margin={"b": room, "t": 100})
    legend_below_axis(figure)
    figure.update_xaxes(**axis(X_TITLES["train_seconds"], rangemode="tozero"))
    reached = [value for curve in curves for value in curve.accuracy]
    figure.update_yaxes(**share_axis("Validation accuracy (%)", reached))
    return figure


def _mark(row: LeaderboardRow, cost: CostAxis, models: Sequence[str], place: str) -> dict[str, Any]:
    """place: `front`, or why the row is not there."""
    name = escape(row_name(row, len(models) > 1), quote=False)
    symbol = SYMBOLS[models.index(row.model) % len(SYMBOLS)]
    drawn = {"front": symbol, "beaten by another": f"{symbol}-open"}.get(place, "x-thin")
    return {
        "x": [price_of(row, cost)],
        "y": [row.test_accuracy],
        "mode": "markers",
        "name": name,
        "marker": {"color": row.color, "size": 14, "symbol": drawn, "line": {"color": row.color, "width": 2}},
        "error_y": intervals([row]),
        "cliponaxis": False,
        "hovertemplate": f"<b>%{{y:.1%}}</b> for {price_words(row, cost)}<br>{interval_words(row)}<br>"
        f"{seeds_words(row)}{'' if place == 'front' else f'<br>{place}'}<extra>{name}</extra>",
    }

"""Test accuracy over the values of one setting, such as the number of layer groups that train."""

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go

from tlcore.analysis.anatomy import amount
from tlcore.analysis.charts.style import (
    MODEL_COLORS,
    NAME_PIXELS,
    SYMBOLS,
    WIDE,
    axis,
    cut,
    layout,
    legend_room,
    share_axis,
)
from tlcore.analysis.groups import fraction_words
from tlcore.analysis.leaderboard import LeaderboardRow
from tlcore.analysis.sweeps import GROUPS, Sweep, SweepLine
from tlcore.recipes.words import words_of
from tlcore.strategies import split_reference

MAX_TICKS = 12
PLOT_WIDTH = WIDE - 100  # pixels, of a figure as narrow as it gets


def sweep_chart(sweep: Sweep, revision: str = "sweep", dark: bool = False) -> go.Figure:
    """Mean test accuracy with its 95 % interval at each value; a line for each model and fraction."""
    figure = go.Figure()
    names = [_line_name(sweep, line) for line in sweep.lines]
    for index, line in enumerate(sweep.lines):
        figure.add_scatter(**_trace(sweep, line, index, names[index]))
    log = sweep.is_logarithmic
    note = "Dot: mean over seeds. Bar: 95 % interval." + (f" All with {sweep.fixed}." if sweep.fixed else "")
    note += _head_alone(sweep)
    figure.update_layout(
        **layout(dark, f"{revision}-{sweep.strategy}-{sweep.setting}", f"Sweep of {sweep.name}", note, 470)
    )
    figure.update_layout(
        showlegend=len(names) > 1,
        margin={"b": (legend_room(names) if len(names) > 1 else 64) + (44 if _named(sweep) else 0)},
    )
    label = f"{words_of(sweep.setting).label}{', logarithmic' if log else ''}"
    figure.update_xaxes(**axis(label, **({"type": "log"} if log else {}), **_ticks(sweep)))
    figure.update_yaxes(**share_axis("Test accuracy (%)", _reach(sweep)))
    return figure


def _head_alone(sweep: Sweep) -> str:
    """What stands at 0 of the freeze depth, where something does."""
    ends = {point.row.strategy for line in sweep.lines for point in line.points if point.value == 0}
    if sweep.setting != GROUPS or not ends:
        return ""
    other = any(split_reference(end)[0] != sweep.strategy for end in ends)
    return f" 0 is the head alone{' (transfer learning, which has a recipe of its own)' if other else ''}."


def sweep_rows(sweep: Sweep) -> list[dict[str, object]]:
    """The figure's points as a table."""
    label = words_of(sweep.setting).label
    return [
        {
            **({"Model": line.model} if len({each.model for each in sweep.lines}) > 1 else {}),
            **({"Training data": fraction_words(line.fraction)} if len({e.fraction for e in sweep.lines}) > 1 else {}),
            label: f"{point.value:g}",
            **({"From": _where(line, point.value)} if _named(sweep) else {}),
            "Strategy": point.row.short_label,
            "Test accuracy (%)": round(100 * (point.row.test_accuracy or 0.0), 1),
            "95 % interval (%)": _interval(point.row),
            "Parameters trained": point.row.num_trainable_parameters,
            "Training time (s)": None if point.row.train_seconds is None else round(point.row.train_seconds, 1),
        }
        for line in sweep.lines
        for point in line.points
    ]


def _line_name(sweep: Sweep, line: SweepLine) -> str:
    parts = [line.model] if len({each.model for each in sweep.lines}) > 1 else []
    parts += [fraction_words(line.fraction)] if len({each.fraction for each in sweep.lines}) > 1 else []
    return escape(", ".join(parts) or line.model, quote=False)


def _trace(sweep: Sweep, line: SweepLine, index: int, name: str) -> dict[str, Any]:
    rows = [point.row for point in line.points]
    color = rows[0].color if len(sweep.lines) == 1 else MODEL_COLORS[index % len(MODEL_COLORS)]
    ends = [row.ci95 or (row.test_accuracy or 0.0,) * 2 for row in rows]
    return {
        "x": [point.value for point in line.points],
        "y": [row.test_accuracy for row in rows],
        "mode": "lines+markers",
        "name": name,
        "line": {"color": color, "width": 2.2},
        "marker": {"color": color, "size": 10, "symbol": SYMBOLS[index % len(SYMBOLS)]},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [high - (row.test_accuracy or 0.0) for row, (_, high) in zip(rows, ends, strict=True)],
            "arrayminus": [(row.test_accuracy or 0.0) - low for row, (low, _) in zip(rows, ends, strict=True)],
            "color": color,
            "thickness": 1.4,
            "width": 4,
        },
        "cliponaxis": False,
        "customdata": [
            [_said(row), _place(sweep, line, point.value)] for row, point in zip(rows, line.points, strict=True)
        ],
        "hovertemplate": f"<b>%{{y:.1%}}</b> at %{{customdata[1]}}<br>%{{customdata[0]}}<extra>{name}</extra>",
    }


def _said(row: LeaderboardRow) -> str:
    trained = "–" if row.num_trainable_parameters is None else amount(row.num_trainable_parameters)
    seconds = "–" if row.train_seconds is None else f"{row.train_seconds:.1f} s"
    return (
        f"{escape(row.short_label, quote=False)}<br>95 % interval {_interval(row)} %<br>"
        f"{trained} parameters trained, {seconds} of training per run"
    )


def _interval(row: LeaderboardRow) -> str:
    return "–" if row.ci95 is None else f"{100 * row.ci95[0]:.1f} to {100 * row.ci95[1]:.1f}"


def _named(sweep: Sweep) -> bool:
    """Whether the places on the axis have names: layer groups, the same ones for all lines."""
    names = {line.group_names for line in sweep.lines}
    return sweep.setting == GROUPS and len(names) == 1 and names != {()}


def _where(line: SweepLine, value: float) -> str:
    """The lowest layer group that trains: `head only`, `blocks.5`."""
    count = int(value)
    return "head only" if count == 0 else line.group_names[-1 - count] if count < len(line.group_names) else ""


def _place(sweep: Sweep, line: SweepLine, value: float) -> str:
    return (
        f"{value:g} ({escape(_where(line, value), quote=False)} upwards)" if _named(sweep) and value else f"{value:g}"
    )


def _ticks(sweep: Sweep) -> dict[str, Any]:
    """A tick at each value, with the layer group's name where it has one; all that would be too many to read: none.

    Names that would meet their neighbours are slanted.
    """
    values = sweep.values
    if len(values) > MAX_TICKS:
        return {}
    words = [f"{value:g}" for value in values]
    if not _named(sweep):
        return {"tickvals": values, "ticktext": words, "tickangle": 0}
    names = [cut(_where(sweep.lines[0], value)) for value in values]
    nearest = min((after - before for before, after in pairwise(sorted(values))), default=0)
    room = PLOT_WIDTH * nearest / max(1, max(values) - min(values))
    slanted = len(values) > 1 and room < NAME_PIXELS * max(map(len, names))
    both = [f"{word}<br>{name}" for word, name in zip(words, names, strict=True)]
    return {"tickvals": values, "ticktext": both, "tickangle": -40 if slanted else 0}


def _reach(sweep: Sweep) -> Sequence[float]:
    rows = [point.row for line in sweep.lines for point in line.points]
    return [v for row in rows for v in (row.test_accuracy, *(row.ci95 or ())) if v is not None]

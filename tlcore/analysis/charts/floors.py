"""Floors as thin labelled lines: what answers without any training reach."""

from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from tlcore.analysis.charts.style import NBSP, ink
from tlcore.analysis.floors import FloorRow
from tlcore.analysis.leaderboard import LeaderboardRow
from tlcore.results import FloorName

NAMES: dict[FloorName, str] = {
    "majority_class": "largest class",
    "nearest_class_mean": "pretrained as it is",
}
DASHES: dict[FloorName, str] = {"majority_class": "dot", "nearest_class_mean": "dash"}
NOTE = (
    " Thin lines: floors, without any training (dotted: always the largest class of the training images; "
    "dashed: pretrained network as it is, "
    "by the nearest class mean of its features)."
)
LABEL_LINE = 15  # pixels of a line of labels


def within_reach(floors: Sequence[FloorRow], values: Sequence[float]) -> list[FloorRow]:
    """Floors that an axis of these values can show without halving the room of the values."""
    if not values:
        return []
    return [floor for floor in floors if floor.test_accuracy >= 2 * min(values) - max(values)]


def named(floors: Sequence[FloorRow]) -> dict[FloorName, list[FloorRow]]:
    """The floors by their name, in the order of `NAMES`; those that do not occur are left out."""
    found = {name: [floor for floor in floors if floor.name == name] for name in NAMES}
    return {name: own for name, own in found.items() if own}


def upright_floors(
    figure: go.Figure,
    rows: Sequence[LeaderboardRow],
    floors: Sequence[FloorRow],
    axis_range: Sequence[float],
    dark: bool,
) -> None:
    """Beside each row the floors of its model and data; together they are a line. A label for each above the plot.

    One that lies left of the axis is a label with an arrow.
    """
    for level, (name, own) in enumerate(named(floors).items()):
        places = {(floor.model, floor.fraction): floor for floor in own}
        met = [(index, places.get((row.model, row.fraction))) for index, row in enumerate(rows)]
        drawn = [(index, floor) for index, floor in met if floor and floor.test_accuracy >= axis_range[0]]
        if drawn:
            figure.add_scatter(
                x=[x for _, floor in drawn for x in (floor.test_accuracy, floor.test_accuracy, None)],
                y=[y for index, _ in drawn for y in (index - 0.5, index + 0.5, None)],
                customdata=[_words(floor) for _, floor in drawn for _ in range(3)],
                **_line(name, dark),
            )
        at = drawn[0][1].test_accuracy if drawn else axis_range[0]
        label = _label(own) if drawn else f"← {_label(own)}"
        figure.add_annotation(
            text=escape(label, quote=False), x=at, xanchor="left" if at < sum(axis_range) / 2 else "right",
            y=1, yref="paper", yanchor="bottom", yshift=LABEL_LINE * level, showarrow=False,
            font={"color": ink(dark).muted, "size": 12},
        )  # fmt: skip


def level_floors(figure: go.Figure, floors: Sequence[FloorRow], axis_range: Sequence[float], dark: bool) -> None:
    """A line across the plot for each floor. The legend labels them: beside a line, a label would meet the marks.

    One that lies below the axis is in the legend alone.
    """
    for name, own in named(floors).items():
        line = {"color": ink(dark).muted, "width": 1.2, "dash": DASHES[name]}
        drawn = [floor.test_accuracy for floor in own if floor.test_accuracy >= axis_range[0]]
        for at in drawn:
            figure.add_hline(y=at, line=line, layer="below")
        said = _label(own) if drawn else f"{_label(own)} (below the plot)"
        figure.add_scatter(x=[None], y=[None], mode="lines", line=line, name=said, hoverinfo="skip")


def _words(floor: FloorRow) -> str:
    """For the hover."""
    ends = "" if floor.ci95 is None else f"<br>95 % interval {100 * floor.ci95[0]:.1f} to {100 * floor.ci95[1]:.1f} %"
    return f"<b>{100 * floor.test_accuracy:.1f} %</b> {escape(floor.label, quote=False)}{ends}"


def _label(floors: Sequence[FloorRow]) -> str:
    """The name with its accuracy, or the range of them over models and parts of the data."""
    shown = sorted({round(100 * floor.test_accuracy, 1) for floor in floors})
    ends = f"{shown[0]:.1f}" if len(shown) == 1 else f"{shown[0]:.1f} to {shown[-1]:.1f}"
    return f"{NAMES[floors[0].name]} {ends}{NBSP}%"


def _line(name: FloorName, dark: bool) -> dict[str, Any]:
    return {
        "mode": "lines",
        "name": NAMES[name],
        "line": {"color": ink(dark).muted, "width": 1.2, "dash": DASHES[name]},
        "hovertemplate": "%{customdata}<extra></extra>",
        "showlegend": False,
        "cliponaxis": False,
    }

"""What finished and live learning curves share: axes, and the lines where phases begin."""

from collections.abc import Sequence
from html import escape
from math import isfinite
from typing import Any

import plotly.graph_objects as go

from tlcore.analysis.charts.style import axis, ink, share_axis
from tlcore.analysis.curves import Metric, XAxis, phase_borders
from tlcore.analysis.groups import Group
from tlcore.results import RunRecord

LABEL_HEIGHT = 15  # pixels of a line of labels
LOSS_ROOM = 1.05  # of the highest loss, so that it is not on the border
MANY_PHASES = 3  # from so many borders on they share one label


def border_levels(groups: Sequence[Group], x: XAxis) -> dict[tuple[str, float], list[Group]]:
    """The groups with phase borders in each panel, by model and fraction: each has a line of labels of its own."""
    found: dict[tuple[str, float], list[Group]] = {}
    for group in groups:
        if phase_borders(group.runs, x):
            found.setdefault((group.model, group.fraction), []).append(group)
    return found


def mark_borders(
    figure: go.Figure, group: Group, x: XAxis, end: float, cell: tuple[int, int], level: int, dark: bool
) -> None:
    """A line where a phase begins, its label above the plot, where no curve crosses it.

    Of many phases the lines are thin, and one label stands at the first of them. level: the label's line, from 0.
    """
    borders = phase_borders(group.runs, x)
    many = len(borders) >= MANY_PHASES
    for index, (phase, at) in enumerate(borders.items()):
        said = f"{group.entry.short_label}, phase {phase + 1}"
        if many:
            said = f"{group.entry.short_label}, phases 2 to {max(borders) + 1} begin"
        figure.add_vline(
            x=at,
            line={"color": group.entry.color, "width": 0.7 if many else 1.4, "dash": "dashdot"},
            annotation=_label(said, at, end, level, dark) if index == 0 or not many else None,
            row=cell[0],
            col=cell[1],
        )


def _label(said: str, at: float, end: float, level: int, dark: bool) -> dict[str, Any]:
    return {
        "text": escape(said, quote=False),
        "font": {"color": ink(dark).muted, "size": 12},
        "yanchor": "bottom",
        "xanchor": "left" if at < 0.6 * end else "right",
        "y": 1,
        "yshift": LABEL_HEIGHT * level,
    }


def end_of(runs: Sequence[RunRecord], x: XAxis) -> float:
    """The largest x of any point."""
    return max((float(getattr(p, x)) for r in runs for p in r.history), default=1.0)


def from_zero(end: float) -> list[float]:
    """A range with room for a marker at 0 and at the end."""
    return [-0.02 * end, 1.02 * end] if end > 0 else [-0.02, 1.0]


def value_axis(runs: Sequence[RunRecord], metric: Metric) -> dict[str, Any]:
    """Accuracy: from just below the lowest value to 100 %. Loss: from 0 to just above the highest.

    Bands of few seeds may reach beyond: they must not press the curves together.
    """
    points = [p for r in runs for p in r.history]
    every = [getattr(p, f"{part}_{metric}") for p in points for part in ("train", "val")]
    values = [value for value in every if value is not None and isfinite(value)]
    if metric == "loss":
        return axis("", range=[0, LOSS_ROOM * (max(values, default=0.0) or 1.0)])
    return share_axis("", values or [0.0], best=True)

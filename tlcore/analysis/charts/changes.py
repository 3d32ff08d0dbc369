"""Class by class: the change from B to A with its interval."""

from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from tlcore.analysis.charts.classes import MAX_CLASSES
from tlcore.analysis.charts.differ import pair_colors
from tlcore.analysis.charts.style import GRID, NEUTRAL, axis, cut, ink, layout
from tlcore.analysis.images.changes import ClassChange
from tlcore.analysis.images.pairs import Pair


def class_change_chart(changes: Sequence[ClassChange], pair: Pair, revision: str, dark: bool = False) -> go.Figure:
    """A − B of each class in points with its 95 % interval, in the dataset's order.

    Filled in the colour of who is better where that is clear for all classes together, else hollow.
    """
    known = [change for change in changes if change.change is not None]
    largest = sorted(known, key=lambda change: -abs(change.change or 0.0))[:MAX_CLASSES]
    shown = [change for change in known if change in largest]
    figure = go.Figure()
    figure.add_vline(x=0, line={"color": ink(dark).muted, "width": 1})
    figure.add_scatter(**_marks(shown, pair_colors(pair)))
    only = f" The {len(shown)} of {len(changes)} classes that change most." if len(shown) < len(known) else ""
    note = (
        "Dot: mean. Bar: 95 % interval of this class alone. Filled: clear after correction for all classes (Holm); "
        f"hollow: may be chance.{only}"
    )
    figure.update_layout(**layout(dark, revision, "Change by class: A − B", note, 170 + 30 * len(shown)))
    figure.update_layout(showlegend=False)
    ends = [100 * end for change in shown for end in (change.interval or (change.change or 0.0,) * 2)]
    reach = max(5.0, *(1.08 * abs(end) for end in ends)) if ends else 5.0
    title = "← B better · points · A better →"
    figure.update_xaxes(**axis(title, range=[-reach, reach], tickangle=0))
    ticks = {"tickvals": list(range(len(shown))), "ticktext": [f"{cut(c.name)} ({c.images:,})" for c in shown]}
    figure.update_yaxes(**axis("", range=[len(shown) - 0.4, -0.6], **{**ticks, "gridcolor": GRID}))
    return figure


def _marks(shown: Sequence[ClassChange], colors: tuple[str, str]) -> dict[str, Any]:
    points = [100 * (change.change or 0.0) for change in shown]
    ends = [change.interval or (change.change or 0.0,) * 2 for change in shown]
    tints = [NEUTRAL if point == 0 else colors[point < 0] for point in points]
    return {
        "x": points,
        "y": list(range(len(shown))),
        "mode": "markers",
        "cliponaxis": False,
        "marker": {
            "size": 11,
            "color": tints,
            "symbol": ["circle" if change.clear else "circle-open" for change in shown],
            "line": {"width": 2, "color": tints},
        },
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [100 * high - point for point, (_, high) in zip(points, ends, strict=True)],
            "arrayminus": [point - 100 * low for point, (low, _) in zip(points, ends, strict=True)],
            "color": NEUTRAL,
            "thickness": 1.5,
            "width": 4,
        },
        "customdata": [_words(change) for change in shown],
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _words(change: ClassChange) -> str:
    said = f"{escape(change.name, quote=False)}, {change.images:,} test images<br>"
    said += f"<b>{100 * (change.change or 0.0):+.1f} points</b>: A {100 * (change.first or 0.0):.1f} %, "
    said += f"B {100 * (change.second or 0.0):.1f} %"
    if change.interval is None or change.adjusted is None:
        return f"{said}<br>too few images for an interval"
    low, high = change.interval
    corrected = f"p = {change.adjusted:.3f}" if change.adjusted >= 0.001 else "p < 0.001"
    return (
        f"{said}<br>95 % interval {100 * low:+.1f} to {100 * high:+.1f} (over {change.basis})<br>{corrected}, corrected"
    )

"""Reliability diagrams: how often answers of some probability are right."""

from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tlcore.analysis.charts.style import GRID, SHARE_TICKS, axis, faded, ink, layout, lines_of
from tlcore.analysis.images.calibration import NUM_BINS, Calibration, Scores

_COLUMNS = 3
_SIDE = 250  # pixels of a diagram
_COUNTS, _GAP = 60, 110  # pixels of the bars of counts below it, and from there to the next title and diagram
_LETTERS = 34


def reliability_diagrams(found: Sequence[Calibration], scaled: bool, revision: str, dark: bool = False) -> go.Figure:
    """One diagram for each strategy with probabilities, and below it how many answers lie in each bin.

    scaled: after temperature scaling instead of before.
    """
    shown = [(one, scores) for one in found if (scores := one.after if scaled else one.before) is not None]
    columns = max(1, min(_COLUMNS, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    figure = _panels(shown, rows, columns)
    figure.update_annotations(font={"size": 13}, yshift=8)  # clear of marks at 100 %
    for index, (one, scores) in enumerate(shown):
        row, column = 3 * (index // columns) + 1, index % columns + 1
        _draw(figure, one, scores, (row, column), ink(dark).muted)
    when = "after temperature scaling" if scaled else "as the networks tell them"
    note = (
        f"Test images, probabilities {when}, in {NUM_BINS} bins. On the dashed line, probabilities are true; below it "
        "the strategy is too sure of itself, above it not sure enough. Bar: 95 % interval by the different images."
    )
    height = 200 + rows * (_SIDE + _COUNTS + _GAP) - _GAP
    figure.update_layout(**layout(dark, revision, "Reliability", note, height), showlegend=False, bargap=0.05)
    figure.update_layout(margin={"t": 124})
    return figure


def reliability_width(found: Sequence[Calibration]) -> int:
    """Pixels that the diagrams need side by side."""
    return 280 * max(1, min(_COLUMNS, sum(one.before is not None for one in found)))


def _panels(shown: Sequence[tuple[Calibration, Scores]], rows: int, columns: int) -> go.Figure:
    """Rows of diagrams with their titles, each with a row of counts below it and room before the next."""
    whole = rows * (_SIDE + _COUNTS + _GAP) - _GAP
    heights = ([_SIDE, _COUNTS, _GAP] * rows)[:-1]
    kinds: list[list[dict[str, Any] | None]] = [[{}] * columns, [{}] * columns, [None] * columns] * rows
    titles = []
    for row in range(rows):
        own = shown[row * columns : (row + 1) * columns]
        titles += [_title(one, scores) for one, scores in own] + [""] * (columns - len(own)) + [""] * columns
    return make_subplots(
        3 * rows - 1, columns, specs=kinds[:-1], row_heights=heights, vertical_spacing=14 / (whole + 14 * 3 * rows),
        horizontal_spacing=0.1, subplot_titles=titles,
    )  # fmt: skip


def _title(one: Calibration, scores: Scores) -> str:
    name = "<br>".join(escape(line, quote=False) for line in lines_of(one.name, _LETTERS))
    return f"{name}<br>ECE {100 * scores.ece:.1f} points"


def _draw(figure: go.Figure, one: Calibration, scores: Scores, place: tuple[int, int], muted: str) -> None:
    row, column = place
    bins = scores.bins
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": muted, "dash": "dash", "width": 1}, hoverinfo="skip",
        row=row, col=column,
    )  # fmt: skip
    words = [f"{b.count:,} answers about {b.images:,} images" for b in bins]
    figure.add_scatter(
        x=[b.confidence for b in bins], y=[b.accuracy for b in bins], mode="lines+markers", row=row, col=column,
        line={"color": faded(one.color, 0.5), "width": 1.5}, marker={"color": one.color, "size": 8},
        error_y=_intervals(scores, one.color), customdata=words, cliponaxis=False,
        hovertemplate="said %{x:.1%}, right <b>%{y:.1%}</b><br>%{customdata}<extra></extra>",
    )  # fmt: skip
    figure.add_bar(
        x=[(b.low + b.high) / 2 for b in bins], y=[b.count for b in bins], width=1 / NUM_BINS,
        marker={"color": faded(one.color, 0.6)}, customdata=[f"{b.low:.0%} to {b.high:.0%}" for b in bins],
        hovertemplate="%{y:,} answers of %{customdata}<extra></extra>", row=row + 1, col=column,
    )  # fmt: skip
    ends: dict[str, Any] = {"range": [0, 1], "tickvals": [0, 0.5, 1], "tickangle": 0, **SHARE_TICKS}
    figure.update_xaxes(**axis("", **ends, showticklabels=False), row=row, col=column)
    figure.update_xaxes(
        **axis("Probability of the answer", **ends), row=row + 1, col=column, showticklabels=True, ticklabelstandoff=5
    )
    figure.update_yaxes(**axis("Share right" if column == 1 else "", **ends), row=row, col=column)
    title = "Answers" if column == 1 else ""
    figure.update_yaxes(**axis(title, rangemode="tozero", nticks=3, gridcolor=GRID), row=row + 1, col=column)


def _intervals(scores: Scores, color: str) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(0.0, b.interval[1] - b.accuracy) for b in scores.bins],
        "arrayminus": [max(0.0, b.accuracy - b.interval[0]) for b in scores.bins],
        "color": color,
        "thickness": 1.2,
        "width": 3,
    }

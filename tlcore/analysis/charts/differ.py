"""Two confusion matrices side by side, and their difference; every cell with images can be clicked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from tlcore.analysis.charts.confusion import MAX_ANNOTATED, TICKED, row_shares
from tlcore.analysis.charts.style import (
    MODEL_COLORS,
    NAME_PIXELS,
    SHARE_TICKS,
    class_ticks,
    ink,
    layout,
    lines_of,
    readable_on,
)
from tlcore.analysis.images.pairs import Pair, summed_confusion
from tlcore.results import ComparisonRecord

COMPACT = 8  # classes; so many fit beside one another in a small figure
SIDE = 260  # pixels of a small matrix, and of one that a narrow page draws
FEWEST_POINTS = 1.0  # the colours of a difference reach at least so far, so that noise is not painted in full colour
_TITLE_LETTERS = 40
Cells = NDArray[np.float64]


@dataclass(frozen=True)
class _Matrix:
    """What is drawn of a matrix. values [K, K]: shares or points; first, second [K, K]: answers, as `words` says them.

    who: whose answers a click asks for. words: of a value and the counts. number: a value for within its cell.
    """

    values: Cells
    first: Cells
    second: Cells
    who: str
    words: Callable[[float, float, float], str]
    number: Callable[[float], str]


def pair_colors(pair: Pair) -> tuple[str, str]:
    """The colours of A and B: those of their strategies, or two of our own where that is one strategy."""
    own = pair.first.entry.color, pair.second.entry.color
    return own if own[0] != own[1] else MODEL_COLORS[:2]


def confusion_pair(record: ComparisonRecord, pair: Pair, dark: bool = False) -> go.Figure:
    """The matrices of A and B over the same seeds and test images, in one colour scale, rows in per cent.

    A point's `customdata` is (true class, answered class, words for the hover, `first` or `second`, row, column).
    """
    classes = record.dataset.classes
    names = [f"{letter}: {name}" for letter, name in zip("AB", pair.names, strict=True)]
    titles = ["<br>".join(escape(line, quote=False) for line in lines_of(n, _TITLE_LETTERS)) for n in names]
    figure = make_subplots(1, 2, subplot_titles=titles, horizontal_spacing=0.1)
    figure.update_annotations(font={"size": 13})
    for place, who in enumerate(("first", "second")):
        counts = summed_confusion([runs[place] for runs in pair.runs], len(classes))
        matrix = _Matrix(row_shares(counts), counts, np.zeros_like(counts), who, _count_words, _number)
        _draw(figure, matrix, classes, place + 1, dark, {"coloraxis": "coloraxis", **_text(matrix, classes)})
    note = f"Per cent of each true class (rows sum to 100), test images of {_seeds(pair)}."
    _frame(figure, record, pair, "Confusion matrices of A and B", note, dark)
    bar = {"thickness": 14, "outlinewidth": 0, **SHARE_TICKS}
    scale = [list(step) for step in ink(dark).scale]
    figure.update_layout(coloraxis={"colorscale": scale, "colorbar": bar, "cmin": 0, "cmax": 1})
    figure.update_yaxes(showticklabels=False, row=1, col=2)
    return figure


def confusion_difference(record: ComparisonRecord, pair: Pair, dark: bool = False) -> go.Figure:
    """A − B in points of the true class: in A's colour where A gave the answer more often, in B's where B did.

    A point's `customdata` is as of `confusion_pair`, with `either`.
    """
    classes = record.dataset.classes
    first, second = (summed_confusion([runs[place] for runs in pair.runs], len(classes)) for place in range(2))
    points = 100 * (row_shares(first) - row_shares(second))
    reach = max(FEWEST_POINTS, float(np.nanmax(np.abs(points), initial=0.0)))
    own, other = pair_colors(pair)
    figure = make_subplots(1, 1)
    heat = {
        "colorscale": [[0, other], [0.5, ink(dark).still], [1, own]],
        "zmin": -reach,
        "zmid": 0,
        "zmax": reach,
        "colorbar": {"thickness": 14, "outlinewidth": 0, "title": {"text": "points", "font": {"size": 12}}},
    }
    matrix = _Matrix(points, first, second, "either", _difference_words, _signed)
    _draw(figure, matrix, classes, 1, dark, heat)
    if len(classes) <= MAX_ANNOTATED:
        _write(figure, matrix, lambda value: readable_on((other, ink(dark).still, own), value / reach))
    note = f"Points of each true class (its images are 100), {_seeds(pair)}. +: A gives this answer more often; −: B."
    _frame(figure, record, pair, "Difference: A − B", note, dark)
    return figure


def _draw(
    figure: go.Figure, matrix: _Matrix, classes: Sequence[str], column: int, dark: bool, heat: dict[str, Any]
) -> None:
    figure.add_heatmap(z=matrix.values, xgap=1, ygap=1, hoverinfo="skip", row=1, col=column, **heat)
    # Streamlit hears clicks on points, not on cells of a heatmap: unseen points lie on the cells that hold images.
    held = np.argwhere(matrix.first + matrix.second).tolist()
    figure.add_scatter(
        x=[j for _, j in held], y=[i for i, _ in held], mode="markers", showlegend=False, row=1, col=column,
        customdata=[_about(matrix, classes, i, j) for i, j in held],
        hovertemplate="true class %{customdata[0]}<br>answered %{customdata[1]}<br>%{customdata[2]}<extra></extra>",
        hoverlabel={"bgcolor": ink(dark).paper, "font": {"color": ink(dark).text}},
        marker={"size": max(4, 0.8 * _side(classes) / len(classes)), "symbol": "square", "opacity": 0},
        selected={"marker": {"opacity": 0}}, unselected={"marker": {"opacity": 0}},
    )  # fmt: skip


def _about(matrix: _Matrix, classes: Sequence[str], i: int, j: int) -> list[Any]:
    """`customdata` of the point on row i and column j."""
    words = matrix.words(matrix.values[i, j], matrix.first[i, j], matrix.second[i, j])
    return [escape(classes[i], quote=False), escape(classes[j], quote=False), words, matrix.who, i, j]


def _text(matrix: _Matrix, classes: Sequence[str]) -> dict[str, Any]:
    """Numbers in the cells as plotly writes them: its own light or dark on the colours of the scale."""
    if len(classes) > MAX_ANNOTATED:
        return {}
    numbers = [[matrix.number(value) for value in row] for row in matrix.values]
    return {"text": numbers, "texttemplate": "%{text}", "textfont": {"size": 13 if len(classes) <= 6 else 11}}


def _write(figure: go.Figure, matrix: _Matrix, color_of: Callable[[float], str]) -> None:
    """Numbers in the cells in colours that can be read on those of strategies; a click must not fade them."""
    places: dict[str, list[tuple[int, int, str]]] = {}
    for (i, j), value in np.ndenumerate(matrix.values):
        if number := matrix.number(value):
            places.setdefault(color_of(value), []).append((i, j, number))
    size = 13 if len(matrix.values) <= 6 else 11
    for color, own in places.items():
        kept = {"textfont": {"color": color}}
        figure.add_scatter(
            x=[j for _, j, _ in own], y=[i for i, _, _ in own], text=[number for _, _, number in own], mode="text",
            textfont={"color": color, "size": size}, selected=kept, unselected=kept, hoverinfo="skip", showlegend=False,
        )  # fmt: skip


def _frame(figure: go.Figure, record: ComparisonRecord, pair: Pair, title: str, note: str, dark: bool) -> None:
    classes = record.dataset.classes
    strategies = f"{pair.first.model}-{pair.first.strategy}-{pair.second.model}-{pair.second.strategy}"
    revision = f"{title}-{record.comparison_id}-{strategies}"
    ticks = class_ticks(classes if len(classes) <= TICKED else [], SIDE)
    upright = NAME_PIXELS * max(map(len, ticks["ticktext"]), default=0) if ticks["tickangle"] else 0
    figure.update_layout(**layout(dark, revision, title, note, 170 + upright + _side(classes)))
    figure.update_layout(margin={"t": 124})
    square = {"constrain": "domain", "showgrid": False, "zeroline": False, "automargin": True, **ticks}
    ends = [-0.5, len(classes) - 0.5]
    answered = {"text": "answered class", "font": {"size": 12}}
    figure.update_xaxes(**square, range=ends, title=answered)
    figure.update_yaxes(**{**square, "tickangle": 0}, range=ends[::-1], constraintoward="top", scaleratio=1)
    figure.for_each_yaxis(lambda axis: axis.update(scaleanchor=axis.anchor))
    figure.update_yaxes(title={"text": "true class", "font": {"size": 12}}, row=1, col=1)


def difference_width(record: ComparisonRecord) -> int:
    """Pixels that the difference of two matrices needs."""
    return 360 if len(record.dataset.classes) <= COMPACT else 560


def _side(classes: Sequence[str]) -> int:
    """Pixels of a matrix."""
    return SIDE if len(classes) <= COMPACT else 440


def _seeds(pair: Pair) -> str:
    return f"{pair.seed_words} together" if len(pair.runs) > 1 else pair.seed_words


def _number(share: float) -> str:
    if np.isnan(share) or share == 0:
        return ""
    return f"{100 * share:.0f}" if share >= 0.005 else "<1"


def _signed(points: float) -> str:
    """`+3.2`, `−3.2`; nothing where there is no difference, so that the others stand out."""
    if np.isnan(points) or abs(points) < 0.05:
        return ""
    return f"{points:+.1f}".replace("-", "−")


def _count_words(share: float, count: float, _: float) -> str:
    return f"<b>{100 * share:.1f} %</b> of the class, {count:,.0f} answers"


def _difference_words(points: float, first: float, second: float) -> str:
    return f"<b>{_signed(points) or '0'} points</b>: A {first:,.0f} times, B {second:,.0f} times"

"""Two confusion matrices side by side, and their difference; every cell with images can be clicked."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from tlcore.analysis.charts.confusion import MAX_ANNOTATED, TICKED, row_shares
from tlcore.analysis.charts.style import MODEL_COLORS, SHARE_TICKS, cut, ink, layout, lines_of
from tlcore.analysis.images.pairs import Pair, summed_confusion
from tlcore.results import ComparisonRecord

_SIDE = 330  # pixels of a matrix
_TITLE_LETTERS = 44
FEWEST_POINTS = 1.0  # the colours of a difference reach at least so far, so that noise is not painted in full colour
Cells = NDArray[np.float64]


def pair_colors(pair: Pair) -> tuple[str, str]:
    """The colours of A and B: those of their strategies, or two of our own where that is one strategy."""
    own = pair.first.entry.color, pair.second.entry.color
    return own if own[0] != own[1] else MODEL_COLORS[:2]


def confusion_pair(record: ComparisonRecord, pair: Pair, dark: bool = False) -> go.Figure:
    """The matrices of A and B over the same seeds and test images, in one colour scale, rows in per cent.

    A cell's `customdata` is (true class, answered class, `first` or `second`, words for the hover).
    """
    classes = record.dataset.classes
    names = [f"{letter}: {name}" for letter, name in zip("AB", pair.names, strict=True)]
    titles = ["<br>".join(escape(line, quote=False) for line in lines_of(n, _TITLE_LETTERS)) for n in names]
    figure = make_subplots(1, 2, subplot_titles=titles, horizontal_spacing=0.1, shared_yaxes=True)
    figure.update_annotations(font={"size": 13})
    for place, who in enumerate(("first", "second")):
        counts = summed_confusion([runs[place] for runs in pair.runs], len(classes))
        shares = row_shares(counts)
        words = [[_count_words(c, s) for c, s in zip(*row, strict=True)] for row in zip(counts, shares, strict=True)]
        numbers = [[_number(s) for s in row] for row in shares]
        heat = {"coloraxis": "coloraxis"}
        _draw(figure, (shares, counts > 0), (numbers, words), classes, (who, place + 1), heat)
    note = f"Per cent of each true class (rows sum to 100), test images of {pair.seed_words} together."
    figure.update_layout(**_frame(record, pair, "Confusion matrices of A and B", note, dark, "pair"))
    bar = {"thickness": 14, "outlinewidth": 0, **SHARE_TICKS}
    scale = [list(step) for step in ink(dark).scale]
    figure.update_layout(coloraxis={"colorscale": scale, "colorbar": bar, "cmin": 0, "cmax": 1})
    _label(figure, classes, columns=2)
    return figure


def confusion_difference(record: ComparisonRecord, pair: Pair, dark: bool = False) -> go.Figure:
    """A − B in points of the true class: in A's colour where A gave the answer more often, in B's where B did.

    A cell's `customdata` is as of `confusion_pair`, with `either`.
    """
    classes = record.dataset.classes
    first, second = (summed_confusion([runs[place] for runs in pair.runs], len(classes)) for place in range(2))
    points = 100 * (row_shares(first) - row_shares(second))
    words = [
        [_difference_words(p, *c) for p, *c in zip(*row, strict=True)]
        for row in zip(points, first, second, strict=True)
    ]
    numbers = [[_signed(p) for p in row] for row in points]
    reach = max(FEWEST_POINTS, float(np.nanmax(np.abs(points), initial=0.0)))
    own, other = pair_colors(pair)
    heat = {
        "colorscale": [[0, other], [0.5, ink(dark).still], [1, own]],
        "zmin": -reach,
        "zmid": 0,
        "zmax": reach,
        "colorbar": {"thickness": 14, "outlinewidth": 0, "title": {"text": "points", "font": {"size": 12}}},
    }
    figure = make_subplots(1, 1)
    _draw(figure, (points, (first + second) > 0), (numbers, words), classes, ("either", 1), heat)
    over = f", {pair.seed_words} together" if len(pair.runs) > 1 else f", {pair.seed_words}"
    note = f"Points of each true class (its images are 100){over}. + : A gives this answer more often; − : B does."
    figure.update_layout(**_frame(record, pair, "Difference: A − B", note, dark, "difference"))
    _label(figure, classes, columns=1)
    return figure


def _draw(
    figure: go.Figure,
    values: tuple[Cells, NDArray[np.bool_]],
    said: tuple[list[list[str]], list[list[str]]],
    classes: Sequence[str],
    panel: tuple[str, int],
    heat: dict[str, Any],
) -> None:
    """values: colours [K, K], and which cells hold images. said: numbers in the cells, and the words of the hover."""
    (z, held), (numbers, words), (who, column) = values, said, panel
    names = [escape(name, quote=False) for name in classes]
    data = [[[names[i], names[j], who, words[i][j]] for j in range(len(names))] for i in range(len(names))]
    hover = "true class %{customdata[0]}<br>answered %{customdata[1]}<br>%{customdata[3]}<extra></extra>"
    few = len(classes) <= MAX_ANNOTATED
    figure.add_heatmap(
        z=z, text=numbers if few else None, texttemplate="%{text}" if few else None, customdata=data,
        textfont={"size": 13 if len(classes) <= 6 else 11}, hovertemplate=hover, xgap=1, ygap=1, row=1, col=column,
        **heat,
    )  # fmt: skip
    rows, columns = np.nonzero(held)
    # Streamlit hears clicks on points, not on cells of a heatmap: unseen points lie on the cells that hold images.
    figure.add_scatter(
        x=columns, y=rows, mode="markers", showlegend=False, hovertemplate=hover, row=1, col=column,
        customdata=[[*data[i][j], int(i), int(j)] for i, j in zip(rows, columns, strict=True)],
        marker={"size": max(4, 0.8 * _SIDE / len(classes)), "symbol": "square", "opacity": 0},
        selected={"marker": {"opacity": 0}}, unselected={"marker": {"opacity": 0}},
    )  # fmt: skip


def _frame(record: ComparisonRecord, pair: Pair, title: str, note: str, dark: bool, kind: str) -> dict[str, Any]:
    strategies = f"{pair.first.model}-{pair.first.strategy}-{pair.second.model}-{pair.second.strategy}"
    drawn = layout(dark, f"{kind}-{record.comparison_id}-{strategies}", title, note, 230 + _SIDE)
    return {**drawn, "margin": {**drawn["margin"], "t": 124}, "clickmode": "event+select", "dragmode": "pan"}


def _label(figure: go.Figure, classes: Sequence[str], columns: int) -> None:
    places = list(range(len(classes))) if len(classes) <= TICKED else []
    ticks = {"tickvals": places, "ticktext": [cut(classes[place]) for place in places]}
    ends = [-0.5, len(classes) - 0.5]
    square = {"constrain": "domain", "showgrid": False, "zeroline": False, "automargin": True, **ticks}
    fits = len(classes) * max(map(len, classes)) <= 55
    title = {"text": "answered class", "font": {"size": 12}}
    figure.update_xaxes(**square, range=ends, tickangle=0 if fits else -90, title=title)
    figure.update_yaxes(**square, range=ends[::-1], constraintoward="top")
    for column in range(1, columns + 1):
        anchor = "x" if column == 1 else f"x{column}"
        figure.update_yaxes(scaleanchor=anchor, scaleratio=1, row=1, col=column)
    figure.update_yaxes(title={"text": "true class", "font": {"size": 12}}, row=1, col=1)


def _number(share: float) -> str:
    if np.isnan(share) or share == 0:
        return ""
    return f"{100 * share:.0f}" if share >= 0.005 else "<1"


def _signed(points: float) -> str:
    """`+3.2`, `−3.2`; nothing where there is no difference, so that the others stand out."""
    if np.isnan(points) or abs(points) < 0.05:
        return ""
    return f"{points:+.1f}".replace("-", "−")


def _count_words(count: float, share: float) -> str:
    if np.isnan(share):
        return "no test image of this class"
    return f"<b>{100 * share:.1f} %</b> of the class, {count:,.0f} answers"


def _difference_words(points: float, first: float, second: float) -> str:
    if np.isnan(points):
        return "no test image of this class"
    return f"<b>{_signed(points) or '0'} points</b>: A {first:,.0f} times, B {second:,.0f} times"

"""Confusion matrices of all groups, side by side in one class order and one colour scale."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from tlcore.analysis.charts.style import NAME_PIXELS, SHARE_TICKS, class_ticks, ink, layout, lines_of, place
from tlcore.analysis.groups import Group, groups_of, name_of
from tlcore.results import ComparisonRecord, RunRecord

MAX_ANNOTATED = 12  # classes; beyond, numbers in the cells could not be read
CONFUSION_WIDTH = 760  # pixels that matrices side by side need
ROOM_BESIDE = 220  # pixels of them for names, titles and the bar of colours
TICKED = 30  # classes; beyond, their names are in the hover text only


def confusion_matrices(
    record: ComparisonRecord, split: str = "test", normalised: bool = True, dark: bool = False
) -> go.Figure:
    """All groups' matrices in one class order and one colour scale, mean over seeds.

    normalised: each row in per cent of its true class, else images per seed.
    """
    groups = [g for g in groups_of(record) if any(split in r.confusion for r in g.runs)]
    classes = record.dataset.classes
    columns = _columns(len(groups), len(classes))
    rows = max(1, -(-len(groups) // columns))
    titles = [name_of(g, groups) for g in groups]
    names = ["<br>".join(escape(line, quote=False) for line in lines_of(name, _letters(columns))) for name in titles]
    figure = make_subplots(
        rows, columns, subplot_titles=names or None, shared_xaxes="all", shared_yaxes="all",
        horizontal_spacing=0.12 / columns, vertical_spacing=0.22 / rows,
    )  # fmt: skip
    figure.update_annotations(font={"size": 13})
    for index, group in enumerate(groups):
        counts = mean_confusion(group, split, len(classes))
        figure.add_trace(_heatmap(counts, classes, normalised), *place(index, columns))
    lines = max((len(lines_of(name, _letters(columns))) for name in titles), default=1)
    ticks = class_ticks(classes if len(classes) <= TICKED else [], (CONFUSION_WIDTH - ROOM_BESIDE) / columns)
    upright = NAME_PIXELS * max(map(len, ticks["ticktext"]), default=0) if ticks["tickangle"] else 0
    _frame(figure, record, len(groups), split, normalised, dark, 16 * (lines - 1))
    figure.update_layout(height=figure.layout.height + upright)
    _label_classes(figure, ticks, (rows, columns), len(groups))
    return figure


def mean_confusion(group: Group, split: str, num_classes: int) -> NDArray[np.float64]:
    """Images of true class i predicted as class j, [K, K], mean over the group's seeds."""
    matrices = [np.array(r.confusion[split].counts, dtype=float) for r in group.runs if split in r.confusion]
    total: NDArray[np.float64] = np.stack(matrices or [np.zeros((num_classes, num_classes))]).sum(axis=0)
    return total / max(1, len(matrices))


def row_shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each row divided by its sum, [K, K]; NaN for a class without images."""
    totals = counts.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] = counts / np.where(totals > 0, totals, np.nan)
    return shares


def _columns(groups: int, classes: int) -> int:
    """Side by side as long as the numbers in the cells stay readable on a page of about 1,000 pixels."""
    widest = 5 if classes <= 3 else 3 if classes <= MAX_ANNOTATED else 2
    return max(1, min(widest, groups))


def _letters(columns: int) -> int:
    """Letters of a title that fit above one of so many matrices side by side."""
    return 110 // columns


def _heatmap(counts: NDArray[np.float64], classes: Sequence[str], normalised: bool) -> Any:
    shares = row_shares(counts)
    names = np.array([escape(c, quote=False) for c in classes])
    true, predicted = np.meshgrid(names, names, indexing="ij")
    text = np.array(
        [[_cell(c, s, normalised) for c, s in zip(*row, strict=True)] for row in zip(counts, shares, strict=True)]
    )
    share_text = np.array([["–" if np.isnan(s) else f"{100 * s:.1f} %" for s in row] for row in shares])
    return go.Heatmap(
        z=shares if normalised else counts,
        text=text if len(classes) <= MAX_ANNOTATED else None,
        texttemplate="%{text}" if len(classes) <= MAX_ANNOTATED else None,
        textfont={"size": 13 if len(classes) <= 6 else 11},
        customdata=np.dstack([true, predicted, share_text, counts.round(1)]),
        hovertemplate="true class %{customdata[0]}<br>predicted %{customdata[1]}<br>"
        "<b>%{customdata[2]}</b> of the class, %{customdata[3]} images<extra></extra>",
        coloraxis="coloraxis",
        xgap=1,
        ygap=1,
    )


def _cell(count: float, share: float, normalised: bool) -> str:
    """The number in a cell; nothing where no image is, so that the others stand out."""
    if count == 0:
        return ""
    if normalised:
        return f"{100 * share:.0f}" if share >= 0.005 else "<1"
    return f"{count:.0f}" if float(count).is_integer() or count >= 10 else f"{count:.1f}"


def _frame(
    figure: go.Figure, record: ComparisonRecord, groups: int, split: str, normalised: bool, dark: bool, taller: int
) -> None:
    """taller: pixels that the titles of a row of matrices need beyond one line."""
    classes = len(record.dataset.classes)
    columns = _columns(groups, classes)
    rows = max(1, -(-groups // columns))
    unit = "Per cent of each true class (rows sum to 100)" if normalised else "Images"
    seeds = max((_seeds(r, record) for r in record.runs if split in r.confusion), default=1)
    over = f", mean of {seeds} seeds" if seeds > 1 else ""
    title = f"Confusion matrices, {split} images"
    side = {5: 165, 3: 290, 2: 420}.get(columns, 340)
    revision = f"confusion-{record.comparison_id}-{split}-{normalised}"
    figure.update_layout(**layout(dark, revision, title, f"{unit}{over}.", 200 + rows * (side + 40 + taller)))
    bar = {"title": {"text": "" if normalised else "images", "font": {"size": 12}}, "thickness": 14, "outlinewidth": 0}
    bar |= SHARE_TICKS if normalised else {}
    limits = {"cmin": 0, "cmax": 1} if normalised else {"cmin": 0}
    scale = [list(step) for step in ink(dark).scale]
    figure.update_layout(margin={"t": 110 + taller}, coloraxis={"colorscale": scale, "colorbar": bar, **limits})


def _seeds(run: RunRecord, record: ComparisonRecord) -> int:
    key = (run.spec.model, run.spec.strategy, run.spec.fraction)
    return sum((r.spec.model, r.spec.strategy, r.spec.fraction) == key and bool(r.confusion) for r in record.runs)


def _label_classes(figure: go.Figure, ticks: Mapping[str, Any], grid: tuple[int, int], groups: int) -> None:
    rows, columns = grid
    square = {"constrain": "domain", "showgrid": False, "zeroline": False, "automargin": True, **ticks}
    figure.update_xaxes(**square)
    beside = {**square, "tickangle": 0}
    figure.update_yaxes(**beside, autorange="reversed", scaleanchor="x", scaleratio=1, constraintoward="top")
    for index in range(groups):
        row, column = place(index, columns)
        if index + columns >= groups:
            figure.update_xaxes(
                title={"text": "predicted class", "font": {"size": 12}}, showticklabels=True, row=row, col=column
            )
    for row in range(1, rows + 1):
        figure.update_yaxes(title={"text": "true class", "font": {"size": 12}}, row=row, col=1)

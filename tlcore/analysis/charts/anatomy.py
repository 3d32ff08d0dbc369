"""Layer groups against strategies: what trained in each phase, and how far each group moved.

Runs of one model, on rows from the network's input (top) to its head (bottom).
"""

import math
from collections.abc import Sequence
from html import escape
from itertools import accumulate
from typing import Any

import plotly.graph_objects as go

from tlcore.analysis.anatomy import (
    Subject,
    amount,
    group_names,
    is_unchanged,
    moved_words,
    numbered,
    part_words,
    recorded,
    trained_share,
)
from tlcore.analysis.charts.style import NBSP, axis, cut, ink, layout, lines_of
from tlcore.results import LayerGroup

ROW, NARROW_ROW, LOWEST_PLOT = 24, 15, 200  # pixels
MANY_GROUPS = 30  # from here on rows are narrow and their cells without text
STAGE = 0.24  # width of one of many phases, in columns of a strategy with one phase
COLUMN_PIXELS = 70
BAR_PIXELS = 120  # for the bar of shades beside the columns, with its figures
NAME_WIDTH = 11  # letters of a strategy's name in one line above its column
LOWEST, HIGHEST = 1e-6, 1.0  # movement below and above these shares has the palest and the strongest colour


def trained_chart(subjects: Sequence[Subject], revision: str = "trained", dark: bool = False) -> go.Figure:
    """What trained when: a cell for each layer group and phase, in the strategy's colour where it trained."""
    shown = recorded(subjects)
    names = group_names(shown)
    edges = _edges(shown)
    figure = go.Figure()
    for subject, (left, right) in zip(shown, edges, strict=True):
        figure.add_trace(_trained_cells(subject, names, left, right, dark))
    note = (
        "T: all parameters of the layer group train; F: frozen; a percentage: trained parameters against all of them "
        "(adapters beside frozen weights). Columns: phases in order."
    )
    _frame(figure, shown, names, edges, dark, (revision, "What trained, phase by phase", note))
    ticks = [
        (left + (right - left) * (index + 0.5) / len(subject.phases), str(index + 1))
        for subject, (left, right) in zip(shown, edges, strict=True)
        for index in range(len(subject.phases))
    ]
    figure.update_xaxes(
        title={"text": "Phase", "font": {"size": 13}},
        tickfont={"size": 10},
        tickvals=[at for at, _ in ticks],
        ticktext=[t for _, t in ticks],
    )
    return figure


def movement_chart(subjects: Sequence[Subject], revision: str = "moved", dark: bool = False) -> go.Figure:
    """How far each layer group ended from its start, in per cent, on a logarithmic colour scale; 0 is grey."""
    shown = recorded(subjects)
    names = group_names(shown)
    edges = [(float(index), index + 0.94) for index in range(len(shown))]
    figure = go.Figure()
    for subject, edge in zip(shown, edges, strict=True):
        for trace in _moved_cells(subject, names, edge, dark):
            figure.add_trace(trace)
    moved = [g.moved for s in shown for g in s.groups if g.moved]
    note = (
        "Length of the change ÷ length of the weights at the start. Grey 0: not one number of the group changed. "
        "0 with a star: weights unchanged, normalisation statistics updated."
    )
    _frame(figure, shown, names, edges, dark, (revision, "How far each layer group moved", note))
    figure.update_xaxes(showticklabels=False)
    figure.update_layout(margin={"b": 20}, height=figure.layout.height - 36, coloraxis=_movement_scale(moved, dark))
    return figure


def chart_width(subjects: Sequence[Subject], by_phase: bool) -> int:
    """How many pixels a figure needs, so that names and cells can be read. by_phase: with a column for each phase."""
    shown = recorded(subjects)
    columns = _edges(shown)[-1][1] if by_phase and shown else len(shown)
    return 190 + round(COLUMN_PIXELS * max(1, columns)) + (0 if by_phase else BAR_PIXELS)


def _edges(subjects: Sequence[Subject]) -> list[tuple[float, float]]:
    """Left and right edge of each strategy's columns; a strategy with many phases has narrow ones."""
    widths = [max(1.0, STAGE * len(s.phases)) for s in subjects]
    ends = accumulate(widths)
    return [(end - width, end - 0.06) for end, width in zip(ends, widths, strict=True)]


def _trained_cells(subject: Subject, names: Sequence[str], left: float, right: float, dark: bool) -> Any:
    groups = {group.name: group for group in subject.groups}
    phases = range(len(subject.phases))
    shares = [[trained_share(groups[name], i) if name in groups else None for i in phases] for name in names]
    texts = [[_trained_text(share) for share in row] for row in shares]
    hover = [[_trained_hover(subject, groups.get(name), name, i) for i in phases] for name in names]
    return go.Heatmap(
        x=[left + (right - left) * i / len(subject.phases) for i in range(len(subject.phases) + 1)],
        y=list(range(len(names))),
        z=[[None if share is None else min(1.0, math.sqrt(share)) for share in row] for row in shares],
        zmin=0,
        zmax=1,
        colorscale=[[0, ink(dark).still], [1, subject.entry.color]],
        showscale=False,
        text=texts if len(names) < MANY_GROUPS else None,
        texttemplate="%{text}" if len(names) < MANY_GROUPS else None,
        textfont={"size": 11},
        customdata=hover,
        hovertemplate=f"%{{customdata}}<extra>{escape(subject.entry.short_label, quote=False)}</extra>",
        xgap=1,
        ygap=1,
    )


def _trained_text(share: float | None) -> str:
    if share is None:
        return ""
    return "F" if share == 0 else "T" if share >= 1 else f"{100 * share:.2g}{NBSP}%"


def _trained_hover(subject: Subject, group: LayerGroup | None, name: str, phase: int) -> str:
    report = subject.phases[phase]
    where = (
        f"<b>{escape(name, quote=False)}</b>, phase {phase + 1} ({escape(part_words(report.trainable), quote=False)})"
    )
    if group is None or phase >= len(group.num_trainable):
        return f"{where}<br>not part of this network"
    return f"{where}<br>{group.num_trainable[phase]:,} parameters train; the group has {group.num_parameters:,}"


def _moved_cells(subject: Subject, names: Sequence[str], edge: tuple[float, float], dark: bool) -> list[Any]:
    """The cells that moved, and those that stayed exactly where they were, in grey."""
    groups = {group.name: group for group in subject.groups}
    found = [groups.get(name) for name in names]
    common = {
        "x": list(edge),
        "y": list(range(len(names))),
        "customdata": [[_moved_hover(group, name)] for group, name in zip(found, names, strict=True)],
        "hovertemplate": f"%{{customdata}}<extra>{escape(subject.entry.short_label, quote=False)}</extra>",
        "ygap": 1,
    }
    if len(names) < MANY_GROUPS:
        common |= {"texttemplate": "%{text}", "textfont": {"size": 11}}
    moved = [math.log10(max(g.moved, LOWEST)) if g is not None and g.moved else None for g in found]
    stayed = [1 if g is not None and not g.moved else None for g in found]
    texts = [_moved_text(group) for group in found]
    grey = [[0, ink(dark).still], [1, ink(dark).still]]
    return [
        go.Heatmap(z=[[v] for v in moved], coloraxis="coloraxis", text=_where(texts, moved), **common),
        go.Heatmap(z=[[v] for v in stayed], colorscale=grey, showscale=False, text=_where(texts, stayed), **common),
    ]


def _where(texts: Sequence[str], values: Sequence[float | None]) -> list[list[str]]:
    return [["" if value is None else text] for text, value in zip(texts, values, strict=True)]


def _moved_text(group: LayerGroup | None) -> str:
    if group is None:
        return ""
    if group.moved is None:
        return "–"
    if group.moved == 0:
        return "0" if is_unchanged(group) else "0 *"
    return moved_words(group.moved).replace(" ", NBSP)


def _moved_hover(group: LayerGroup | None, name: str) -> str:
    title = f"<b>{escape(name, quote=False)}</b>"
    if group is None:
        return f"{title}<br>not part of this network"
    if group.moved is None:
        return f"{title}<br>no distance: it started as all zeros"
    said = "weights unchanged" if group.moved == 0 else f"weights moved by {moved_words(group.moved)}"
    statistics = "no normalisation statistics"
    if group.statistics_moved is not None:
        moved = group.statistics_moved
        statistics = f"normalisation statistics {f'moved by {moved_words(moved)}' if moved else 'unchanged'}"
    return f"{title}, {group.num_parameters:,} parameters<br>{said}<br>{statistics}"


def _movement_scale(moved: Sequence[float], dark: bool) -> dict[str, Any]:
    """Logarithmic, a mark at each power of ten around the values."""
    exponents = [math.log10(min(max(value, LOWEST), HIGHEST)) for value in moved] or [-3.0, 0.0]
    low, high = math.floor(min(exponents)), math.ceil(max(exponents))
    marks = list(range(low, max(high, low + 1) + 1))
    return {
        "colorscale": [list(step) for step in ink(dark).scale],
        "cmin": marks[0],
        "cmax": marks[-1],
        "colorbar": {
            "tickvals": marks,
            "ticktext": [*(moved_words(10.0**mark) for mark in marks[:-1]), _top(marks[-1], moved)],
            "thickness": 14,
            "outlinewidth": 0,
        },
    }


def _top(mark: int, moved: Sequence[float]) -> str:
    return f"{moved_words(10.0**mark)}{' or more' if max(moved, default=0.0) > HIGHEST else ''}"


def _frame(
    figure: go.Figure,
    subjects: Sequence[Subject],
    names: Sequence[str],
    edges: Sequence[tuple[float, float]],
    dark: bool,
    words: tuple[str, str, str],
) -> None:
    """Layer groups on the left with their size, strategies above. words: revision, title and note."""
    row = ROW if len(names) < MANY_GROUPS else NARROW_ROW
    heads = [
        lines_of(s.entry.short_label, round(NAME_WIDTH * (right - left)))
        for s, (left, right) in zip(subjects, edges, strict=True)
    ]
    top = 62 + 15 * max((len(lines) for lines in heads), default=1)
    revision, title, note = words
    figure.update_layout(**layout(dark, revision, title, note, top + 56 + max(LOWEST_PLOT, row * len(names))))
    figure.update_layout(margin={"t": top, "b": 56, "l": 130}, showlegend=False)
    figure.update_xaxes(showgrid=False, zeroline=False, range=[-0.02, edges[-1][1] + 0.02 if edges else 1])
    sizes = {g.name: g.num_parameters for s in reversed(subjects) for g in s.groups}
    labels = numbered(names)
    figure.update_yaxes(
        **axis("layer groups: input → head", showgrid=False, range=[len(names) - 0.5, -0.5]),
        tickvals=list(range(len(names))),
        ticktext=[f"{cut(labels[name])} · {amount(sizes[name])}" for name in names],
        tickfont={"size": 11 if row == ROW else 9},
    )
    for lines, (left, right) in zip(heads, edges, strict=True):
        figure.add_annotation(
            x=(left + right) / 2, y=1, yref="paper", yanchor="bottom", showarrow=False, font={"size": 11},
            text="<br>".join(escape(line, quote=False) for line in lines),
        )  # fmt: skip

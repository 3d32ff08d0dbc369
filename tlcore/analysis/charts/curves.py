"""Learning curves: one colour per strategy, training dashed, validation solid."""

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tlcore.analysis.charts.curve_axes import LABEL_HEIGHT, border_levels, end_of, from_zero, mark_borders, value_axis
from tlcore.analysis.charts.style import (
    MAX_COLUMNS,
    METRIC_TITLES,
    X_TITLES,
    PanelKey,
    axis,
    faded,
    flowing_room,
    layout,
    legend_below_axis,
    panels_of,
    place,
)
from tlcore.analysis.curves import Band, Metric, Part, Values, XAxis, band, curve_runs
from tlcore.analysis.groups import Group, groups_of
from tlcore.analysis.statistics.estimates import validation_ratio
from tlcore.results import ComparisonRecord
from tlcore.strategies import Fit

VALUE_FORMATS: dict[Metric, str] = {"accuracy": ".1%", "loss": ".3f"}
X_FORMATS: dict[XAxis, str] = {
    "epoch": "epoch %{x:.1~f}",
    "images_seen": "%{x:,.0f} images",
    "train_seconds": "%{x:.1f} s",
}
SIDE_STEP = 0.025  # of the axis, between lone points of one moment
TITLE_GAP = 8  # pixels between a panel's title and the labels of its phases
PLOT = 280  # pixels: a row of panels
PANEL_WIDTH = 400  # pixels
FEW_SEEDS = 3  # up to so many, Student's t makes the interval more than twice as wide as many seeds would
PART_NAMES: dict[Part, str] = {"train": "training", "val": "validation"}


def learning_curves(
    record: ComparisonRecord, metric: Metric = "accuracy", x: XAxis = "epoch", dark: bool = False
) -> go.Figure:
    """Mean curves with the 95 % interval of the mean over seeds; a panel for each model and fraction.

    That of validation is widened as of `validation_ratio`. A strategy that is fitted in one pass is a diamond with a
    dotted line at its height, to compare by eye; one that was evaluated once so far is a disc.
    """
    groups = [g for g in groups_of(record) if any(r.history for r in g.runs)]
    panels = panels_of(groups)
    columns = min(MAX_COLUMNS, max(1, len(panels)))
    rows = max(1, -(-len(panels) // columns))
    titles = list(panels.values()) if any(panels.values()) else None
    figure = make_subplots(
        rows, columns, subplot_titles=titles, shared_xaxes="all", shared_yaxes="all", vertical_spacing=0.22 / rows,
        horizontal_spacing=0.04,
    )  # fmt: skip
    marked = border_levels(groups, x)
    labels = LABEL_HEIGHT * max((len(found) for found in marked.values()), default=0)
    figure.update_annotations(font={"size": 14}, yshift=labels + TITLE_GAP)  # room for the phases' labels below
    cells = {panel: place(index, columns) for index, panel in enumerate(panels)}
    _draw(figure, groups, metric, x, cells, validation_ratio(record))
    end = end_of([run for group in groups for run in group.runs], x)
    for panel, members in marked.items():
        for level, group in enumerate(members):
            mark_borders(figure, group, x, end, cells[panel], level, dark)
    _frame(figure, record, groups, metric, x, dark)
    _arrange(figure, groups, rows, (100 + TITLE_GAP if titles else 76) + labels)
    figure.update_xaxes(title={"text": X_TITLES[x]}, row=rows)
    figure.update_yaxes(title={"text": METRIC_TITLES[metric]}, col=1)
    return figure


def _draw(
    figure: go.Figure,
    groups: Sequence[Group],
    metric: Metric,
    x: XAxis,
    cells: Mapping[PanelKey, tuple[int, int]],
    ratio: float,
) -> None:
    """The curves of every group in its panel; the legend names a strategy once. cells: row and column of each panel."""
    end = end_of([run for group in groups for run in group.runs], x)
    beside = _beside(groups, metric, x, end)
    shown: set[str] = set()
    for group in groups:
        aside = beside.get((group.model, group.fraction, group.strategy), 0.0)
        first = group.strategy not in shown
        for trace in _traces(group, metric, x, end, aside, first=first, ratio=ratio):
            figure.add_trace(trace, *cells[group.model, group.fraction])
        shown.add(group.strategy)


def _arrange(figure: go.Figure, groups: Sequence[Group], rows: int, top: int) -> None:
    """Height and legend. top: pixels above the panels."""
    room = flowing_room(list({group.strategy: group.entry.short_label for group in groups}.values()))
    figure.update_layout(margin={"t": top, "b": room}, height=PLOT * rows + top + room)
    legend_below_axis(figure)


def curves_width(record: ComparisonRecord) -> int:
    """Pixels below which panels side by side are too narrow for their titles and labels; 0 for one panel."""
    panels = panels_of(groups_of(record))
    return PANEL_WIDTH * min(MAX_COLUMNS, len(panels)) if len(panels) > 1 else 0


def _beside(groups: Sequence[Group], metric: Metric, x: XAxis, end: float) -> dict[tuple[str, float, str], float]:
    """How far lone points are moved to the left, so that those of one moment stand side by side in their panel."""
    found: dict[tuple[str, float, str], float] = {}
    piles: Counter[tuple[str, float, int]] = Counter()
    for group in groups:
        curve = band(group.runs, "val", metric, x)
        if curve is not None and curve.is_point and not _is_fitted(group):
            pile = (group.model, group.fraction, round(curve.x[0] / (SIDE_STEP * end)) if end > 0 else 0)
            found[group.model, group.fraction, group.strategy] = SIDE_STEP * end * piles[pile]
            piles[pile] += 1
    return found


def _frame(
    figure: go.Figure, record: ComparisonRecord, groups: Sequence[Group], metric: Metric, x: XAxis, dark: bool
) -> None:
    """Title, note and axes."""
    runs = [run for group in groups for run in group.runs]
    beside = any(_beside(groups, metric, x, end_of(runs, x)).values())
    note = f"Solid: validation. Dashed: training.{_band_note(groups)}{_border_note(groups)}{_training_note(groups)}"
    note += " Strategies that were evaluated once, at the same moment, stand side by side." if beside else ""
    title = f"{'Accuracy' if metric == 'accuracy' else 'Loss'} while training"
    revision = f"curves-{record.comparison_id}-{metric}-{x}"
    figure.update_layout(**layout(dark, revision, title, note))
    figure.update_xaxes(**axis("", range=from_zero(end_of(runs, x))))
    figure.update_yaxes(**value_axis(runs, metric))


def _traces(group: Group, metric: Metric, x: XAxis, end: float, aside: float, first: bool, ratio: float) -> list[Any]:
    """aside: how far left of its place a lone point stands. first: whether the legend names the strategy by this."""
    traces: list[Any] = []
    parts: tuple[Part, ...] = ("val", "train")
    for part in parts:
        curve = band(group.runs, part, metric, x, ratio if part == "val" else 0.0)
        if curve is None:
            continue
        named = first and part == "val"
        if curve.is_point:
            traces += _point(group, part, curve, metric, x, end, aside, named)
            continue
        if part == "val" and curve.interval is not None:
            traces.append(_shade(group, curve.x, *curve.interval))
        traces.append(_line(group, part, curve, metric, x, named))
    return traces


def _line(group: Group, part: Part, curve: Band, metric: Metric, x: XAxis, named: bool) -> Any:
    style = {"color": group.entry.color, "width": 2.6} if part == "val" else {"color": group.entry.color, "width": 1.6}
    return go.Scatter(
        x=curve.x,
        y=curve.mean,
        mode="lines",
        line={**style, "dash": "solid" if part == "val" else "dash"},
        text=_interval_words(curve, metric),
        hovertemplate=_hover(group, part, curve, metric, x),
        **_legend(group, named),
    )


def _shade(group: Group, x: Values, low: Values, high: Values) -> Any:
    """The interval: there along its upper ends, back along its lower ones."""
    return go.Scatter(
        x=x + x[::-1],
        y=high + low[::-1],
        fill="toself",
        fillcolor=faded(group.entry.color, 0.16),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        **_legend(group, False),
    )


def _point(
    group: Group, part: Part, curve: Band, metric: Metric, x: XAxis, end: float, aside: float, named: bool
) -> list[Any]:
    color = group.entry.color
    one_pass = _is_fitted(group)
    symbol = ("diamond" if one_pass else "circle") + ("" if part == "val" else "-open")
    marker = go.Scatter(
        x=[curve.x[0] - aside],
        customdata=curve.x,
        y=curve.mean,
        mode="markers",
        marker={"color": color, "size": 11, "symbol": symbol, "line": {"color": color, "width": 1.6}},
        error_y=_interval_bar(curve, color),
        cliponaxis=False,
        text=_interval_words(curve, metric),
        hovertemplate=_hover(group, part, curve, metric, x).replace("%{x", "%{customdata"),
        **_legend(group, named),
    )
    if part == "train" or not one_pass:
        return [marker]
    line = go.Scatter(
        x=[0, max(end, curve.x[0])],
        y=[curve.mean[0]] * 2,
        mode="lines",
        line={"color": color, "width": 1.4, "dash": "dot"},
        hoverinfo="skip",
        **_legend(group, False),
    )
    return [line, marker]


def _interval_bar(curve: Band, color: str) -> dict[str, Any] | None:
    if curve.interval is None:
        return None
    (low,), (high,) = curve.interval
    above, below = high - curve.mean[0], curve.mean[0] - low
    return {"type": "data", "array": [above], "arrayminus": [below], "color": color, "width": 3}


def _legend(group: Group, named: bool) -> dict[str, Any]:
    return {"name": escape(group.entry.short_label, quote=False), "legendgroup": group.strategy, "showlegend": named}


def _hover(group: Group, part: Part, curve: Band, metric: Metric, x: XAxis) -> str:
    over = f", mean of {curve.num_seeds} seeds" if curve.num_seeds > 1 else ""
    value = f"<b>%{{y:{VALUE_FORMATS[metric]}}}</b> {PART_NAMES[part]} {metric}"
    return f"{value}<br>{X_FORMATS[x]}{over}%{{text}}<extra>{escape(group.entry.label, quote=False)}</extra>"


def _interval_words(curve: Band, metric: Metric) -> list[str]:
    """For the hover of each point; empty for one seed."""
    if curve.interval is None:
        return [""] * len(curve.x)
    shape = VALUE_FORMATS[metric]
    return [
        f"<br>95 % interval of the mean {low:{shape}} to {high:{shape}}"
        for low, high in zip(*curve.interval, strict=True)
    ]


def _is_fitted(group: Group) -> bool:
    """Whether the strategy is one pass and a fit, with nothing in it that trains step by step."""
    return all(isinstance(phase, Fit) for phase in group.entry.phases)


def _band_note(groups: Sequence[Group]) -> str:
    """What the bands are, in words."""
    seeds = max((len(curve_runs(g.runs)) for g in groups), default=1)
    if seeds < 2:
        return ""
    wide = "; with so few seeds it is wide" if seeds <= FEW_SEEDS else ""
    return f" Band: 95 % interval of the mean over {seeds} seeds{wide}."


def _border_note(groups: Sequence[Group]) -> str:
    return " Diamond and dotted line: fitted in one pass." if any(map(_is_fitted, groups)) else ""


def _training_note(groups: Sequence[Group]) -> str:
    if all(map(_is_fitted, groups)):
        return ""
    return (
        " Dashed curves are running averages over augmented images while the network still learns, "
        "so they can lie below validation."
    )

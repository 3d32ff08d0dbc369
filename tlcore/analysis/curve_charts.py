"""Learning curves: one colour per strategy, training dashed, validation solid."""

from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tlcore.analysis.chart_style import (
    MAX_COLUMNS,
    METRIC_TITLES,
    SYMBOLS,
    X_TITLES,
    axis,
    faded,
    ink,
    layout,
    panels_of,
    place,
    share_axis,
)
from tlcore.analysis.curves import Band, Metric, Part, XAxis, band, phase_borders
from tlcore.analysis.groups import Group, groups_of
from tlcore.results import ComparisonRecord, RunRecord
from tlcore.strategies import STRATEGIES, Fit

VALUE_FORMATS: dict[Metric, str] = {"accuracy": ".1%", "loss": ".3f"}
X_FORMATS: dict[XAxis, str] = {
    "epoch": "epoch %{x:.1~f}",
    "images_seen": "%{x:,.0f} images",
    "train_seconds": "%{x:.1f} s",
}
PART_NAMES: dict[Part, str] = {"train": "training", "val": "validation"}


def learning_curves(
    record: ComparisonRecord, metric: Metric = "accuracy", x: XAxis = "epoch", dark: bool = False
) -> go.Figure:
    """Mean curves with the range over seeds; a panel for each model and fraction.

    A strategy that is fitted in one pass is a diamond with a dotted line at its height, to compare by eye; one that
    was evaluated once so far is a disc.
    """
    groups = [g for g in groups_of(record) if any(r.history for r in g.runs)]
    panels = panels_of(groups)
    columns = min(MAX_COLUMNS, max(1, len(panels)))
    rows = max(1, -(-len(panels) // columns))
    titles = list(panels.values()) if any(panels.values()) else None
    figure = make_subplots(
        rows, columns, subplot_titles=titles, shared_xaxes="all", shared_yaxes="all", vertical_spacing=0.18 / rows,
        horizontal_spacing=0.04,
    )  # fmt: skip
    figure.update_annotations(font={"size": 14}, yshift=16)  # room for the phases' labels below
    end = _end([run for group in groups for run in group.runs], x)
    shown: set[str] = set()
    for group in groups:
        row, column = place(list(panels).index((group.model, group.fraction)), columns)
        for trace in _traces(group, metric, x, end, first=group.strategy not in shown):
            figure.add_trace(trace, row, column)
        shown.add(group.strategy)
        _mark_borders(figure, group, x, end, (row, column), dark)
    note = f"Solid: validation. Dashed: training.{_band_note(groups)}{_border_note(groups)}{_training_note(groups)}"
    title = f"{'Accuracy' if metric == 'accuracy' else 'Loss'} while training"
    revision = f"curves-{record.comparison_id}-{metric}-{x}"
    figure.update_layout(**layout(dark, revision, title, note, height=160 + 320 * rows))
    figure.update_layout(margin={"t": 124 if titles else 96, "b": 128})
    figure.update_xaxes(**axis("", range=_from_zero(end)))
    figure.update_yaxes(**_value_axis([run for group in groups for run in group.runs], metric))
    figure.update_xaxes(title={"text": X_TITLES[x]}, row=rows)
    figure.update_yaxes(title={"text": METRIC_TITLES[metric]}, col=1)
    return figure


def live_curves(runs: Sequence[RunRecord], dark: bool = False) -> go.Figure:
    """Validation accuracy of each run on its own, while they train; one colour per strategy, one symbol per seed."""
    figure = go.Figure()
    shown: set[str] = set()
    seeds = sorted({run.spec.seed for run in runs})
    for run in runs:
        points = [p for p in run.history if p.val_accuracy is not None]
        if not points:
            continue
        entry = STRATEGIES[run.spec.strategy]
        figure.add_scatter(
            x=[p.epoch for p in points],
            y=[p.val_accuracy for p in points],
            mode="lines+markers",
            name=entry.label,
            legendgroup=entry.id,
            showlegend=entry.id not in shown,
            line={"color": entry.color, "width": 2},
            cliponaxis=False,
            marker={"color": entry.color, "size": 8, "symbol": SYMBOLS[seeds.index(run.spec.seed) % len(SYMBOLS)]},
            hovertemplate=f"<b>%{{y:.1%}}</b> at epoch %{{x:.1~f}}<extra>{escape(run.spec.name, quote=False)}</extra>",
        )
        shown.add(entry.id)
    revision = "live-" + "-".join(sorted({run.comparison_id for run in runs}))
    note = "One line for each run; symbols tell the seeds apart."
    figure.update_layout(**layout(dark, revision, "Validation accuracy so far", note, height=400))
    figure.update_layout(margin={"b": 116})
    figure.update_xaxes(**axis(X_TITLES["epoch"], range=_from_zero(_end(runs, "epoch"))))
    figure.update_yaxes(**_value_axis(runs, "accuracy"))
    figure.update_yaxes(title={"text": METRIC_TITLES["accuracy"]})
    return figure


def _traces(group: Group, metric: Metric, x: XAxis, end: float, first: bool) -> list[Any]:
    """first: whether this group brings its strategy's entry in the legend."""
    traces: list[Any] = []
    parts: tuple[Part, ...] = ("val", "train")
    for part in parts:
        curve = band(group.runs, part, metric, x)
        if curve is None:
            continue
        named = first and part == "val"
        if curve.is_point:
            traces += _point(group, part, curve, metric, x, end, named)
            continue
        if part == "val" and curve.num_seeds > 1:
            traces.append(_shade(group, curve))
        traces.append(_line(group, part, curve, metric, x, named))
    return traces


def _line(group: Group, part: Part, curve: Band, metric: Metric, x: XAxis, named: bool) -> Any:
    style = {"color": group.entry.color, "width": 2.6} if part == "val" else {"color": group.entry.color, "width": 1.6}
    return go.Scatter(
        x=curve.x,
        y=curve.mean,
        mode="lines",
        line={**style, "dash": "solid" if part == "val" else "dash"},
        hovertemplate=_hover(group, part, curve, metric, x),
        **_legend(group, named),
    )


def _shade(group: Group, curve: Band) -> Any:
    """The range over seeds: there along the highest values, back along the lowest."""
    return go.Scatter(
        x=curve.x + curve.x[::-1],
        y=curve.high + curve.low[::-1],
        fill="toself",
        fillcolor=faded(group.entry.color, 0.16),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        **_legend(group, False),
    )


def _point(group: Group, part: Part, curve: Band, metric: Metric, x: XAxis, end: float, named: bool) -> list[Any]:
    color = group.entry.color
    one_pass = _is_fitted(group)
    symbol = ("diamond" if one_pass else "circle") + ("" if part == "val" else "-open")
    marker = go.Scatter(
        x=curve.x,
        y=curve.mean,
        mode="markers",
        marker={"color": color, "size": 11, "symbol": symbol, "line": {"color": color, "width": 1.6}},
        error_y=_range_over_seeds(curve, color),
        cliponaxis=False,
        hovertemplate=_hover(group, part, curve, metric, x),
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


def _range_over_seeds(curve: Band, color: str) -> dict[str, Any] | None:
    above, below = curve.high[0] - curve.mean[0], curve.mean[0] - curve.low[0]
    if above == below == 0:
        return None
    return {"type": "data", "array": [above], "arrayminus": [below], "color": color, "width": 3}


def _legend(group: Group, named: bool) -> dict[str, Any]:
    return {"name": group.entry.label, "legendgroup": group.strategy, "showlegend": named}


def _hover(group: Group, part: Part, curve: Band, metric: Metric, x: XAxis) -> str:
    over = f", mean of {curve.num_seeds} seeds" if curve.num_seeds > 1 else ""
    value = f"<b>%{{y:{VALUE_FORMATS[metric]}}}</b> {PART_NAMES[part]} {metric}"
    return f"{value}<br>{X_FORMATS[x]}{over}<extra>{group.entry.label}</extra>"


def _is_fitted(group: Group) -> bool:
    """Whether the strategy is one pass and a fit, with nothing in it that trains step by step."""
    return all(isinstance(phase, Fit) for phase in group.entry.phases)


def _mark_borders(figure: go.Figure, group: Group, x: XAxis, end: float, cell: tuple[int, int], dark: bool) -> None:
    """A line where a phase begins, its label above the plot, where no curve crosses it."""
    for number, at in enumerate(phase_borders(group.runs, x), start=2):
        figure.add_vline(
            x=at,
            line={"color": group.entry.color, "width": 1.4, "dash": "dashdot"},
            annotation={
                "text": f"{group.entry.short_label}, phase {number}",
                "font": {"color": ink(dark).muted, "size": 12},
                "yanchor": "bottom",
                "xanchor": "left" if at < 0.6 * end else "right",
                "y": 1,
            },
            row=cell[0],
            col=cell[1],
        )


def _end(runs: Sequence[RunRecord], x: XAxis) -> float:
    return max((float(getattr(p, x)) for r in runs for p in r.history), default=1.0)


def _from_zero(end: float) -> list[float]:
    """A range with room for a marker at 0 and at the end."""
    return [-0.02 * end, 1.02 * end] if end > 0 else [-0.02, 1.0]


def _value_axis(runs: Sequence[RunRecord], metric: Metric) -> dict[str, Any]:
    """Accuracy: from just below the lowest value to 100 %. Loss: from 0."""
    if metric == "loss":
        return axis("", rangemode="tozero")
    points = [p for r in runs for p in r.history]
    values = [v for p in points for v in (p.train_accuracy, p.val_accuracy) if v is not None]
    return share_axis("", values or [0.0], best=True)


def _band_note(groups: Sequence[Group]) -> str:
    seeds = max((len(g.runs) for g in groups), default=1)
    return f" Band: lowest to highest of {seeds} seeds." if seeds > 1 else ""


def _border_note(groups: Sequence[Group]) -> str:
    return " Diamond and dotted line: fitted in one pass." if any(map(_is_fitted, groups)) else ""


def _training_note(groups: Sequence[Group]) -> str:
    if all(map(_is_fitted, groups)):
        return ""
    return (
        " Dashed curves are running averages over augmented images while the network still learns, "
        "so they can lie below validation."
    )

"""Test error against the number of training images, with what twice as many might bring."""

from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from tlcore.analysis.charts.style import SYMBOLS, axis, faded, layout, legend_room
from tlcore.analysis.data_amounts import Extrapolation, Series, extrapolate

ASIDE = 1.03
LEAST = 0.002  # the lowest error that a logarithmic axis shows of an interval that reaches 0


def data_amounts(series: Sequence[Series], revision: str = "amounts", dark: bool = False) -> go.Figure:
    """Mean error of every strategy with the band of its 95 % interval; dotted, its power law at twice as many images.

    Both axes are logarithmic, as the law is a line there; the error's is even where a strategy makes no error.
    """
    models = list(dict.fromkeys(each.group.model for each in series))
    log = all(amount.error > 0 for each in series for amount in each.amounts)
    found = [each for each in map(extrapolate, series) if isinstance(each, Extrapolation)]
    figure = go.Figure()
    for each in series:
        figure.add_trace(_band(each, log))
    for each in series:
        figure.add_scatter(**_line(each, models))
    for place, ahead in enumerate(found):
        figure.add_scatter(**_ahead(ahead, models, log, ASIDE ** (place - (len(found) - 1) / 2)))
    note = "Line: mean. Band: 95 % interval. Down is better."
    note += " Dotted, with a bar: a power law at twice the images." if found else ""
    room = legend_room([trace.name for trace in figure.data if trace.showlegend is not False])
    figure.update_layout(**layout(dark, revision, "How much data", note, 352 + room))
    figure.update_layout(margin={"b": room})
    images = sorted({amount.images for each in series for amount in each.amounts} | {ahead.images for ahead in found})
    ticks = {"tickvals": images, "ticktext": [f"{round(count):,}" for count in images]}
    figure.update_xaxes(**axis("Training images (logarithmic)", type="log", tickangle=0, **ticks))
    title = f"Test error (%{', logarithmic' if log else ''})"
    figure.update_yaxes(**axis(title, **(_log_shares() if log else {"tickformat": ".0%", "rangemode": "tozero"})))
    return figure


def _log_shares() -> dict[str, Any]:
    marks = [lead * 10.0**power for power in (-3, -2, -1) for lead in (1, 2, 5)] + [1.0]
    return {"type": "log", "tickvals": marks, "ticktext": [f"{100 * mark:g}" for mark in marks]}


def _name(each: Series, models: Sequence[str]) -> str:
    label = each.group.entry.short_label
    return escape(f"{each.group.model_name} / {label}" if len(models) > 1 else label, quote=False)


def _band(each: Series, log: bool) -> Any:
    known = [(amount.images, amount.interval) for amount in each.amounts if amount.interval is not None]
    floor = LEAST if log else 0.0
    return go.Scatter(
        x=[images for images, _ in known] + [images for images, _ in reversed(known)],
        y=[high for _, (_, high) in known] + [max(low, floor) for _, (low, _) in reversed(known)],
        fill="toself",
        fillcolor=faded(each.group.entry.color, 0.13),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
        legendgroup=f"{each.group.model} {each.group.strategy}",
    )


def _line(each: Series, models: Sequence[str]) -> dict[str, Any]:
    name, color = _name(each, models), each.group.entry.color
    spans = [
        "no interval" if a.interval is None else f"{a.interval[0]:.1%} to {a.interval[1]:.1%}" for a in each.amounts
    ]
    return {
        "x": [amount.images for amount in each.amounts],
        "y": [amount.error for amount in each.amounts],
        "mode": "lines+markers",
        "name": name,
        "legendgroup": f"{each.group.model} {each.group.strategy}",
        "line": {"color": color, "width": 2.4},
        "marker": {"color": color, "size": 10, "symbol": SYMBOLS[models.index(each.group.model) % len(SYMBOLS)]},
        "customdata": [[span, len(a.by_seed)] for span, a in zip(spans, each.amounts, strict=True)],
        "hovertemplate": "<b>%{y:.1%}</b> error on %{x:,.0f} images<br>95 % interval %{customdata[0]}<br>"
        f"seeds: %{{customdata[1]}}<extra>{name}</extra>",
    }


def _ahead(ahead: Extrapolation, models: Sequence[str], log: bool, aside: float) -> dict[str, Any]:
    """From the largest amount to the law's value, with its interval. aside: factor that sets bars side by side."""
    last, color = ahead.series.amounts[-1], ahead.series.group.entry.color
    low = max(ahead.interval[0], LEAST) if log else ahead.interval[0]
    symbol = SYMBOLS[models.index(ahead.series.group.model) % len(SYMBOLS)]
    return {
        "x": [last.images, ahead.images * aside],
        "customdata": [last.images, ahead.images],
        "y": [last.error, ahead.error],
        "mode": "lines+markers",
        "showlegend": False,
        "legendgroup": f"{ahead.series.group.model} {ahead.series.group.strategy}",
        "line": {"color": color, "width": 1.6, "dash": "dot"},
        "marker": {"color": color, "size": [0, 10], "symbol": f"{symbol}-open", "line": {"color": color, "width": 2}},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [0, ahead.interval[1] - ahead.error],
            "arrayminus": [0, max(0.0, ahead.error - low)],
            "color": color,
            "thickness": 1.4,
            "width": 5,
        },
        "hovertemplate": "<b>%{y:.1%}</b> expected on %{customdata:,.0f} images<br>95 % interval "
        f"{ahead.interval[0]:.1%} to {ahead.interval[1]:.1%}<extra>{_name(ahead.series, models)}</extra>",
    }

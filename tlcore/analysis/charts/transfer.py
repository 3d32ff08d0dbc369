"""What pretrained weights bring against from scratch, and what it takes to reach an accuracy."""

from collections.abc import Sequence
from html import escape
from math import isinf
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tlcore.analysis.charts.style import X_TITLES, axis, ink, layout, legend_room, lines_of, share_axis
from tlcore.analysis.curves import XAxis
from tlcore.analysis.groups import fraction_words, name_of, several_fractions, several_models
from tlcore.analysis.statistics.over_seeds import SeedMean
from tlcore.analysis.transfer import Reached, TransferRow, amount_words, wait_words

NAME_WIDTH = 16  # letters in a line of a strategy's name
ROW = 34  # pixels of a strategy in one panel
TITLES = ("Higher start", "Higher slope (on average)", "Higher end")


def transfer_chart(
    rows: Sequence[TransferRow], x: XAxis = "epoch", revision: str = "transfer", dark: bool = False
) -> go.Figure:
    """Start, slope and end of every strategy minus from scratch's, each with its 95 % interval over seeds."""
    figure = make_subplots(
        3, 1, subplot_titles=TITLES, shared_xaxes="all", vertical_spacing=0.3 / max(3, len(rows) + 1)
    )
    names = _names(rows)
    for panel, _ in enumerate(TITLES, 1):
        for place, row in enumerate(rows):
            measure = (row.jumpstart, row.area, row.end)[panel - 1]
            if measure is not None:
                figure.add_trace(_dot(row, measure, place, x), panel, 1)
        figure.add_vline(x=0, line={"color": ink(dark).muted, "width": 1.2}, row=panel, col=1)
    note = "Dot: mean difference to from scratch, paired by seed. Bar: 95 % interval. Right of 0: transfer helps."
    note += " Hollow: the strategy or from scratch still rises at its end." if any(map(_unfinished, rows)) else ""
    lines = max((name.count("<br>") + 1 for name in names), default=1)
    height = 3 * (max(ROW, 17 * lines) * max(1, len(rows)) + 40) + 150
    figure.update_layout(**layout(dark, f"{revision}-{x}", "Transfer against from scratch", note, height))
    figure.update_layout(showlegend=False, margin={"t": 112, "b": 60})
    figure.update_annotations(font={"size": 13}, x=0, xanchor="left", xref="paper")
    figure.update_xaxes(**axis("", ticksuffix="", tickformat="+.3~g"))
    figure.update_xaxes(title={"text": "Difference in validation accuracy (points)"}, row=3)
    ticks = {"tickvals": list(range(len(rows))), "ticktext": names}
    figure.update_yaxes(**axis("", range=[len(rows) - 0.5, -0.5], showgrid=False, ticklabelstandoff=8, **ticks))
    return figure


def threshold_chart(
    rows: Sequence[Reached], x: XAxis = "epoch", revision: str = "thresholds", dark: bool = False
) -> go.Figure:
    """The accuracy that half of the seeds have reached by each x; hollow arrows where that was not seen."""
    groups = list({id(row.group): row.group for row in rows}.values())
    figure = go.Figure()
    for group in groups:
        own = [row for row in rows if row.group is group]
        name = escape(name_of(group, groups), quote=False)
        seen = [row for row in own if row.median is not None]
        censored = [row for row in own if row.median is None and not isinf(row.followed)]
        if seen:
            figure.add_scatter(**_reached(seen, x, name))
        if censored:
            figure.add_scatter(**_censored(censored, x, name, named=not seen))
    note = "Median over seeds of the first evaluation with that accuracy. Hollow arrow: not reached by then."
    room = legend_room([escape(name_of(group, groups), quote=False) for group in groups])
    figure.update_layout(**layout(dark, f"{revision}-{x}", "Time to an accuracy", note, 320 + room))
    figure.update_layout(margin={"b": room})
    figure.update_xaxes(**axis(X_TITLES[x], rangemode="tozero"))
    figure.update_yaxes(**share_axis("Validation accuracy (%)", [row.accuracy for row in rows]))
    return figure


def _dot(row: TransferRow, measure: SeedMean, place: int, x: XAxis) -> Any:
    color = row.group.entry.color
    low, high = measure.interval or (measure.mean, measure.mean)
    interval = f"95 % interval {100 * low:+.1f} to {100 * high:+.1f}" if measure.interval else "no interval over seeds"
    seeds = f"{measure.num_seeds} seed{'' if measure.num_seeds == 1 else 's'}"
    hollow = _unfinished(row) and measure is row.end
    return go.Scatter(
        x=[100 * measure.mean],
        y=[place],
        mode="markers",
        marker={
            "color": color, "size": 12, "symbol": "circle-open" if hollow else "circle",
            "line": {"color": color, "width": 2.4},
        },
        error_x={
            "type": "data", "symmetric": False, "array": [100 * (high - measure.mean)], "color": color,
            "arrayminus": [100 * (measure.mean - low)], "thickness": 2.4, "width": 6, "visible": bool(measure.interval),
        },
        hovertemplate=f"<b>%{{x:+.1f}} points</b><br>{interval}<br>{seeds}, start read after "
        f"{amount_words(row.read_at, x)}<extra>{escape(row.group.entry.label, quote=False)}</extra>",
    )  # fmt: skip


def _unfinished(row: TransferRow) -> bool:
    return row.rising is not False or row.baseline_rising is not False


def _names(rows: Sequence[TransferRow]) -> list[str]:
    """Strategy, and below it model and data where they vary."""
    groups = [row.group for row in rows]
    names = []
    for group in groups:
        more = [group.model_name] if several_models(groups) else []
        more += [fraction_words(group.fraction)] if several_fractions(groups) else []
        lines = [part for name in (group.entry.short_label, *more) for part in lines_of(name, NAME_WIDTH)]
        names.append("<br>".join(escape(line, quote=False) for line in lines))
    return names


def _reached(seen: Sequence[Reached], x: XAxis, name: str) -> dict[str, Any]:
    color = seen[0].group.entry.color
    return {
        "x": [row.median for row in seen],
        "y": [row.accuracy for row in seen],
        "mode": "lines+markers",
        "name": name,
        "line": {"color": color, "width": 2.4},
        "marker": {"color": color, "size": 9},
        "cliponaxis": False,
        "legendgroup": seen[0].group.strategy,
        "customdata": [[wait_words(row, x)] for row in seen],
        "hovertemplate": f"<b>%{{y:.1%}}</b> after %{{customdata[0]}}<extra>{name}</extra>",
    }


def _censored(rows: Sequence[Reached], x: XAxis, name: str, named: bool) -> dict[str, Any]:
    """named: whether the legend names the group by this."""
    color = rows[0].group.entry.color
    return {
        "x": [row.followed for row in rows],
        "y": [row.accuracy for row in rows],
        "mode": "markers",
        "marker": {"color": color, "size": 11, "symbol": "triangle-right-open", "line": {"color": color, "width": 2}},
        "cliponaxis": False,
        "legendgroup": rows[0].group.strategy,
        "name": name,
        "showlegend": named,
        "customdata": [[wait_words(row, x)] for row in rows],
        "hovertemplate": f"<b>%{{y:.1%}}</b>: %{{customdata[0]}}<extra>{name}</extra>",
    }

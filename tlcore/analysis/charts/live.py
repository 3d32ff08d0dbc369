"""Curves of runs that still train."""

from html import escape

import plotly.graph_objects as go

from tlcore.analysis.charts.curve_axes import end_of, from_zero, value_axis
from tlcore.analysis.charts.style import METRIC_TITLES, SYMBOLS, X_TITLES, axis, layout, legend_room
from tlcore.results import ENDED, ComparisonRecord


def live_curves(record: ComparisonRecord, dark: bool = False) -> go.Figure:
    """Validation accuracy of each run on its own, while they train; one colour per strategy, one symbol per seed."""
    runs = record.runs
    figure = go.Figure()
    shown: set[str] = set()
    seeds = sorted({run.spec.seed for run in runs})
    for run in runs:
        points = [p for p in run.history if p.val_accuracy is not None]
        if not points:
            continue
        entry = record.spec.entry(run.spec.strategy)
        figure.add_scatter(
            x=[p.epoch for p in points],
            y=[p.val_accuracy for p in points],
            mode="lines+markers",
            name=escape(entry.label, quote=False),
            legendgroup=run.spec.strategy,
            showlegend=run.spec.strategy not in shown,
            line={"color": entry.color, "width": 2},
            cliponaxis=False,
            marker={"color": entry.color, "size": 8, "symbol": SYMBOLS[seeds.index(run.spec.seed) % len(SYMBOLS)]},
            hovertemplate=f"<b>%{{y:.1%}}</b> at epoch %{{x:.1~f}}<extra>{escape(run.spec.name, quote=False)}</extra>",
        )
        shown.add(run.spec.strategy)
    note = "One line for each run; symbols tell the seeds apart."
    labels = [record.spec.entry(strategy).label for strategy in shown]
    title = "Validation accuracy" if record.status in ENDED else "Validation accuracy so far"
    figure.update_layout(**layout(dark, f"live-{record.comparison_id}", title, note, height=400))
    figure.update_layout(margin={"b": legend_room(labels)})
    figure.update_xaxes(**axis(X_TITLES["epoch"], range=from_zero(end_of(runs, "epoch"))))
    figure.update_yaxes(**value_axis(runs, "accuracy"))
    figure.update_yaxes(title={"text": METRIC_TITLES["accuracy"]})
    return figure

"""Learning rates over time: the schedule as a line per group of parameters and phase, dots where it was recorded."""

import math
import re
from collections.abc import Sequence
from html import escape
from typing import Any, Literal

import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from tlcore.analysis.anatomy import HEAD, Subject
from tlcore.analysis.charts.style import MAX_COLUMNS, axis, flowing_room, ink, layout, place
from tlcore.analysis.schedule import BACKBONE, Stretch, schedule_of

LOG_FROM = 10.0  # the axis is logarithmic from this ratio of the highest to the lowest rate
RateAxis = Literal["step", "epoch"]
TITLES: dict[RateAxis, str] = {"step": "Optimiser steps", "epoch": "Epochs"}
_NUMBERED = re.compile(r"\d\d ")  # `03 blocks.2`: a layer group, counted from the input


def learning_rates(
    subjects: Sequence[Subject], x: RateAxis = "step", revision: str = "rates", dark: bool = False
) -> go.Figure:
    """A panel for each run that trained by steps: the rate of the head, and of the backbone or each layer group.

    A group has no line while it is frozen; a rate of exactly 0 is drawn on an even axis only. A run that did not record
    its phases has lines from dot to dot.
    """
    shown = [s for s in subjects if any(p.learning_rates for p in s.run.history)]
    names = sorted({name for s in shown for p in s.run.history for name in p.learning_rates}, key=_order)
    schedules = [schedule_of(subject.run) for subject in shown]
    rates = _positive(shown, schedules)
    log = bool(rates) and max(rates) / min(rates) >= LOG_FROM
    columns = min(MAX_COLUMNS, max(1, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    figure = make_subplots(
        rows, columns, subplot_titles=[_title(s) for s in shown] or None, shared_xaxes="all", shared_yaxes="all",
        vertical_spacing=0.24 / rows, horizontal_spacing=0.05,
    )  # fmt: skip
    figure.update_annotations(font={"size": 13})
    _draw(figure, shown, schedules, names, x, log, columns, dark)
    groups = [name for name in names if _NUMBERED.match(name)]
    note = "Line: the schedule, phase by phase. Dots: recorded at evaluations. "
    note += "Dotted upright line: a phase begins. No line: frozen."
    note += " Layer groups: yellow near the input to violet near the head." if len(groups) > 2 else ""
    figure.update_layout(**layout(dark, f"{revision}-{x}", "Learning rate of each group", note, 150 + 220 * rows))
    figure.update_layout(margin={"t": 96, "b": flowing_room([_label(n) for n in _told(names)])})
    figure.update_xaxes(**axis(""))
    figure.update_xaxes(title={"text": TITLES[x]}, row=rows)
    scale = {"type": "log", "exponentformat": "power", "dtick": _decades(rates)} if log else {"rangemode": "tozero"}
    figure.update_yaxes(**axis("", **scale))
    figure.update_yaxes(title={"text": f"Learning rate{' (logarithmic)' if log else ''}"}, col=1)
    return figure


def _draw(
    figure: go.Figure,
    shown: Sequence[Subject],
    schedules: Sequence[Sequence[Stretch]],
    names: Sequence[str],
    x: RateAxis,
    log: bool,
    columns: int,
    dark: bool,
) -> None:
    """Every run in its panel, of so many side by side; the legend tells a group once. names: of all groups."""
    named: set[str] = set()
    for index, subject in enumerate(shown):
        for name in names:
            own = [stretch for stretch in schedules[index] if stretch.group == name]
            color = _color(name, names, dark)
            for trace in _traces(subject, own, name, x, log):
                trace.update(line_color=color, marker_color=color)
                trace.update(showlegend=name in _told(names) and name not in named)
                figure.add_trace(trace, *place(index, columns))
                named.add(name)
        _mark_phases(figure, subject, x, place(index, columns), dark)


def _traces(subject: Subject, own: list[Stretch], name: str, x: RateAxis, log: bool) -> list[go.Scatter]:
    """The schedule of one group and its recorded rates, as far as there are any."""
    made = (_line(subject, own, name, x, log), _dots(subject, name, x, log, joined=not own))
    return [trace for trace in made if trace is not None]


def _positive(shown: Sequence[Subject], schedules: Sequence[Sequence[Stretch]]) -> list[float]:
    """Every rate above 0, recorded or drawn."""
    rates = [r for s in shown for p in s.run.history for r in p.learning_rates.values() if r > 0]
    return rates + [r for found in schedules for stretch in found for r in stretch.rates if r > 0]


def _decades(rates: Sequence[float]) -> int:
    """Powers of ten from one mark of the axis to the next, so that about six of them stand apart."""
    return max(1, math.ceil(math.log10(max(rates) / min(rates)) / 6))


def _order(name: str) -> tuple[bool, bool, str]:
    """The head, the backbone, then layer groups from the input."""
    return name != HEAD, name != BACKBONE, name


def _told(names: Sequence[str]) -> list[str]:
    """Those that the legend names: of many layer groups the first and the last."""
    groups = [name for name in names if _NUMBERED.match(name)]
    return [name for name in names if name not in groups[1:-1]]


def _label(name: str) -> str:
    if _NUMBERED.match(name):
        return f"layer group {int(name[:2])} {name[3:]}"
    return {HEAD: "the head", BACKBONE: "the backbone"}.get(name, name)


def _title(subject: Subject) -> str:
    disc = f'<span style="color:{subject.entry.color}">●</span>'
    return f"{disc} {escape(subject.entry.short_label, quote=False)}"


def _line(subject: Subject, stretches: Sequence[Stretch], name: str, x: RateAxis, log: bool) -> Any | None:
    """The schedule of a group, with a gap where it is frozen and where a phase begins."""
    if not stretches:
        return None
    scale = _scale(subject, x)
    steps = [step for own in stretches for step in (*own.steps, None)]
    rates = [rate for own in stretches for rate in (*own.rates, None)]
    return go.Scatter(
        x=[None if step is None else step * scale for step in steps],
        y=_drawable(rates, log),
        mode="lines",
        line={"width": 2.4 if name == HEAD else 1.8},
        hoverinfo="skip",
        **_named(name),
    )


def _dots(subject: Subject, name: str, x: RateAxis, log: bool, *, joined: bool) -> Any | None:
    """What evaluations recorded. joined: by a line, where the schedule is not known."""
    history = subject.run.history
    values = [p.learning_rates.get(name) for p in history]
    if all(value is None for value in values):
        return None
    unit = "step %{x:,.0f}" if x == "step" else "epoch %{x:.1~f}"
    return go.Scatter(
        x=[getattr(p, x) for p in history],
        y=_drawable(values, log),
        mode="lines+markers" if joined else "markers",
        line={"width": 2.4 if name == HEAD else 1.8},
        marker={"size": 5},
        hovertemplate=f"<b>%{{y:.2~e}}</b> {escape(_label(name), quote=False)}<br>{unit}<extra></extra>",
        **_named(name),
    )


def _named(name: str) -> dict[str, Any]:
    return {"name": escape(_label(name), quote=False), "legendgroup": name}


def _drawable(values: Sequence[float | None], log: bool) -> list[float | None]:
    return [None if value is None or (log and value <= 0) else value for value in values]


def _scale(subject: Subject, x: RateAxis) -> float:
    """What a step is worth on the axis."""
    last = subject.run.history[-1]
    return 1.0 if x == "step" else last.epoch / max(1, last.step)


def _color(name: str, names: Sequence[str], dark: bool) -> str:
    """The head in the text's colour; layer groups from yellow, near the input, to violet."""
    if name == HEAD:
        return ink(dark).text
    if name == BACKBONE:
        return "#21918c"
    groups = [n for n in names if _NUMBERED.match(n)]
    share = groups.index(name) / max(1, len(groups) - 1) if name in groups else 0.5
    low, high = (0.12, 0.9) if not dark else (0.25, 0.95)
    return str(sample_colorscale("Viridis", [high - (high - low) * share])[0])


def _mark_phases(figure: go.Figure, subject: Subject, x: RateAxis, cell: tuple[int, int], dark: bool) -> None:
    """A dotted line at the step that each later phase begins at."""
    scale = _scale(subject, x)
    for phase in subject.phases:
        if phase.first_step > 0:
            figure.add_vline(
                x=phase.first_step * scale, line={"color": ink(dark).muted, "width": 1, "dash": "dot"},
                row=cell[0], col=cell[1],
            )  # fmt: skip

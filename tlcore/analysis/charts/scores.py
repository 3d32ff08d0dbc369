"""Accuracy with intervals, and accuracy against cost, from the rows of the leaderboard."""

from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from tlcore.analysis.charts.floors import LABEL_LINE, NOTE, named, upright_floors, within_reach
from tlcore.analysis.charts.style import NBSP, axis, faded, halo, ink, layout, lines_of, share_axis
from tlcore.analysis.floors import FloorRow
from tlcore.analysis.groups import fraction_words
from tlcore.analysis.leaderboard import LeaderboardRow

STEPS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25)
NAME_WIDTH = 24  # letters in a line of a row's name: a phone has room for them beside the dots


def accuracy_intervals(
    rows: Sequence[LeaderboardRow],
    revision: str = "accuracy",
    dark: bool = False,
    floors: Sequence[FloorRow] = (),
) -> go.Figure:
    """A dot plot: mean test accuracy with its 95 % interval, and every seed as a small dot below it.

    floors: thin upright lines.
    """
    shown = [row for row in rows if row.test_accuracy is not None]
    figure = go.Figure()
    reach = _reach(shown)
    accuracies = share_axis("Test accuracy (%)", reach + [f.test_accuracy for f in within_reach(floors, reach)])
    upright_floors(figure, shown, floors, accuracies["range"], dark)  # before the dots, so that it lies below them
    for place, row in enumerate(shown):
        figure.add_scatter(**_seed_dots(row, place))
        figure.add_scatter(**_mean_dot(row, place, dark))
    note = f"Dot: mean. Bar: 95 % interval{_covered(shown)}. Small dots: single seeds.{NOTE if floors else ''}"
    names = [_row_name(row, shown) for row in shown]
    labels = LABEL_LINE * len(named(floors))
    height = 170 + labels + 62 * len(shown) + 14 * sum(name.count("<br>") - 1 for name in names)
    figure.update_layout(**layout(dark, revision, "Test accuracy", note, height))
    figure.update_layout(showlegend=False, margin={"r": 40, "t": 84 + labels})
    figure.update_xaxes(**accuracies, tick0=0, dtick=_step(accuracies["range"]))
    ticks = {"tickvals": list(range(len(shown))), "ticktext": names}
    figure.update_yaxes(**axis("", range=[len(shown) - 0.4, -0.6], showgrid=False, ticklabelstandoff=8, **ticks))
    return figure


def _step(ends: Sequence[float]) -> float:
    """From one mark of an axis of shares to the next: at most five marks, as on a phone more would meet."""
    return next(step for step in STEPS if (ends[1] - ends[0]) / step <= 4)


def _reach(rows: Sequence[LeaderboardRow]) -> list[float]:
    """Everything that is drawn of the rows' accuracies: means, intervals and single seeds."""
    means = [row.test_accuracy for row in rows if row.test_accuracy is not None]
    return means + [value for row in rows for value in (*(row.ci95 or ()), *row.test_accuracies)]


def _mean_dot(row: LeaderboardRow, place: int, dark: bool) -> dict[str, Any]:
    return {
        "x": [row.test_accuracy],
        "y": [place],
        "mode": "markers+text",
        "marker": {"color": row.color, "size": 14},
        "text": [f"{100 * (row.test_accuracy or 0):.1f}{NBSP}%"],
        "textposition": "top center",
        "textfont": {"color": ink(dark).text, "size": 13, "shadow": halo(dark)},
        "error_x": _interval(row, thickness=3),
        "cliponaxis": False,
        "hovertemplate": f"<b>%{{x:.1%}}</b> mean of {seeds_words(row)}<br>{interval_words(row)}"
        f"<extra>{_label(row)}</extra>",
    }


def _seed_dots(row: LeaderboardRow, place: int) -> dict[str, Any]:
    return {
        "x": row.test_accuracies,
        "y": [place + 0.27] * len(row.test_accuracies),
        "mode": "markers",
        "marker": {"color": faded(row.color, 0.75), "size": 6},
        "cliponaxis": False,
        "hovertemplate": f"%{{x:.1%}} one seed<extra>{_label(row)}</extra>",
    }


def _interval(row: LeaderboardRow, thickness: float) -> dict[str, Any]:
    return {**intervals([row]), "thickness": thickness, "width": 7}


def intervals(rows: Sequence[LeaderboardRow]) -> dict[str, Any]:
    """Error bars for the rows' intervals; none where there is no interval."""
    known = [(row.test_accuracy or 0.0, row.ci95 or (row.test_accuracy or 0.0,) * 2) for row in rows]
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - mean for mean, (_, high) in known],
        "arrayminus": [mean - low for mean, (low, _) in known],
        "color": rows[0].color,
        "thickness": 1.5,
        "width": 4,
        "visible": any(row.ci95 for row in rows),
    }


def interval_words(row: LeaderboardRow) -> str:
    if row.ci95 is None:
        return "no interval: one seed"
    return f"95 % interval {100 * row.ci95[0]:.1f} to {100 * row.ci95[1]:.1f} % (over {row.interval_covers})"


def seeds_words(row: LeaderboardRow) -> str:
    return f"{row.seeds_finished} seed{'' if row.seeds_finished == 1 else 's'}"


def _covered(rows: Sequence[LeaderboardRow]) -> str:
    """` over seeds and images`, where all rows' intervals cover the same."""
    bases = {row.interval_covers for row in rows if row.ci95}
    return f" over {bases.pop()}" if len(bases) == 1 else ""


def _row_name(row: LeaderboardRow, among: Sequence[LeaderboardRow]) -> str:
    """Strategy first; below it model and data where they vary, else what it does. The hover has the whole names."""
    start, _, action = row.label.partition(": ")
    more = [row.model_name] if len({r.model for r in among}) > 1 else []
    more += [fraction_words(row.fraction)] if len({r.fraction for r in among}) > 1 else []
    if row.short_label != start:  # a variant says its settings in its name, not behind the action
        start, action = row.short_label, action.removesuffix(row.short_label.removeprefix(start))
    below = [line for part in more or [action] for line in lines_of(part, NAME_WIDTH + 4)]
    name = _joined(lines_of(start, NAME_WIDTH))
    return f'{name}<br><span style="font-size:11px">{_joined(below)}</span>' if any(below) else name


def _joined(lines: Sequence[str]) -> str:
    return "<br>".join(escape(line, quote=False) for line in lines)


def _label(row: LeaderboardRow) -> str:
    return escape(f"{row.model} / {row.label}", quote=False)

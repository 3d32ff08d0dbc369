"""Where the time of runs went: one bar per group, stacked from its parts."""

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go

from tlcore.analysis.charts.style import axis, layout, legend_below_axis, legend_room, lines_of
from tlcore.analysis.groups import Group, fraction_words, several_fractions, several_models
from tlcore.analysis.time_parts import PARTS, PartName, TimeShares

# What comes before training is violet, training blue, looking at results green, keeping books grey.
COLORS: dict[PartName, str] = {
    "network": "#C9B3DB", "decode": "#A585C4", "features": "#7E57A8", "fit": "#5B3A86",
    "augment": "#B5D3EE", "forward": "#72ABDB", "backward": "#3D7DCA", "optimizer": "#1F4E8C",
    "evaluation": "#8CCBA6", "scoring": "#3E9E6E", "checkpoint": "#D6A96B", "logging": "#A97C3F", "other": "#9AA1AD",
}  # fmt: skip
VISIBLE = 0.005  # of the longest bar
NAME_WIDTH = 24  # letters in a line of a bar's name: a phone has room for them beside the bars


def time_parts_chart(shares: Sequence[TimeShares], revision: str = "time", dark: bool = False) -> go.Figure:
    """Mean seconds per run, part by part."""
    groups = [each.group for each in shares]
    names = [_bar_name(group, groups) for group in groups]
    figure = go.Figure()
    for part, seconds in _large_parts(shares).items():
        figure.add_bar(
            y=names,
            x=seconds,
            customdata=[value / each.total for value, each in zip(seconds, shares, strict=True)],
            orientation="h",
            name=PARTS[part].label,
            marker={"color": COLORS[part], "line": {"width": 0}},
            hovertemplate=f"<b>%{{x:.2f}} s</b>, %{{customdata:.0%}}<extra>{PARTS[part].label}</extra>",
        )
    room = legend_room([trace.name for trace in figure.data])
    height = 150 + 34 * len(shares) + 14 * sum(name.count("<br>") for name in names) + room
    figure.update_layout(**layout(dark, revision, "Time of a run, part by part", height=height))
    figure.update_layout(barmode="stack", bargap=0.3, margin={"b": room}, legend={"traceorder": "normal"})
    legend_below_axis(figure)
    figure.update_xaxes(**axis("Seconds per run", rangemode="tozero"))
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure


def _large_parts(shares: Sequence[TimeShares]) -> dict[PartName, list[float]]:
    """Seconds per bar of the parts that can be seen; the others are put together with what has no name."""
    seconds = {part: [each.seconds.get(part, 0.0) for each in shares] for part in PARTS}
    least = VISIBLE * max(each.total for each in shares)
    hidden = [part for part in PARTS if part != "other" and max(seconds[part]) < least]
    for part in hidden:
        small = seconds.pop(part)
        seconds["other"] = [one + more for one, more in zip(seconds["other"], small, strict=True)]
    return seconds if any(seconds["other"]) else {part: each for part, each in seconds.items() if part != "other"}


def _bar_name(group: Group, among: Sequence[Group]) -> str:
    """The strategy; below it, smaller, model and data where they vary."""
    more = [group.model_name] if several_models(among) else []
    more += [fraction_words(group.fraction)] if several_fractions(among) else []
    name = _joined(lines_of(group.entry.short_label, NAME_WIDTH))
    below = _joined([line for part in more for line in lines_of(part, NAME_WIDTH + 4)])
    return f'{name}<br><span style="font-size:11px">{below}</span>' if below else name


def _joined(lines: Sequence[str]) -> str:
    return "<br>".join(escape(line, quote=False) for line in lines)

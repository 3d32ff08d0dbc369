"""What all figures share: inks for light and dark pages, strategy colours, panels, axes with units."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import plotly.graph_objects as go

from tlcore.analysis.curves import Metric, XAxis
from tlcore.analysis.groups import Group, fraction_words, several_fractions, several_models

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
NEUTRAL = "#7d8698"
GRID = "rgba(128, 128, 128, 0.25)"
CLEAR = "rgba(0, 0, 0, 0)"
MODEL_COLORS = ("#3D7DCA", "#D9822B", "#3E9E6E", "#B4539A", "#8A7A2E", "#C24E4E")  # of lines that stand for models
SYMBOLS = ("circle", "square", "diamond", "hexagram", "cross", "pentagon", "star", "hourglass")
X_TITLES: dict[XAxis, str] = {
    "epoch": "Epochs",
    "images_seen": "Training images seen",
    "train_seconds": "Training time (seconds)",
}
METRIC_TITLES: dict[Metric, str] = {"accuracy": "Accuracy (%)", "loss": "Loss (cross-entropy, nats)"}
MAX_COLUMNS = 2
AXIS_ROOM = 52  # pixels that an axis needs below the plot
MAX_NAME = 18
WIDE = 700  # pixels that a figure with panels side by side needs
LETTER = 0.56  # of the font size: the width of a letter on average
SMALLEST_FONT = 8
NAME_PIXELS = 7  # of a letter of a name that stands upright, at most
NEAR_END = 0.05  # an axis that reaches this near to 0 or 100 % goes on to it
NBSP = "\u00a0"
SHARE_TICKS = {"tickformat": ".0%", "labelalias": {f"{n}%": f"{n}{NBSP}%" for n in range(101)}}


@dataclass(frozen=True)
class Ink:
    """Colours of one page theme. still: of cells where nothing happened; opaque, so that text on them is readable."""

    text: str
    muted: str
    paper: str
    template: str
    still: str
    scale: tuple[tuple[float, str], ...]


LIGHT = Ink(
    "#262730", "#5f6470", "#ffffff", "plotly_white", "#eaecef", ((0, "#f3f6fa"), (0.5, "#6baed6"), (1, "#08306b"))
)
DARK = Ink(
    "#f0f2f6", "#a9b0bd", "#0e1117", "plotly_dark", "#2b3039", ((0, "#1b222c"), (0.5, "#2f7fb8"), (1, "#d6ecff"))
)


def ink(dark: bool) -> Ink:
    return DARK if dark else LIGHT


def halo(dark: bool) -> str:
    """The paper's colour around letters, so that a line behind them does not strike them through. CSS text-shadow."""
    return ", ".join([f"0 0 2px {ink(dark).paper}"] * 4)


def faded(color: str, opacity: float) -> str:
    """`#RRGGBB` as rgba."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity:g})"


def readable_on(scale: tuple[str, str, str], place: float) -> str:
    """Black or white, whichever stands out more from the colour at −1…1 of a scale of three colours.

    By the contrast ratio of WCAG 2.2, https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio.
    """
    low, middle, high = ([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)] for color in scale)
    end = high if place > 0 else low
    mixed = [m + (e - m) * min(1.0, abs(place)) for m, e in zip(middle, end, strict=True)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in mixed]
    luminance = sum(w * part for w, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return "#000000" if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) else "#ffffff"


def layout(dark: bool, revision: str, title: str, note: str = "", height: int = 420) -> dict[str, Any]:
    """Common layout: no background, title with a note under it, legend below the plot. height: pixels.

    revision: what zoom and hidden curves belong to; they survive a redraw with the same one.
    """
    colors = ink(dark)
    return {
        "template": colors.template,
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "font": {"family": FONT, "color": colors.text, "size": 13},
        "title": {
            "text": escape(title, quote=False),
            "subtitle": {"text": escape(note, quote=False), "font": {"size": 12, "color": colors.muted}},
            "font": {"size": 17},
            "x": 0,
            "xref": "container",
            "xanchor": "left",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"l": 8, "t": 6},  # in pixels: a share of a tall figure would reach into the plot
        },
        "height": height,
        "margin": {"l": 64, "r": 24, "t": 84, "b": 56},
        "uirevision": revision,
        "modebar": {"bgcolor": CLEAR, "color": colors.muted, "activecolor": colors.text},
        "hoverlabel": {"font": {"family": FONT}, "align": "left", "namelength": -1},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 0, "yref": "container", "yanchor": "bottom"},
    }


def axis(title: str, **more: Any) -> dict[str, Any]:
    return {
        "title": {"text": title, "font": {"size": 13}},
        "gridcolor": GRID,
        "zeroline": False,
        "automargin": True,
        **more,
    }


def share_axis(title: str, values: Sequence[float], *, best: bool = False) -> dict[str, Any]:
    """An axis for shares, in per cent with a space as in the text, with a little room around the values.

    It never leaves 0 to 100 %. best: up to 100 % whatever the values.
    """
    low, high = min(values, default=0.0), 1.0 if best else max(values, default=1.0)
    room = max(0.02, 0.05 * (high - low))
    start = low - room if low - room > NEAR_END else 0.0
    end = high + room if high + room < 1 - NEAR_END else 1.0
    return axis(title, range=[start, end], tickangle=0, tickfont={"size": 11}, **SHARE_TICKS)


def cut(name: str) -> str:
    """A name that fits on an axis; the whole one belongs into the hover text."""
    return escape(name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…", quote=False)


def cut_all(names: Sequence[str]) -> list[str]:
    """The same for names on one axis: where beginnings alone would be alike, the ends are kept too."""
    found = [cut(name) for name in names]
    if len(set(found)) == len(set(names)):
        return found
    half = (MAX_NAME - 1) // 2
    return [escape(name if len(name) <= MAX_NAME else f"{name[:half]}…{name[-half:]}", quote=False) for name in names]


def class_ticks(names: Sequence[str], side: float, font: int = 13) -> dict[str, Any]:
    """Marks for names of classes along a side of so many pixels, in letters small enough for each to have its place.

    Names that would meet their neighbours stand upright.
    """
    shown = cut_all(names)
    room = side / max(1, len(shown))
    size = max(SMALLEST_FONT, min(font, int(0.9 * room)))
    fits = max(map(len, shown), default=0) * LETTER * size + 6 <= room
    return {
        "tickvals": list(range(len(shown))),
        "ticktext": shown,
        "tickfont": {"size": size},
        "tickangle": 0 if fits else -90,
    }


def lines_of(name: str, width: int) -> list[str]:
    """A name in lines of about so many letters, broken between words; a long word keeps its own line."""
    return textwrap.wrap(name, max(width, 6), break_long_words=False, break_on_hyphens=False) or [""]


def legend_room(names: Sequence[str], width: int = 560) -> int:
    """Pixels below a plot for its axis and a legend of these names in columns; the figure is so many pixels wide."""
    columns = max(1, width // (45 + 7 * max((len(name) for name in names), default=1)))
    return 76 + 22 * max(1, -(-len(names) // columns))


def flowing_room(names: Sequence[str], width: int = 560) -> int:
    """The same for a legend of grouped traces, whose names follow one another like words."""
    rows, used = 1, 0
    for name in names:
        wide = 45 + 7 * len(name)
        rows, used = (rows, used + wide) if used + wide <= width or not used else (rows + 1, wide)
    return 76 + 22 * rows


def legend_below_axis(figure: go.Figure) -> None:
    """The legend right below the axis: where the page is wide, what it does not need stays empty at the bottom.

    The figure has its height and its margins, with room for both.
    """
    margin = figure.layout.margin
    plot = figure.layout.height - margin.t - margin.b
    figure.update_layout(legend={"y": -AXIS_ROOM / plot, "yref": "paper", "yanchor": "top"})


PanelKey = tuple[str, float]


def panels_of(groups: Sequence[Group]) -> dict[PanelKey, str]:
    """One panel for each model and fraction, with its title; a lone panel has none."""
    titles: dict[PanelKey, str] = {}
    for group in groups:
        parts = [escape(group.model_name, quote=False)] if several_models(groups) else []
        parts += [fraction_words(group.fraction)] if several_fractions(groups) else []
        titles.setdefault((group.model, group.fraction), ", ".join(parts))
    return titles


def place(index: int, columns: int) -> tuple[int, int]:
    """Row and column, from 1, of the panel at this index."""
    return index // columns + 1, index % columns + 1

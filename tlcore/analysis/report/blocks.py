"""What a report is made of, whatever its format: sections of words, lists, tables, facts, commands and figures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import Any, Literal

Tone = Literal["plain", "strong", "muted", "warning"]


@dataclass(frozen=True)
class Words:
    """A paragraph."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    text: str


@dataclass(frozen=True)
class Lines:
    """A list; `otherwise` where it is empty."""

    lines: Sequence[str]
    otherwise: str = ""


@dataclass(frozen=True)
class Grid:
    """A table: rows with the same keys. words: columns of text. swatches: colours by what stands in `Strategy`."""

    rows: Sequence[Mapping[str, object]]
    words: Sequence[str] = ()
    swatches: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """Names with what they are."""

    pairs: Mapping[str, str]


@dataclass(frozen=True)
class Code:
    """Something to copy: a command or a file."""

    text: str


@dataclass(frozen=True)
class Drawing:
    """A plotly figure, made when it is drawn; formats without figures leave it out.

    min_width: pixels; where the page is narrower, the figure is scrolled sideways.
    """

    make: Callable[[], Any]
    min_width: int = 0


Block = Words | Heading | Lines | Grid | Facts | Code | Drawing


@dataclass(frozen=True)
class Section:
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    """made: by whom and when. question: what it answers."""

    title: str
    made: str
    question: str
    sections: Sequence[Section]


def cell_text(value: object) -> str:
    """What a cell of a table shows: numbers as precise as they were rounded to, one digit after the point at least."""
    if value is None or (isinstance(value, float) and isnan(value)):  # how a table holds a missing number
        return "–"
    if isinstance(value, int | float) and value < 0:
        return f"−{cell_text(-value)}"
    if isinstance(value, float):
        if value.is_integer() and abs(value) >= 1000:
            return f"{value:,.0f}"
        return f"{value:,.1f}" if round(value, 1) == value or abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)

"""What a report is made of, whatever its format: sections of words, lists, tables, facts, commands and figures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
    """A plotly figure, made when it is drawn; formats without figures leave it out."""

    make: Callable[[], Any]


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

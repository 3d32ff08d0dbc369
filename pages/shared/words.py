"""Numbers, times and errors in words."""

import datetime
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st

from tlcore.errors import SpecError, TlcoreError
from tlcore.results import STATE_WORDS

NBSP = "\u00a0"
_ICONS = {"waiting": "⏳", "running": "🔵", "finished": "✅", "failed": "❌", "cancelled": "⏹️"}
STATUS_WORDS = {status: f"{_ICONS[words]} {words}" for status, words in STATE_WORDS.items()}


@contextmanager
def guard() -> Iterator[None]:
    """Show an error that a person can act on as one line, and go on after the block."""
    try:
        yield
    except TlcoreError as error:
        st.error(plain(str(error)), icon="⚠️")


def plain(text: str) -> str:
    """Text as it is, with nothing in it read as Markdown, and no line break before a `%`."""
    for mark in "\\`*_[]<>$#~:|":
        text = text.replace(mark, f"\\{mark}")
    return re.sub(r"(\d) %", rf"\1{NBSP}%", text)


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 run`, `1,200 runs`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def numbers(text: str, kind: type[int] | type[float], what: str) -> list[Any]:
    """The numbers of a list as people type it. what: is listed. Raises: SpecError."""
    parts = [part for part in re.split(r"[\s,;%]+", text) if part]
    try:
        return [kind(part) for part in parts]
    except ValueError as error:
        raise SpecError(f"{what}: {text!r} is not a list of numbers; write for example 0, 1, 2") from error


def listed(names: list[str]) -> str:
    """`a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def duration(seconds: float | None) -> str:
    """`45 s`, `3 min 20 s`, `2 h 5 min`, units kept with their numbers; `–` where unknown."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f}{NBSP}s" if seconds < 10 else f"{whole}{NBSP}s"
    if whole < 3600:
        return f"{whole // 60}{NBSP}min {whole % 60}{NBSP}s"
    return f"{whole // 3600}{NBSP}h {whole % 3600 // 60}{NBSP}min"


def size(num_bytes: float) -> str:
    """`820 KB`, `12.3 MB`, `4.5 GB`."""
    for unit, divisor in (("GB", 1e9), ("MB", 1e6)):
        if num_bytes >= divisor:
            return f"{num_bytes / divisor:.1f}{NBSP}{unit}"
    return f"{num_bytes / 1e3:.0f}{NBSP}KB"


def percent(share: float | None) -> str:
    """`93.5 %`; `–` where unknown."""
    return "–" if share is None else f"{100 * share:.1f}{NBSP}%"


def when(milliseconds: int) -> str:
    """A Unix time in the viewer's own time zone, such as `20 Nov 2026, 18:55`."""
    offset = datetime.timedelta(minutes=-(st.context.timezone_offset or 0))
    at = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.timezone(offset))
    return f"{at.day} {at:%b %Y, %H:%M}"

"""The closer looks of a report as plain data, for the JSON contract: words and tables, no figures."""

from collections.abc import Iterable

from tlcore.analysis.report.blocks import Grid, Lines, Section, Words
from tlcore.results import ReportSection


def as_data(sections: Iterable[Section]) -> tuple[ReportSection, ...]:
    """Sections with what they say; those that are figures alone are left out."""
    found = (_section(section) for section in sections)
    return tuple(section for section in found if section.words or section.tables)


def _section(section: Section) -> ReportSection:
    words: list[str] = []
    for block in section.blocks:
        words += [block.text] if isinstance(block, Words) else list(block.lines) if isinstance(block, Lines) else []
    tables = tuple(tuple(dict(row) for row in b.rows) for b in section.blocks if isinstance(b, Grid) and b.rows)
    return ReportSection(title=section.title, words=tuple(words), tables=tables)

"""A report as Markdown: everything but the figures, for a wiki, a merge request or a notebook."""

import re
from collections.abc import Sequence

from tlcore.analysis.report.blocks import (
    Block,
    Code,
    Document,
    Drawing,
    Facts,
    Grid,
    Heading,
    Lines,
    Section,
    Words,
    cell_text,
)

MARKS = re.compile(r"([\\`*_\[\]<>|~#])")


def as_markdown(document: Document) -> str:
    """GitHub-flavoured Markdown; sections that are figures alone are left out."""
    parts = [_section(section) for section in document.sections]
    head = f"# {plain(document.title)}\n\n{plain(document.made)}\n\n{plain(document.question)}\n"
    return "\n".join([head, *(part for part in parts if part)])


def plain(text: str) -> str:
    """Text as it is, with nothing in it read as Markdown."""
    return MARKS.sub(r"\\\1", text)


def _section(section: Section) -> str:
    blocks = [text for text in (_block(block) for block in section.blocks) if text]
    return "\n\n".join([f"## {plain(section.title)}", *blocks, ""]) if blocks else ""


def _block(block: Block) -> str:
    if isinstance(block, Words):
        text = plain(block.text)
        return {"strong": f"**{text}**", "warning": f"> **Warning:** {text}"}.get(block.tone, text)
    if isinstance(block, Heading):
        return f"### {plain(block.text)}"
    if isinstance(block, Lines):
        return "\n".join(f"- {plain(line)}" for line in block.lines) or plain(block.otherwise)
    if isinstance(block, Facts):
        return "\n".join(f"- **{plain(name)}**: {plain(what)}" for name, what in block.pairs.items())
    if isinstance(block, Code):
        return f"```\n{block.text}\n```"
    if isinstance(block, Drawing):
        return ""
    return _table(block)


def _table(grid: Grid) -> str:
    if not grid.rows:
        return ""
    columns = list(grid.rows[0])
    rule = [":---" if column in grid.words else "---:" for column in columns]
    rows = [_row([plain(cell_text(value).replace("\n", " ")) for value in row.values()]) for row in grid.rows]
    return "\n".join([_row([plain(column) for column in columns]), _row(rule), *rows])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

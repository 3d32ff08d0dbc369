"""A report as one HTML file that needs nothing from outside and prints well."""

from html import escape
from typing import assert_never

from tlcore.analysis.report.blocks import Block, Code, Document, Drawing, Facts, Grid, Heading, Lines, Words
from tlcore.analysis.report.parts import bullets, drawn, page, pairs_of, prose, section, table


def as_html(document: Document) -> str:
    """The whole page, figures included; the script that draws them comes once."""
    figures = [(b.make(), b.min_width) for part in document.sections for b in part.blocks if isinstance(b, Drawing)]
    drawings = iter(drawn(figures))
    head = (
        f'<h1>{escape(document.title)}</h1><p class="muted">{escape(document.made)}</p>'
        f'<p class="lead">{escape(document.question)}</p>'
    )
    body = [
        section(part.title, *(next(drawings) if isinstance(b, Drawing) else _block(b) for b in part.blocks))
        for part in document.sections
    ]
    return page(document.title, [head, *body])


def _block(block: Block) -> str:
    match block:
        case Words():
            return _words(block)
        case Heading():
            return f"<h3>{escape(block.text)}</h3>"
        case Lines():
            return bullets(block.lines, block.otherwise)
        case Grid():
            return table(block.rows, block.words, block.swatches)
        case Facts():
            return pairs_of(dict(block.pairs))
        case Code():
            return f"<pre>{escape(block.text)}</pre>"
        case Drawing():
            raise AssertionError("figures are drawn all at once")
        case _:
            assert_never(block)


def _words(block: Words) -> str:
    if block.tone == "strong":
        return f"<p><strong>{prose(block.text)}</strong></p>"
    kind = "" if block.tone == "plain" else f' class="{block.tone}"'
    return f"<p{kind}>{prose(block.text)}</p>"

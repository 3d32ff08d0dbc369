"""The building blocks of the HTML report: style, sections, lists, tables and figures."""

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from tlcore.analysis.report.blocks import cell_text

EXPONENT = re.compile(r"(?<=\de)-(?=\d)")  # the hyphen in 4.1e-07
NOTE_HEIGHT = 28  # pixels that a figure keeps for its note
STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; color: #262730;
  max-width: 1240px; margin: 2rem auto; padding: 0 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
h3 { font-size: 1rem; margin-top: 1.6rem; }
p.warning { background: #fff4d6; border-left: 4px solid #d9a300; padding: .5rem .8rem; }
p.lead { font-size: 1.05rem; } .muted { color: #5f6470; }
table { border-collapse: collapse; font-size: .86rem; width: 100%; }
th, td { padding: .4rem .55rem; border-bottom: 1px solid #d9dce3; text-align: right; vertical-align: top; }
th { font-weight: 600; } th.text, td.text { text-align: left; }
td { white-space: nowrap; } td.text { white-space: normal; min-width: 10em; }
td.text:first-child { min-width: 13em; }
.wide { overflow-x: auto; } .swatch { display: inline-block; width: .8em; height: .8em; border-radius: 50%;
  margin-right: .45em; }
pre { background: #f3f4f7; padding: .8rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .84rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; } dt { color: #5f6470; }
dd { margin: 0; overflow-wrap: anywhere; } code { font-size: .86em; }
.figure p { margin: 0; font-size: .86rem; } .drawing { overflow-x: auto; }
.figure { break-inside: avoid; margin: 1rem 0; }
.hint { display: none; font-size: .84rem; color: #5f6470; } .hint.on { display: block; }
@page { margin: 12mm; }
@media print { body { margin: 0; padding: 0; max-width: none; font-size: 10pt; } h2, h3 { break-after: avoid; }
  .swatch, p.warning, pre { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  tr, .figure { break-inside: avoid; } .modebar-container, .hint.on { display: none; }
  .wide, .drawing { overflow: visible; } .drawing > div { min-width: 0 !important; }
  table { font-size: 7.5pt; } th, td { padding: .15rem .25rem; white-space: normal; }
  td.text, td.text:first-child { min-width: 0; } }
"""
# What is wider than the page says so.
SCRIPT = """
(() => {
  const tell = () => document.querySelectorAll(".wide, .drawing").forEach((box) =>
    box.previousElementSibling.classList.toggle("on", box.scrollWidth > box.clientWidth + 1));
  addEventListener("load", tell);
  addEventListener("resize", () => setTimeout(tell, 300));
})();
"""
# On paper figures are drawn anew for what A4 and Letter both have room for, in CSS pixels. Larger ones
# are shrunk as far as they stay readable; what is still taller than a page goes on on the next.
PAPER = """<script>
(() => {
  const figures = () => [...document.querySelectorAll(".drawing")].map((box) =>
    [box, box.firstElementChild, box.querySelector(".plotly-graph-div")]);
  addEventListener("beforeprint", () => figures().forEach(([box, frame, figure]) => {
    const width = Math.max(690, parseFloat(frame.style.minWidth));
    Plotly.relayout(figure, { width });
    box.style.zoom = Math.min(690 / width, Math.max(0.6, 880 / figure.layout.height));
  }));
  addEventListener("afterprint", () => figures().forEach(([box, , figure]) => {
    box.style.zoom = "";
    Plotly.relayout(figure, { width: null, autosize: true });
  }));
})();
</script>"""
HINT = '<p class="hint">It goes on to the right: swipe or scroll it sideways →</p>'


def page(title: str, body: Iterable[str]) -> str:
    """The whole HTML document."""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body>{''.join(body)}<script>{SCRIPT}</script></body></html>\n"
    )


def section(title: str, *content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{''.join(content)}</section>"


def bullets(lines: Iterable[str], otherwise: str) -> str:
    items = "".join(f"<li>{prose(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else f"<p>{escape(otherwise)}</p>"


def prose(text: str) -> str:
    """Escaped, with numbers and their unit kept on one line."""
    return escape(text).replace(" %", "&nbsp;%")


def pairs_of(pairs: dict[str, str]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(k)}</dt><dd>{escape(v)}</dd>' for k, v in pairs.items())}</dl>"


def table(
    rows: Sequence[Mapping[str, object]], text: Iterable[str] = (), swatches: Mapping[str, str] | None = None
) -> str:
    """Rows with the same keys. text: columns of words. swatches: colours by what stands in the column `Strategy`."""
    words, colors = set(text), swatches or {}
    columns = list(rows[0]) if rows else []
    head = "".join(f'<th scope="col" class="{_kind(c, words)}">{escape(c)}</th>' for c in columns)
    lines = "".join(f"<tr>{_cells(row, words, colors)}</tr>" for row in rows)
    return f'{HINT}<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def _cells(row: Mapping[str, object], words: set[str], colors: Mapping[str, str]) -> str:
    return "".join(
        f'<td class="{_kind(column, words)}">{_swatch(column, value, colors)}{_cell(value, column in words)}</td>'
        for column, value in row.items()
    )


def _cell(value: object, is_text: bool) -> str:
    """What stands in brackets after a number, such as its interval, is on a line of its own; exponents do not break."""
    shown = escape(cell_text(value))
    return shown if is_text else EXPONENT.sub("−", shown).replace(" (", "<br>(")


def _kind(column: str, words: set[str]) -> str:
    return "text" if column in words else ""


def _swatch(column: str, value: object, colors: Mapping[str, str]) -> str:
    color = colors.get(str(value)) if column == "Strategy" else None
    return f'<span class="swatch" style="background:{color}"></span>' if color else ""


def drawn(figures: Sequence[tuple[Any, int]]) -> list[str]:
    """Figures as HTML, the note below, where it can wrap; the script that draws them comes once, with the first.

    figures: each with the pixels that it needs at least; 0 where it suits any page.
    """
    from plotly.io import to_html

    config = {"displaylogo": False, "responsive": True}
    parts = []
    for index, (figure, width) in enumerate(figures):
        note = figure.layout.title.subtitle.text or ""
        figure.update_layout(title_subtitle_text="", margin_t=figure.layout.margin.t - NOTE_HEIGHT)
        first = index == 0
        html = to_html(figure, full_html=False, include_plotlyjs=first, config=config) + (PAPER if first else "")
        wide = f'<div class="drawing"><div style="min-width:{width}px">{html}</div></div>'
        parts.append(f'<div class="figure">{HINT}{wide}<p class="muted">{note}</p></div>')
    return parts

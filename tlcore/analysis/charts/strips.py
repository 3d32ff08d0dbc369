"""A strategy as a strip of blocks, one row of blocks per phase: a small SVG that works on light and dark pages.

State is told three times, by fill, pattern and letter, so that nothing hangs on colour alone.
"""

from collections.abc import Sequence
from html import escape

from tlcore.analysis.charts.style import FONT, NEUTRAL, faded, ink
from tlcore.strategies import PhaseBlocks, Strategy, luminance, phase_blocks

BLOCK_WIDTH, BLOCK_HEIGHT, GAP = 26, 34, 4
HEAD_WIDTH, ARROW, TOP, BOTTOM = 34, 34, 6, 22
LINE = 15  # pixels of the caption's second line
CARD_WIDTH = 384  # every strip is at least so wide: a narrow card shrinks them all alike, and their words with them
PER_ROW = 2  # phases beside each other, so that many of them can be read on a card
SMALL = 18  # pixels of a block's height where a network has many and each phase has a line of its own
FEW_BLOCKS = 5
LETTERS = {"frozen": "F", "adapted": "A", "partly": "P", "training": "T", "random": "R", "head": "H"}
MEANINGS = {
    "random": "random start, training",
    "frozen": "pretrained, frozen",
    "adapted": "pretrained, frozen, with adapters that train",
    "partly": "pretrained, a part of it training",
    "training": "pretrained, training",
    "head": "new head (classifier)",
}


def strategy_strip(
    strategy: Strategy, dark: bool = False, num_blocks: int = 4, names: Sequence[Sequence[str]] | None = None
) -> str:
    """The strategy's phases from left to right, each with its backbone blocks, its head and what it does.

    num_blocks: how many blocks stand for the backbone; of many, each phase is one line. names: of each block's
    parameters, then of the head's. Returns an `<svg>` element with a description for readers.
    """
    phases = phase_blocks(strategy, num_blocks, names)
    if num_blocks > FEW_BLOCKS:
        content, wide = _lines(phases, strategy.color, dark)
        return _svg(content, max(wide, CARD_WIDTH), 2 * TOP + (SMALL + GAP) * len(phases), describe(strategy, phases))
    rows = [phases[start : start + PER_ROW] for start in range(0, len(phases), PER_ROW)]
    drawn, widest, high = [], 0, TOP + BLOCK_HEIGHT + BOTTOM + (LINE if len(phases) > 1 else 0)
    for index, row in enumerate(rows):
        content, width = _row(row, strategy.color, dark, leads_on=index > 0, alone=len(phases) == 1)
        drawn.append(f'<g transform="translate(0 {index * high})">{content}</g>' if index else content)
        widest = max(widest, width)
    return _svg("".join(drawn), max(widest + 2, CARD_WIDTH), high * len(rows), describe(strategy, phases))


def _row(phases: list[PhaseBlocks], color: str, dark: bool, *, leads_on: bool, alone: bool) -> tuple[str, int]:
    """Phases side by side, and how wide they are. leads_on: an arrow comes first, from the row above."""
    drawn, x = [], 2
    for index, phase in enumerate(phases):
        if index or leads_on:
            drawn.append(_arrow(x, dark))
            x += ARROW
        drawn.append(_phase(phase, x, color, dark, alone))
        x += _phase_width(phase)
    return "".join(drawn), x


def _lines(phases: list[PhaseBlocks], color: str, dark: bool) -> tuple[str, int]:
    """A line of small blocks for each phase, what it does to their right; and how wide they are."""
    number = len(phases[0].backbone)
    width = max(8, min(BLOCK_WIDTH, 180 // number - 2))
    drawn, right = [], 2 + number * (width + 2) + BLOCK_WIDTH
    words = [_cut(", ".join(_caption(phase, alone=len(phases) == 1))) for phase in phases]
    for index, phase in enumerate(phases):
        blocks = [
            _block(kind, 2 + place * (width + 2), width, color, dark, SMALL) for place, kind in enumerate(_kinds(phase))
        ]
        head = _block(_head_kind(phase), 2 + number * (width + 2), BLOCK_WIDTH, color, dark, SMALL)
        caption = _text(words[index], right + 8, TOP + SMALL / 2 + 4, ink(dark).muted, 12)
        drawn.append(f'<g transform="translate(0 {index * (SMALL + GAP)})">{"".join(blocks)}{head}{caption}</g>')
    return "".join(drawn), right + 8 + 6 * max(map(len, words))


def _cut(words: str, most: int = 40) -> str:
    """The words, or their beginning and end where they are long."""
    return words if len(words) <= most else f"{words[: most - 20]}…{words[-19:]}"


def strip_legend(dark: bool = False) -> str:
    """What the blocks mean, as one line of SVG; in a neutral colour, since each strip has its strategy's."""
    drawn, x = [], 2
    for kind, meaning in MEANINGS.items():
        width = HEAD_WIDTH if kind == "head" else BLOCK_WIDTH
        drawn.append(_block(kind, x, width, NEUTRAL, dark, height=24))
        drawn.append(_text(meaning, x + width + 7, TOP + 16, ink(dark).text, 12))
        x += width + 7 + 7 * len(meaning) + 18
    return _svg(
        "".join(drawn), x, TOP + 24 + 6, f"Legend: {', '.join(f'{LETTERS[k]} {m}' for k, m in MEANINGS.items())}"
    )


def describe(strategy: Strategy, phases: list[PhaseBlocks]) -> str:
    """The strip in words, for screen readers."""
    said = [f"{p.title}: {_backbone_words(p)}, head {p.head}" for p in phases]
    return f"{strategy.label}. " + "; then ".join(said)


def _backbone_words(phase: PhaseBlocks) -> str:
    if "adapted" in phase.backbone:
        return f"{phase.backbone_from} backbone frozen, with adapters that train"
    if "partly" in phase.backbone:
        return f"{phase.backbone_from} backbone in part training"
    training = phase.backbone.count("training")
    state = {0: "frozen", len(phase.backbone): "training"}.get(
        training, f"{training} of {len(phase.backbone)} training"
    )
    return f"{phase.backbone_from} backbone {state}"


def _phase_width(phase: PhaseBlocks) -> int:
    blocks = len(phase.backbone) * (BLOCK_WIDTH + GAP) + HEAD_WIDTH
    return max(blocks, *(7 * len(line) for line in _caption(phase, alone=False)))


def _phase(phase: PhaseBlocks, x: int, color: str, dark: bool, alone: bool) -> str:
    drawn, at = [], x
    for kind in _kinds(phase):
        drawn.append(_block(kind, at, BLOCK_WIDTH, color, dark))
        at += BLOCK_WIDTH + GAP
    drawn.append(_block(_head_kind(phase), at, HEAD_WIDTH, color, dark))
    lines = (
        _text(line, x, TOP + BLOCK_HEIGHT + 16 + LINE * number, ink(dark).muted, 12)
        for number, line in enumerate(_caption(phase, alone))
    )
    return "".join((*drawn, *lines))


def _kinds(phase: PhaseBlocks) -> list[str]:
    return ["random" if state == "training" and phase.backbone_from == "random" else state for state in phase.backbone]


def _head_kind(phase: PhaseBlocks) -> str:
    return phase.head if phase.head in {"frozen", "partly"} else "head"


def _caption(phase: PhaseBlocks, alone: bool) -> list[str]:
    if alone or phase.head == "fitted":
        return [phase.title]
    return [phase.title, f"{100 * phase.share:.0f} % of the budget"]


def _block(kind: str, x: int, width: int, color: str, dark: bool, height: int = BLOCK_HEIGHT) -> str:
    """Frozen: pale with diagonal lines, in colour where adapters or a part train. Random: dots, dashed. Others: full.

    partly: stronger than adapted.
    """
    full = kind in {"training", "head"}
    fill = color if full else faded(NEUTRAL if kind == "frozen" else color, 0.4 if kind == "partly" else 0.18)
    edge = NEUTRAL if kind == "frozen" else color
    radius = height // 3 if kind == "head" else 4
    dash = ' stroke-dasharray="4 2"' if kind == "random" else ""
    box = (
        f'<rect x="{x}" y="{TOP}" width="{width}" height="{height}" rx="{radius}" fill="{fill}" '
        f'stroke="{edge}" stroke-width="1.5"{dash}/>'
    )
    letter_ink = "#ffffff" if full and _is_dark(color) else "#14171f" if full else ink(dark).text
    size = min(13, width)
    letter = _text(
        LETTERS[kind], x + width / 2, TOP + height / 2 + size / 3, letter_ink, size, anchor="middle", weight=700
    )
    return box + _pattern(kind, x, width, height, edge) + letter


def _pattern(kind: str, x: int, width: int, height: int, color: str) -> str:
    """Drawn line by line: `<pattern>` needs ids, which clash when many strips share a page."""
    if kind in {"frozen", "adapted", "partly"}:
        lines = (_diagonal(x, width, height, reach) for reach in range(7, width + height - 5, 8))
        return f'<g stroke="{color}" stroke-width="1" opacity="0.55">{"".join(lines)}</g>'
    if kind == "random":
        spots = [(x + dx, TOP + dy) for dy in range(5, height - 2, 6) for dx in range(5, width - 2, 6)]
        dots = "".join(f'<circle cx="{cx}" cy="{cy}" r="0.9"/>' for cx, cy in spots)
        return f'<g fill="{color}" opacity="0.7">{dots}</g>'
    return ""


def _diagonal(x: int, width: int, height: int, reach: int) -> str:
    """A line from the left or bottom edge up to the top or right edge; `reach` is its distance along the top."""
    margin = 2
    x1, y1 = (margin, reach) if reach <= height - margin else (reach - height + margin, height - margin)
    x2, y2 = (reach, margin) if reach <= width - margin else (width - margin, reach - width + margin)
    return f'<line x1="{x + x1}" y1="{TOP + y1}" x2="{x + x2}" y2="{TOP + y2}"/>'


def _arrow(x: int, dark: bool) -> str:
    y, color = TOP + BLOCK_HEIGHT / 2, ink(dark).muted
    left, right = x + 6, x + ARROW - 8
    return (
        f'<g stroke="{color}" stroke-width="2" fill="none" stroke-linecap="round">'
        f'<line x1="{left}" y1="{y}" x2="{right}" y2="{y}"/>'
        f'<polyline points="{right - 6},{y - 5} {right},{y} {right - 6},{y + 5}"/></g>'
    )


def _text(text: str, x: float, y: float, color: str, size: int, *, anchor: str = "start", weight: int = 400) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" fill="{color}" font-size="{size}" text-anchor="{anchor}" '
        f'font-weight="{weight}" font-family="{escape(FONT)}">{escape(text)}</text>'
    )


def _is_dark(color: str) -> bool:
    """Whether white text is easier to read on it."""
    return luminance(color) < 0.2


def _svg(content: str, width: int, height: int, description: str) -> str:
    said = escape(description)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{said}" style="max-width:100%;height:auto"><title>{said}</title>{content}</svg>'
    )

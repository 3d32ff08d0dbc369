"""Colours and small drawings: one colour per strategy, the same in light and dark."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape, unescape
from typing import Any, Literal

import pandas as pd
import streamlit as st
from plotly.graph_objects import Figure

from pages.shared.words import plain
from tlcore.strategies import STRATEGIES, Strategy, entry_of, split_reference

NEUTRAL = "#7d8698"
NOTE_HEIGHT = 28  # pixels that a figure keeps for its note
_CHART_BUTTONS = {"displaylogo": False, "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"]}
# Fills are half transparent, so that the page's own text colour can be read on them in light and dark alike.
_STYLE = """<style>
.tl-key {display:inline-flex; align-items:center; margin-right:14px; font-size:.85rem; white-space:nowrap}
.tl-dot {display:inline-block; flex:none; width:.75em; height:.75em; border-radius:50%; margin-right:.45em;
  background:var(--tl)}
.tl-bar {position:relative; min-height:24px; border-radius:5px; background:#8a8f9826; margin:3px 0; overflow:hidden}
.tl-bar i {position:absolute; inset:0 auto 0 0; background:var(--tl); opacity:.5}
.tl-bar b {position:relative; display:flex; justify-content:space-between; gap:10px; padding:0 8px;
  font-weight:500; font-size:.85rem; line-height:24px}
.tl-bar b span:last-child {white-space:nowrap}
</style>"""

_SCROLL = """<style>
[class*="st-key-wide_{width}"] {{overflow-x:auto}}
[class*="st-key-wide_{width}"] > * {{min-width:{width}px}}
.tl-hint-{width} {{display:none}}
@media (max-width: {narrow}px) {{.tl-hint-{width} {{display:block; font-size:.85rem; opacity:.75}}}}
</style><span class="tl-hint-{width}">The figure goes on to the right: swipe or scroll it sideways →</span>"""
_MARGINS = 40  # pixels beside the content of a narrow page

_WIDE_TABLE = """<style>
[class*="st-key-table_"] :is(th, td):first-child {min-width:9.5rem}
.tl-hint {display:none}
@media (max-width: 760px) {
  .tl-hint {display:block; font-size:.85rem; opacity:.75}
  [class*="st-key-table_words_"] table {min-width:960px}
}
</style>"""

# No one blue can be read on the dark page and also carry white text: the chosen switch has the page's text colour.
_EVERYWHERE = """<style>
button[data-variant="segmented_control"][data-selected="true"] {color:inherit !important}
[data-testid="stMainBlockContainer"] {padding-top:4.5rem}
[class*="st-key-pick_"] {display:grid; grid-template-columns:repeat(auto-fill, minmax(132px, 1fr)); gap:1rem}
[class*="st-key-pick_"] [data-testid="stImageContainer"] img {aspect-ratio:1; object-fit:contain;
  background:#8a8f9826}
[class*="st-key-pick_"] [data-testid="stCheckbox"] :is(label, label div) {min-width:0; max-width:100%}
[class*="st-key-pick_"] p {white-space:nowrap; overflow:hidden; text-overflow:ellipsis}
@media (max-width: 640px) {
  [data-testid="stMain"] h1 {font-size:2rem; padding-top:.5rem}
  [data-testid="stMetricValue"] {font-size:1.6rem}
  .st-key-facts {gap:.5rem 1.25rem}
  .st-key-filters {display:grid; grid-template-columns:1fr 1fr}
  .st-key-filters > * {width:100%; flex:none}
  .st-key-filters > :nth-child(odd):last-child {grid-column:span 2}
  .st-key-dataset_view button {padding:.25rem .35rem; min-width:0}
  .st-key-dataset_view p {font-size:.8rem}
  [class*="st-key-pick_"] {grid-template-columns:repeat(auto-fill, minmax(108px, 1fr)); gap:.75rem}
}
</style>"""


def use_own_style() -> None:
    """What holds on every page."""
    st.html(_EVERYWHERE)


def is_dark() -> bool:
    """Whether this viewer sees the dark theme."""
    return st.context.theme.type == "dark"


def chart(figure: Figure, key: str, min_width: int = 0, on_click: Callable[[], None] | None = None) -> None:
    """A figure in its own colours, its note below it, where it can wrap.

    key: stable between reruns, so that zoom and hidden curves stay. min_width: pixels; where the page is narrower,
    the figure is scrolled sideways, which is said. on_click: called when a point was clicked, which is in the session
    state of the key.
    """
    note = figure.layout.title.subtitle.text or ""
    figure.update_layout(title_subtitle_text="", margin_t=figure.layout.margin.t - NOTE_HEIGHT)
    if min_width:
        st.html(_SCROLL.format(width=min_width, narrow=min_width + _MARGINS))
    with st.container(key=f"wide_{min_width}_{key}"):
        st.plotly_chart(
            figure, key=key, theme=None, config=_CHART_BUTTONS, on_select=on_click or "ignore", selection_mode="points"
        )
    st.caption(plain(unescape(note)))


def wide_table(drawn: Any, key: str) -> None:
    """A table drawn in full, its words wrapped but for the first column, which is never squeezed.

    A narrow page scrolls it sideways and says so.
    """
    st.html(f'{_WIDE_TABLE}<span class="tl-hint">The table goes on to the right: swipe or scroll it sideways →</span>')
    with st.container(key=f"table_{key}"):
        st.table(drawn, border="horizontal", hide_index=True)


def words_table(rows: Sequence[Mapping[str, object]], key: str) -> None:
    """Rows with long words, as a `wide_table`; measures as rounded, counts without digits after the point."""
    frame = pd.DataFrame(rows)
    whole = [name for name in frame.select_dtypes("number") if not any(isinstance(row[name], float) for row in rows)]
    parts = [name for name in frame.select_dtypes("number") if name not in whole]
    styled = frame.style.format(na_rep="–").format("{:,.5g}", na_rep="–", subset=parts)
    wide_table(styled.format("{:,.0f}", na_rep="–", subset=whole), f"words_{key}")


def table(rows: Sequence[Mapping[str, object]], tall: int = 20) -> None:
    """Rows as a table that scrolls within itself from `tall` rows on; measures with one digit after the point."""
    frame = pd.DataFrame(rows)
    numbers = frame.select_dtypes("number")
    whole = {name: "Int64" for name in numbers if not any(isinstance(row[name], float) for row in rows)}
    digits = {name: st.column_config.NumberColumn(format="%.1f") for name in frame.select_dtypes("float")}
    digits |= {name: st.column_config.NumberColumn(format="localized") for name in whole}
    height: int | Literal["content"] = 35 * (tall + 1) if len(rows) > tall else "content"
    st.dataframe(frame.astype(whole), hide_index=True, height=height, column_config=digits, placeholder="–")


def dots(strategies: Iterable[str]) -> None:
    """Short labels of strategies, by reference, each with a disc in its colour; a person's own ones are left out."""
    known = [entry_of(s) for s in strategies if split_reference(s)[0] in STRATEGIES]
    names = (f'<span class="tl-key">{_dot(entry.color)}{escape(entry.short_label)}</span>' for entry in known)
    st.html(_STYLE + "".join(names))


def heading(entry: Strategy, more: str = "") -> None:
    """A strategy's short label with its disc, as a small heading. more: said after it."""
    st.html(f"{_STYLE}<strong>{_dot(entry.color)}{escape(entry.short_label)}</strong> {escape(more)}")


def bar(label: str, share: float, figure: str, color: str) -> str:
    """A labelled bar, filled to `share` of its width, as HTML for `bars`."""
    fill = f'<i style="width:{100 * min(max(share, 0.0), 1.0):.1f}%"></i>'
    words = f"<b><span>{escape(label)}</span><span>{escape(figure)}</span></b>"
    return f'<div class="tl-bar" style="--tl:{color}">{fill}{words}</div>'


def bars(drawn: list[str], to: Any = st) -> None:
    """Show bars, one below the other."""
    to.html(_STYLE + "".join(drawn))


def _dot(color: str) -> str:
    return f'<span class="tl-dot" style="--tl:{color}"></span>'

"""A person's own strategies on the Launch page: chosen, written, uploaded, saved, taken home."""

from typing import Literal, TypedDict

import streamlit as st

from pages.shared import look
from pages.shared.words import guard, plain
from tlcore.analysis import charts
from tlcore.recipes import ModelFacts
from tlcore.service import strategies
from tlcore.service.strategies import SavedStrategy
from tlcore.strategies import STRATEGIES, Strategy


class Keep(TypedDict):
    persist_state: Literal["session"]


KEEP: Keep = {"persist_state": "session"}  # a widget's value stays while its part of the form is hidden
TEXT = "own_yaml"
SOURCE = "the text"
EXAMPLE = """\
name: head_then_top
label: "Head first, then the top"
phases:
  - train: head        # or all, last:K, lora, a pattern of parameter names
    share: 0.25        # of the budget; the shares sum to 1
    settings: {learning_rate: 0.01}
  - train: last:2
    share: 0.75
"""


def choose_own(facts: list[ModelFacts]) -> list[str]:
    """Names of the saved strategies that were ticked; and an editor."""
    if not st.toggle("Your own strategies", key="own_strategies", **KEEP):
        return []
    kept = strategies.saved()
    chosen: list[str] = []
    with st.grid(3, min_column_width=300):
        for found in kept:
            with st.container(border=True, gap="xsmall", height="stretch"):
                chosen += _card(found, facts)
    with st.expander("Write, upload or change a strategy", expanded=not kept or TEXT in st.session_state):
        _edit([found.name for found in kept])
    return chosen


def _card(found: SavedStrategy, facts: list[ModelFacts]) -> list[str]:
    """A saved strategy, with what can be done with it."""
    key = f"strategy_own_{found.name}"
    if found.strategy is None:
        st.error(f"**{plain(found.name)}** cannot be used: {plain(found.problem or '')}", icon="⚠️")
        st.button("Delete", key=f"delete_{found.name}", on_click=_remove, args=(found.name,))
        return []
    unfit = strategies.why_unfit(found.strategy, facts)
    ticked = st.checkbox(f"**{plain(found.strategy.label)}**", key=key, disabled=unfit is not None, **KEEP)
    _draw(found.strategy)
    if unfit is not None:
        st.caption(f"🚫 Not for these models: {plain(unfit)}")
    with st.container(horizontal=True, gap="xsmall"):
        text = strategies.export(found.name)
        st.button("Change", key=f"change_{found.name}", on_click=_begin_with, args=(text,))
        st.download_button("YAML", text, f"{found.name}.yaml", "text/yaml", key=f"yaml_{found.name}", icon="⬇️")
        st.button("Delete", key=f"delete_{found.name}", on_click=_remove, args=(found.name,))
    return [found.name] if ticked and unfit is None else []


def _edit(kept: list[str]) -> None:
    """The text of a strategy, checked and drawn as it is written."""
    left, right = st.columns(2, gap="medium")
    with left:
        st.selectbox(
            "Begin with a copy of", [*STRATEGIES, *kept], index=None, key="own_copy", on_change=_copy,
            placeholder="a small example",
        )  # fmt: skip
    with right:
        st.file_uploader("Or upload a file", type=["yaml", "yml"], max_upload_size=1, key="own_file", on_change=_upload)
    if TEXT not in st.session_state:
        st.session_state[TEXT] = EXAMPLE
    text = st.text_area(
        "The strategy as YAML", key=TEXT, height=260,
        help="Each phase is `fit:` (a classifier on stored features, first only), `train:` (`head`, `all`, `last:K`, "
        "`lora` or a pattern of parameter names) or `unfreeze: true`. Press Ctrl+Enter to check the text.",
    )  # fmt: skip
    with guard():
        found = strategies.check_text(text, SOURCE)
        _draw(found)
        with st.container(horizontal=True):
            words = f"Replace {found.id}" if found.id in kept else f"Save {found.id} and use it"
            st.button(words, type="primary", key="own_save", icon="💾", on_click=_save, args=(text,))
            st.download_button("YAML", text, f"{found.id}.yaml", "text/yaml", key="own_yaml_file", icon="⬇️")


def _draw(strategy: Strategy) -> None:
    st.image(charts.strategy_strip(strategy, dark=look.is_dark()), alt=f"What trains when: {strategy.description}")
    st.caption(plain(strategy.description))


def _begin_with(text: str) -> None:
    st.session_state[TEXT] = text


def _copy() -> None:
    with guard():
        name = st.session_state["own_copy"]
        _begin_with(strategies.export(name) if name else EXAMPLE)


def _upload() -> None:
    with guard():
        given = st.session_state["own_file"]
        if given is not None:
            _begin_with(strategies.decode(given.getvalue(), given.name))


def _save(text: str) -> None:
    with guard():
        made = strategies.save(text, SOURCE, replace=True)
        st.session_state[f"strategy_own_{made.id}"] = True


def _remove(name: str) -> None:
    with guard():
        strategies.remove(name)

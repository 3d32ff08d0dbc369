"""A person's own strategies on the Launch page: chosen, changed, taken home, deleted."""

from typing import Literal, TypedDict

import streamlit as st

from pages.shared.own_editor import TEXT, begin_with, draw, edit
from pages.shared.words import guard, plain
from tlcore.recipes import ModelFacts
from tlcore.service import strategies
from tlcore.service.strategies import SavedStrategy


class Keep(TypedDict):
    persist_state: Literal["session"]


KEEP: Keep = {"persist_state": "session"}  # a widget's value stays while its part of the form is hidden


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
        edit([found.name for found in kept], facts)
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
    draw(found.strategy, facts)
    if unfit is not None:
        st.caption(f"🚫 Not for these models: {plain(unfit)}")
    with st.container(horizontal=True, gap="xsmall"):
        text = strategies.export(found.name)
        st.button("Change", key=f"change_{found.name}", on_click=begin_with, args=(text,))
        st.download_button("YAML", text, f"{found.name}.yaml", "text/yaml", key=f"yaml_{found.name}", icon="⬇️")
        st.button("Delete", key=f"delete_{found.name}", on_click=_remove, args=(found.name,))
    return [found.name] if ticked and unfit is None else []


def _remove(name: str) -> None:
    with guard():
        strategies.remove(name)

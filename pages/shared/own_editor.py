"""The editor of a person's own strategies: written, uploaded, checked, drawn and saved."""

from contextlib import suppress

import streamlit as st

from pages.shared import look
from pages.shared.words import guard, plain
from tlcore.analysis import charts
from tlcore.errors import SpecError
from tlcore.recipes import ModelFacts
from tlcore.service import strategies
from tlcore.strategies import STRATEGIES, Strategy

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


def edit(kept: list[str], facts: list[ModelFacts]) -> None:
    """The text of a strategy, checked and drawn as it is written. facts: of the chosen models."""
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
        draw(found, facts)
        with st.container(horizontal=True):
            known = found.id in kept
            words = f"Replace {found.id}" if known else f"Save {found.id} and use it"
            st.button(words, type="primary", key="own_save", icon="💾", on_click=_save, args=(text, known))
            st.download_button("YAML", text, f"{found.id}.yaml", "text/yaml", key="own_yaml_file", icon="⬇️")


def draw(strategy: Strategy, facts: list[ModelFacts]) -> None:
    """What trains when, as a picture and in words."""
    strip(strategy, facts)
    st.caption(plain(strategy.description))


def strip(strategy: Strategy, facts: list[ModelFacts]) -> None:
    """What trains when, on the layer groups of the first model; on any four blocks where it does not suit that."""
    drawn = charts.strategy_strip(strategy, dark=look.is_dark())
    for model in [model for model in facts[:1] if model.num_groups]:
        with suppress(SpecError):
            own, names = strategies.on_model(strategy, model), model.parameter_names or None
            drawn = charts.strategy_strip(own, dark=look.is_dark(), num_blocks=model.num_groups, names=names)
    st.image(drawn, alt=f"What trains when: {strategy.description}")


def begin_with(text: str) -> None:
    """Put a text into the editor."""
    st.session_state[TEXT] = text


def _copy() -> None:
    with guard():
        name = st.session_state["own_copy"]
        begin_with(strategies.export(name) if name else EXAMPLE)


def _upload() -> None:
    with guard():
        given = st.session_state["own_file"]
        if given is not None:
            begin_with(strategies.decode(given.getvalue(), given.name))


def _save(text: str, replace: bool) -> None:
    with guard():
        made = strategies.save(text, SOURCE, replace)
        st.session_state[f"strategy_own_{made.id}"] = True

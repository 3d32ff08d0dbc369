"""The editor of a person's own strategies: written, uploaded, checked, drawn and saved."""

import streamlit as st

from pages.shared import look
from pages.shared.words import guard, plain
from tlcore.analysis import charts
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


def edit(kept: list[str]) -> None:
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
        draw(found)
        with st.container(horizontal=True):
            known = found.id in kept
            words = f"Replace {found.id}" if known else f"Save {found.id} and use it"
            st.button(words, type="primary", key="own_save", icon="💾", on_click=_save, args=(text, known))
            st.download_button("YAML", text, f"{found.id}.yaml", "text/yaml", key="own_yaml_file", icon="⬇️")


def draw(strategy: Strategy) -> None:
    """What trains when, as a picture and in words."""
    st.image(charts.strategy_strip(strategy, dark=look.is_dark()), alt=f"What trains when: {strategy.description}")
    st.caption(plain(strategy.description))


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

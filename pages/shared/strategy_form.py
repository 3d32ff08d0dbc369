"""The part of the Launch form that chooses strategies: the core ones as cards, the others, and a person's own."""

import streamlit as st

from pages.shared import own_editor, own_form
from pages.shared.words import count, listed, plain
from tlcore.analysis.charts import LETTERS, MEANINGS
from tlcore.errors import TlcoreError
from tlcore.recipes import ModelFacts
from tlcore.service import models, strategies
from tlcore.strategies import LAST_GROUPS, STRATEGIES, Strategy

GROUPS_WORDS = (
    "Layer groups are the network's own building blocks, in order from the input to the head. The last *k* are the *k* "
    "nearest the head: they train with it, and all below stay as they are. Choose several to compare depths."
)


def choose_strategies(chosen_models: list[str]) -> list[str]:
    """References of the chosen strategies; those that do not suit a chosen model cannot be ticked."""
    st.caption(
        "Blocks from the input to the answer: " + ", ".join(f"**{LETTERS[k]}** {m}" for k, m in MEANINGS.items())
    )
    core = [entry for entry in STRATEGIES.values() if entry.core]
    more = [entry for entry in STRATEGIES.values() if not entry.core]
    wide = any(st.session_state.get(key, False) for key in ("more_strategies", "own_strategies"))
    looked_up = chosen_models if wide else [name for name in chosen_models if name.startswith("onnx:")]
    facts = _facts(looked_up)
    chosen = _cards(core, facts, [])
    if st.toggle(f"More strategies ({listed([e.short_label for e in more])})", key="more_strategies", **own_form.KEEP):
        chosen += _cards(more, facts, facts)
    if wide and facts:
        st.caption(_drawn_for(facts))
    return chosen + own_form.choose_own(facts)


def _facts(names: list[str]) -> list[ModelFacts]:
    """What is known of the models; one that cannot be built is told of by Check."""
    found = []
    with st.spinner("Looking up the model …"):
        for name in names:
            try:
                found.append(models.model_facts(name))
            except TlcoreError:
                st.caption(f"{plain(name)} cannot be looked up now: Check says why.")
    return found


def _drawn_for(facts: list[ModelFacts]) -> str:
    model = facts[0]
    groups = count(model.num_groups, "layer group")
    return f"Strategies beyond the core ones are drawn for {plain(model.model)}: its {groups}, then the head."


def _cards(entries: list[Strategy], facts: list[ModelFacts], drawn: list[ModelFacts]) -> list[str]:
    """drawn: the models that they are drawn for; none for any four blocks, where all models would look alike."""
    chosen: list[str] = []
    with st.grid(3, min_column_width=300):
        for entry in entries:
            with st.container(border=True, gap="xsmall", height="stretch"):
                chosen += _card(entry, facts, drawn)
    return chosen


def _card(entry: Strategy, facts: list[ModelFacts], drawn: list[ModelFacts]) -> list[str]:
    """The references that one card stands for: none, one, or one for each depth."""
    unfit = strategies.why_unfit(entry, facts)
    ticked = st.checkbox(
        f"**{entry.label}**", value=entry.core, key=f"strategy_{entry.id}", disabled=unfit is not None, **own_form.KEEP
    )
    own_editor.strip(entry, drawn)
    also = f" *Also called: {plain(listed(list(entry.also_called)))}.*" if entry.also_called else ""
    why = f" **{plain(entry.chosen_for)}**" if entry.chosen_for else ""
    st.caption(plain(entry.description) + why + also)
    if unfit is not None:
        st.caption(f"🚫 Not for these models: {plain(unfit)}")
        return []
    if not ticked:
        return []
    return _depths(entry, facts) if entry.id == "partial_fine_tuning" else [entry.id]


def _depths(entry: Strategy, facts: list[ModelFacts]) -> list[str]:
    """One reference for each number of groups that was chosen; all models must have so many."""
    st.caption(GROUPS_WORDS)
    most = min((model.num_groups for model in facts), default=LAST_GROUPS)
    shallow = min(facts, key=lambda model: model.num_groups) if facts else None
    depths = st.multiselect(
        "How many of the last layer groups train", list(range(most + 1)), default=[min(LAST_GROUPS, most)],
        format_func=lambda k: _depth_words(k, shallow), key="depths", **own_form.KEEP,
    )  # fmt: skip
    if len(facts) > 1 and shallow is not None:
        st.caption(f"{plain(shallow.model)} has the fewest: {count(most, 'layer group')}. Its names are shown.")
    return [f"{entry.id}:last_groups={k}" for k in depths]


def _depth_words(k: int, model: ModelFacts | None) -> str:
    """`2 · blocks.5 to conv_head`: how many groups, and which."""
    if k == 0:
        return "0 · the head alone"
    names = model.group_names[-k:] if model else ()
    if not names:
        return str(k)
    return f"{k} · {names[0]}" if k == 1 else f"{k} · {names[0]} to {names[-1]}"

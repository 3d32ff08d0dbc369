"""The part of the Launch form that few comparisons need."""

from typing import Any

import streamlit as st

from pages.shared import reads
from tlcore.service import strategies
from tlcore.spec import MAX_TRIALS
from tlcore.strategies import split_reference

MORE_HELP = "Tuning, the largest batch, a smaller network for the random start, weights of which only a part fits."


def choose_more(chosen: list[str]) -> dict[str, Any]:
    """What few comparisons need: trials, the largest batch, another network for a random start, partial weights.

    chosen: references of the strategies.
    """
    if not st.toggle("More options", key="more_options", persist_state="session", help=MORE_HELP):
        return {}
    values: dict[str, Any] = {}
    left, right = st.columns(2, gap="medium")
    with left:
        values["tune"] = _choose_trials()
        values |= _choose_scratch_model(chosen)
    with right:
        if st.checkbox("Batch size: as large as the device's memory holds", key="batch_auto", persist_state="session"):
            values["batch_size"] = "auto"
        values["allow_partial_weights"] = st.checkbox(
            "Allow weights of which only a part fits", key="allow_partial", persist_state="session",
            help="Otherwise a weights file must hold everything but the head. What did not fit starts at random.",
        )  # fmt: skip
    return values


def _choose_trials() -> int:
    trials = st.number_input(
        "Trials per run (tuning)", 0, MAX_TRIALS, 0, step=1, key="tune", persist_state="session",
        help="Each run tries so many settings, the same number for every strategy, and keeps the best on validation.",
    )  # fmt: skip
    if trials:
        st.caption(f"{trials} trials take about **{trials} × the training time**, and the time is charged to each run.")
    return int(trials)


def _choose_scratch_model(chosen: list[str]) -> dict[str, Any]:
    """Another network for the random start, where a chosen strategy has one."""
    if all(strategies.find(split_reference(name)[0]).needs_weights for name in chosen):
        return {}
    names = [entry.model for entry in reads.catalogue()]
    network = st.selectbox(
        "Network of the random start", names, index=None, key="scratch_model", persist_state="session",
        placeholder="the same as the others'",
        help="A smaller network often learns better from few images. It is then marked as a different network.",
    )  # fmt: skip
    return {"scratch_model": network}

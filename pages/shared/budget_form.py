"""The part of the Launch form on budget, fractions, sizes and device."""

from typing import Any

import streamlit as st

from pages.shared import reads
from pages.shared.words import numbers, plain
from tlcore.recipes import default_budget
from tlcore.service import datasets
from tlcore.service.datasets import DatasetInfo
from tlcore.spec import SplitPlan

UNITS = {"epochs": "Epochs", "steps": "Optimiser steps", "seconds": "Training seconds"}
UNIT_DEFAULTS = {"epochs": 5, "steps": 500, "seconds": 120}
BUDGET_HELP = (
    "What every run may spend. An epoch is one pass over the training images; an optimiser step learns from one batch. "
    "Feature extraction is one pass, whatever the budget."
)


def choose_budget(info: DatasetInfo, plan: SplitPlan) -> dict[str, Any]:
    """Exactly one of epochs, steps or seconds."""
    accelerated = any(device.id.startswith("cuda") for device in reads.devices())
    num_train = datasets.split_sizes(info.id, plan=str(plan))["train"]
    ((unit, amount),) = default_budget(num_train, accelerated).as_dict().items()
    chosen = st.segmented_control(
        "Budget of each run in", list(UNITS), default=unit, required=True, format_func=UNITS.__getitem__, key="unit",
        help=BUDGET_HELP, persist_state="session",
    )  # fmt: skip
    start = int(amount) if chosen == unit else UNIT_DEFAULTS[chosen]
    value = st.number_input(
        UNITS[chosen], min_value=1, value=start, step=1, key=f"amount_{chosen}", persist_state="session"
    )
    return {chosen: value}


def choose_fractions() -> tuple[float, ...]:
    """Parts of the training images. Raises: SpecError."""
    chosen = st.multiselect(
        "Part of the training images (%)", ["100", "50", "25", "10", "5"], default=["100"], key="fractions",
        accept_new_options=True, persist_state="session",
        help="Train on less to see how many images you need. The test images stay the same. You may type a number.",
    )  # fmt: skip
    return tuple(percent / 100 for text in chosen for percent in numbers(text, float, "fractions"))


def choose_machine() -> dict[str, Any]:
    """Image size, batch size and device; None for the default of each."""
    known = {device.id: device for device in reads.devices()}
    names = {"auto": "auto · the fastest that works"} | {i: f"{i} · {d.name}" for i, d in known.items()}
    device = st.selectbox("Device", list(names), format_func=names.__getitem__, key="device", persist_state="session")
    if device in known:
        st.caption(plain(known[device].reason))
    image_size = st.number_input(
        "Image size (pixels)", 16, 1024, None, step=1, key="image_size", placeholder="the model's own",
        persist_state="session", help="Side of the square that the network sees. Smaller is faster and less precise.",
    )  # fmt: skip
    batch_size = st.number_input(
        "Batch size (images)", 1, 4096, None, step=1, key="batch_size", placeholder="32, or 64 for many images",
        persist_state="session", help="Images per optimiser step.",
        disabled=bool(st.session_state.get("more_options") and st.session_state.get("batch_auto")),
    )  # fmt: skip
    return {"device": device, "image_size": image_size, "batch_size": batch_size}

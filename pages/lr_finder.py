"""Learning rate: growing rates are tried on the training images, the loss is drawn, and a rate is suggested."""

from typing import Any

import streamlit as st

from pages.shared import look, model_form, reads
from pages.shared.choose import choose_dataset
from pages.shared.navigation import start_with_app
from pages.shared.words import count, duration, guard, plain
from tlcore.analysis import charts
from tlcore.results import JobView, RateFinding
from tlcore.service import lr_finder, strategies
from tlcore.strategies import STRATEGIES, Fit

REFRESH_SECONDS = 1
ABOUT = (
    "A strategy's first phase with gradient steps is trained for a moment while the learning rate grows from tiny to "
    "huge. Where the loss falls, the rate is good; where it rises, too high. Only training images are used for it."
)


def fill_form() -> dict[str, Any] | None:
    """What to look for, or None without a dataset."""
    dataset = choose_dataset()
    if dataset is None:
        return None
    left, right = st.columns(2, gap="medium")
    with left:
        model = st.selectbox("Model", [entry.model for entry in reads.catalogue()], key="lr_model")
        named = model_form.choose_weights([model])[0]
        labels = {e.id: e.label for e in STRATEGIES.values() if not all(isinstance(p, Fit) for p in e.phases)}
        labels |= {e.id: f"{e.label} (your own)" for e in strategies.own_strategies()}
        strategy = st.selectbox(
            "Strategy", list(labels), list(labels).index("fine_tuning"), labels.__getitem__, key="lr_strategy"
        )
    with right:
        # Without limits: with them, the browser keeps a value that is out of range to itself, and the old one counts.
        steps = st.number_input("Steps (rates to try)", value=100, key="lr_steps")
        low = st.number_input("Lowest rate", value=1e-7, format="%.1e", key="lr_low")
        high = st.number_input("Highest rate", value=10.0, format="%.1e", key="lr_high")
        size = st.number_input("Image size (pixels; empty: the model's own)", 16, 1024, None, key="lr_size")
    reads.warm_up()
    return {
        "dataset": dataset, "model": model, "weights": named.removeprefix(f"{model}="),
        "strategy": strategy, "steps": int(steps), "low": low, "high": high, "image_size": size,
    }  # fmt: skip


def show_search(job_id: str, was_active: bool) -> None:
    """How far the search is, drawn again while it goes on; then what it found."""
    with guard():
        job = lr_finder.job(job_id)
        if job.status in reads.ACTIVE:
            show_progress(job)
        elif not was_active:
            found = lr_finder.finding(job_id)
            if found is not None:
                show_finding(found)
        else:
            st.rerun()


def show_progress(job: JobView) -> None:
    left = "" if job.eta_seconds is None else f" · {duration(job.eta_seconds)} left"
    words = "waiting for a worker" if job.status == "QUEUED" else job.message or "starting"
    bar, button = st.columns([6, 1], vertical_alignment="center")
    bar.progress(job.progress, text=plain(f"{job.title}: {words}{left}"))
    if button.button("Cancel", key="lr_cancel", disabled=job.cancel_requested, width="stretch"):
        lr_finder.cancel(job.id)


def show_finding(found: RateFinding) -> None:
    if found.suggestion is None:
        st.warning("The loss fell at none of these rates: try another range, or more steps.", icon="📉")
    else:
        rates = f"Suggested learning rate: **{found.suggestion:.2g}**. The recipe's: {found.recipe_rate:.2g}."
        if found.caution:
            st.warning(f"{rates} Caution: {plain(found.caution)}.")
        else:
            st.success(rates)
        st.markdown("Use it on the Launch page under *Advanced*, or on the command line:")
        st.code(" ".join(lr_finder.how_to_use(found)), language=None, wrap_lines=True)
    look.chart(charts.lr_chart(found, dark=look.is_dark()), "lr_chart")
    steps = f"{count(len(found.rates), 'step')} of batch {found.batch_size} in {duration(found.seconds)}"
    st.caption(plain("; ".join((steps, *found.notes))) + ".")


def show() -> None:
    st.title("Find a learning rate")
    st.caption(ABOUT)
    asked = fill_form()
    if asked is not None and st.button("Find", type="primary", icon="📈", key="lr_find"):
        with guard(), st.spinner("Checking model, weights and device …"):
            st.query_params["search"] = lr_finder.submit(**asked)
    if job_id := st.query_params.get("search"):
        active = lr_finder.job(job_id).status in reads.ACTIVE
        st.fragment(show_search, run_every=REFRESH_SECONDS if active else None)(job_id, active)


start_with_app()
with guard():
    show()

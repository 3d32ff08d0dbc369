"""Home: what this is, the sample, the state of the system and recent comparisons."""

import streamlit as st

from pages.shared import look, reads
from pages.shared.choose import comparison_title
from pages.shared.navigation import start_with_app
from pages.shared.words import STATUS_WORDS, count, guard, listed, plain, when
from tlcore.results import ComparisonSummary
from tlcore.service import comparisons, demo, recorded, system

RECENT = 6
STEPS = (
    ("pages/datasets.py", "Add your images", "a zip of one folder per class"),
    ("pages/launch.py", "Launch a comparison", "choose models, strategies and a budget"),
    ("pages/runs.py", "Watch it run", "live curves; close the browser whenever you like"),
    ("pages/compare.py", "Compare", "who wins, by how much, at what cost"),
    ("pages/tryout.py", "Try it", "drop photos and see every strategy's answer"),
    ("pages/download.py", "Take the winner home", "weights, labels and a short script"),
)


def show_welcome() -> None:
    st.title("Transfer Lab")
    st.markdown(
        "Transfer Lab trains image classifiers on **your** images in several ways, under equal conditions, and shows "
        "the results side by side. Everything runs on this machine and is recorded in MLflow, an open format."
    )
    st.info(
        "**The question:** for my images, should I use a pretrained network as it is, fine-tune it, or train from "
        "scratch – and by how much does the best way win, at what cost, and how sure can I be?",
    )


def show_sample() -> None:
    st.subheader("See a finished comparison now")
    st.markdown(f"{demo.describe()}.")
    recording = recorded.record()
    with st.container(horizontal=True):
        if st.button("Open the sample comparison", type="primary", icon="📊", key="open_sample"):
            st.switch_page("pages/compare.py", query_params={"comparison": demo.RECORDED_ID})
        if st.button("Run it here", icon="▶️", key="run_sample", help="Draws the sample and trains it on this machine."):
            with st.spinner("Drawing the sample and checking the plan …"):
                comparison_id = comparisons.submit(demo.make_plan())
            st.switch_page("pages/runs.py", query_params={"comparison": comparison_id})
    st.caption(
        f"{plain(listed(list(recording.spec.models)))} is a very small network, pretrained for this demo. "
        f"Recorded on {recording.recorded_on}, not on this machine. Running it here takes about a minute on two CPU "
        "cores."
    )


def show_state(device: st.delta_generator.DeltaGenerator) -> None:
    state = system.state()
    workers = count(state.workers, "worker") + " up" if state.workers else "starts when needed"
    told = f"{state.running} / {state.queued}"
    st.metric("Queue: running / waiting", told, workers, delta_color="off", delta_arrow="off")
    st.metric("Free disk", f"{state.free_gb:.0f} GB", help=f"On the disk of {state.home}")
    st.caption(f"Everything is kept in `{state.home}`; runs are recorded in `{state.tracking_uri}`.")
    with device, guard():
        found = reads.devices()
        best = found[-1]
        st.metric(
            "Best device", best.id, plain(best.name), delta_color="off", delta_arrow="off", help=plain(best.reason)
        )


def show_recent() -> None:
    st.subheader("Recent comparisons")
    with st.spinner("Reading the record of runs …"):
        recent = comparisons.list_comparisons(limit=RECENT)
    if not recent:
        st.markdown("None yet. Add images, then launch one, or run the sample.")
    for summary in recent:
        show_summary(summary)


def show_summary(summary: ComparisonSummary) -> None:
    with st.container(border=True, gap="xsmall"):
        query = {"comparison": summary.comparison_id}
        st.page_link("pages/compare.py", label=plain(comparison_title(summary)), icon="📊", query_params=query)
        owner = f" · by {plain(summary.owner)}" if summary.owner else ""
        st.caption(f"{state_words(summary)} · {when(summary.created_ms)} · {plain(', '.join(summary.models))}{owner}")
        look.dots(summary.strategies)


def state_words(summary: ComparisonSummary) -> str:
    """`✅ finished · 5 runs`; where the runs are in several states, how many are in each."""
    counts = {status: number for status, number in summary.counts.items() if number}
    if set(counts) <= {summary.status}:
        return f"{STATUS_WORDS[summary.status]} · {count(sum(counts.values()), 'run')}"
    states = ", ".join(f"{number} {STATUS_WORDS[status].split(' ', 1)[1]}" for status, number in counts.items())
    return f"{STATUS_WORDS[summary.status]} · runs: {states}"


def show_steps() -> None:
    st.subheader("First steps")
    for number, (page, label, note) in enumerate(STEPS, 1):
        with st.container(gap=None):
            st.page_link(page, label=f"**{number}. {label}**")
            st.caption(note)


def show() -> None:
    reads.look_ahead()
    show_welcome()
    main, side = st.columns([2, 1], gap="large")
    with main, guard():
        show_sample()
    with side:
        show_steps()
    with main, guard():  # MLflow, which takes seconds to load, once everything else stands
        show_recent()
    with side:
        st.subheader("This machine")
        device = st.container()
        with guard():
            show_state(device)


start_with_app()
show()

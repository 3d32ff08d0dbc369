"""Download: a finished run's network with everything needed to use it without Transfer Lab."""

from functools import partial

import streamlit as st

from pages.shared import look, reads
from pages.shared.choose import choose_comparison
from pages.shared.navigation import start_with_app
from pages.shared.words import NBSP, count, guard, percent
from tlcore.results import RunRecord
from tlcore.service import take_home, views

CONTENTS = """
| file in the zip | what it is |
|---|---|
| `weights.safetensors` | the whole network, head included |
| `labels.txt` | the classes, one per line, in the order of the network's outputs |
| `preprocessing.json` | size, crop, mean and standard deviation that photos need |
| `predict.py` | a short script: `python predict.py photo.jpg`; needs only torch, and timm or torchvision |
| `pixels.py` | how the script reads pictures, odd ones too |
| `model.json` | the architecture and where it came from |
"""


def show_run(run: RunRecord, best: bool) -> None:
    outcome = run.outcome
    with st.container(border=True):
        words, button = st.columns([3, 1], vertical_alignment="center")
        with words:
            part = "" if run.spec.fraction == 1 else f" · {100 * run.spec.fraction:g}{NBSP}% of the training images"
            look.heading(run.spec.entry, f"{run.spec.model} · seed {run.spec.seed}{part}{' · best' if best else ''}")
            if outcome:
                figures = f"validation {percent(outcome.val.accuracy)} · test {percent(outcome.test.accuracy)}"
                st.caption(f"{figures} · {count(outcome.num_parameters, 'parameter')} · run `{run.run_id}`")
        name = f"{run.spec.strategy}-{run.spec.model.replace(':', '-')}-{run.run_id[:8]}.zip"
        button.download_button(
            "Download", partial(take_home.export_zip, run.run_id), name, "application/zip", icon="📦",
            on_click="ignore", key=f"zip_{run.run_id}", type="primary" if best else "secondary", width="stretch",
        )  # fmt: skip


def show() -> None:
    st.title("Take a model home")
    comparison_id = choose_comparison()
    record = reads.record(comparison_id)
    runs = views.finished_runs(record)
    if record.recorded_on:
        st.info("A recording keeps figures only, no trained models: run the sample here from the Home page.", icon="📼")
        return
    if not runs:
        st.info("No run of this comparison has finished yet.", icon="⏳")
        st.page_link("pages/runs.py", label="Watch it run", icon="⏳", query_params={"comparison": comparison_id})
        return
    st.markdown(
        "The best run of each strategy, by validation accuracy: choosing by test accuracy would flatter the winner."
    )
    best = {run.run_id for run in views.champions(record)}
    first = [run for run in runs if run.run_id in best]
    further = [run for run in runs if run.run_id not in best]
    for run in first:
        show_run(run, best=run is first[0])
    if further and st.toggle(f"Show {count(len(further), 'more run')}: other seeds and parts of the data", key="every"):
        for run in further:
            show_run(run, best=False)
    st.subheader("What you get")
    st.markdown(CONTENTS)
    st.caption("On the command line: `python -m tlcore export RUN --to FOLDER`")


start_with_app()
with guard():
    show()

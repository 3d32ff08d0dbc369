"""Backbones: train one from a source dataset, then use it as weights for a target."""

import streamlit as st

from pages.shared import look, reads
from pages.shared.choose import choose
from pages.shared.navigation import start_with_app
from pages.shared.words import guard
from tlcore.service import datasets, models, sources
from tlcore.service.datasets import DatasetInfo
from tlcore.strategies import STRATEGIES

WEIGHTS_HELP = "For strategies that start from weights: `imagenet`, a tag, `file:PATH` or `run:RUN_ID`."


def show_known() -> None:
    st.subheader("Finished backbones")
    found = models.source_runs()
    if not found:
        st.info("There is none yet. Train one below.", icon="🧱")
        return
    rows = [
        {"Backbone": run.name, "Model": run.model, "Weights to use": run.weights, "Source": run.dataset_name}
        for run in found
    ]
    look.table(rows)
    st.caption("Launch offers them as weights of the same model; on the command line: `--weights run:RUN_ID`.")


def show_form(known: dict[str, DatasetInfo]) -> None:
    st.subheader("Train one")
    chosen = choose("dataset", list(known), lambda i: known[i].name if i in known else i, "Source dataset")
    left, right = st.columns(2, gap="medium")
    with left:
        names = [entry.model for entry in reads.catalogue() if not entry.problem]
        model = st.selectbox("Model", names, key="source_model")
        ids = list(STRATEGIES)
        strategy = st.selectbox(
            "Strategy", ids, ids.index(sources.DEFAULT_STRATEGY), lambda i: STRATEGIES[i].label, key="source_strategy"
        )
    with right:
        needs = STRATEGIES[strategy].needs_weights
        weights = st.text_input("Weights", "imagenet", key="source_weights", disabled=not needs, help=WEIGHTS_HELP)
        epochs = st.number_input("Epochs", min_value=1, max_value=10_000, value=30, key="source_epochs")
    reads.warm_up()
    st.caption("A target image that is in its test part must not be among the source images: such weights are refused.")
    if st.button("Train the backbone", type="primary", icon="🚀", key="source_launch"):
        with guard(), st.spinner("Checking model, weights and device …"):
            info = datasets.get_dataset(chosen)
            plan = sources.plan_source(info, model, strategy, weights if needs else None, epochs=int(epochs))
            comparison_id = sources.submit(plan)
            st.switch_page("pages/runs.py", query_params={"comparison": comparison_id})


def show() -> None:
    st.title("Backbones from your own images")
    st.markdown(
        "A network that has learned from many related images is often a better start than ImageNet weights. Train it "
        "here on a **source** dataset; then compare strategies on the **target** dataset with its weights."
    )
    show_known()
    known = {info.id: info for info in datasets.list_datasets()}
    if not known:
        st.info("There is no dataset yet.", icon="🖼️")
        st.page_link("pages/datasets.py", label="Add images first", icon="➕")
        return
    show_form(known)


start_with_app()
with guard():
    show()

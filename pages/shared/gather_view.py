"""Runs of several comparisons seen together: chosen below the list of runs, kept as a list of ids in the address."""

import streamlit as st

from pages.shared.choose import RECENT, comparison_name
from pages.shared.words import count
from tlcore.results import GATHERED
from tlcore.service import comparisons, gathering
from tlcore.service.views import ComparisonView

RUNS = "runs"  # in the address


def gathered_id() -> str | None:
    """What the address asks to be seen together, as a comparison's id; None where it names no runs."""
    asked = st.query_params.get(RUNS)
    if not asked:
        return None
    ids = [run_id.strip() for run_id in asked.split(",") if run_id.strip()]
    st.caption(f"{count(len(ids), 'run')}, chosen by their ids and seen together. Nothing of it is stored.")
    st.page_link("pages/compare.py", label="Back to one comparison", icon="↩️")
    return gathering.id_of(ids)


def show_gather(view: ComparisonView) -> None:
    """Other comparisons of the same dataset, whose runs can be seen beside these where they match."""
    record = view.record
    known = {
        summary.comparison_id: summary
        for summary in comparisons.list_comparisons(limit=RECENT)
        if summary.dataset_id == record.dataset.id and summary.comparison_id != record.comparison_id
    }
    if not known or record.comparison_id.startswith(GATHERED):
        return
    chosen = st.multiselect(
        "See together with runs of", list(known), format_func=lambda i: comparison_name(known[i]), key="gather",
        help="Only runs that share budget, split and all other settings can be compared; others are refused.",
    )  # fmt: skip
    if chosen:
        runs = [*record.runs, *(run for other in chosen for run in comparisons.record(other).runs)]
        ids = ",".join(run.run_id for run in runs)
        st.page_link("pages/compare.py", label=f"See {count(len(runs), 'run')} together", icon="🔗",
                     query_params={RUNS: ids})  # fmt: skip

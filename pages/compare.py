"""Compare: who wins, by how much, at what cost, and how sure that is."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from pages.shared import (
    anatomy_views,
    calibration_view,
    closer_views,
    differ_views,
    gather_view,
    leaderboard,
    reads,
    result_views,
    run_views,
    verdict_card,
)
from pages.shared.choose import choose_comparison
from pages.shared.navigation import start_with_app
from pages.shared.words import guard
from tlcore.results import ENDED, GATHERED, ComparisonRecord
from tlcore.service import comparisons, insights, plans, reports, views

REFRESH_SECONDS = 5
Section = Callable[[views.ComparisonView], None]
SECTIONS: dict[str, Section] = {
    "Learning curves": result_views.show_curves,
    "Confusion matrices": result_views.show_confusion,
    "Per class": result_views.show_classes,
    "Where they differ": differ_views.show_differ,
    "Calibration": calibration_view.show_calibration,
    "Transfer": closer_views.show_transfer,
    "Cost": run_views.show_cost,
    "What each strategy did": anatomy_views.show_anatomy,
    "Settings and proof": run_views.show_settings,
    "All runs": run_views.show_runs,
}


def sections_of(view: views.ComparisonView) -> dict[str, Section]:
    """The closer looks that this comparison has something for."""
    tuned = any(run.outcome and run.outcome.trials for run in view.record.runs)
    found: dict[str, Section] = {"Sweep": anatomy_views.show_sweeps} if view.sweeps else {}
    found |= {"How much data": closer_views.show_data} if insights.has_amounts(view.record) else {}
    return {**SECTIONS, **found, **({"Tuning": anatomy_views.show_tuning} if tuned else {})}


def show_results(comparison_id: str, was_active: bool) -> None:
    """Drawn again every few seconds while the comparison runs."""
    with guard():
        margin = verdict_card.margin()
        view = reads.comparison_view(comparison_id, margin)
        leaderboard.show_state(view.record)
        verdict_card.show_verdict(view)
        verdict_card.show_next_steps(view)
        leaderboard.show_leaderboard(view)
        sections = sections_of(view)
        section = st.segmented_control(
            "Look closer", list(sections), default=next(iter(sections)), required=True, key="show", bind="query-params"
        )
        sections[section](view)
        if was_active and view.record.status in ENDED:
            st.rerun()


def watch_for_more(comparison_id: str) -> None:
    """Runs of a comparison that was over may be tried again elsewhere."""
    with guard():
        if reads.is_active(comparisons.jobs_of(comparison_id)):
            st.rerun()


def show_actions(record: ComparisonRecord) -> None:
    st.subheader("Go on")
    query = {"comparison": record.comparison_id}
    with st.container(horizontal=True, vertical_alignment="center"):
        st.page_link("pages/tryout.py", label="Try it on photos", icon="🔎", query_params=query)
        st.page_link("pages/download.py", label="Download a model", icon="📦", query_params=query)
        for form, words in reports.FORMS.items():
            make = partial(reports.report, record.comparison_id, form, verdict_card.chosen_margin())
            name = f"comparison-{record.comparison_id.removeprefix(GATHERED)[:8]}.{form}"
            st.download_button(
                words.label, make, name, words.mime, icon="📄", on_click="ignore", key=f"report_{form}", help=words.help
            )
    if not record.can_grow:
        return
    more, command = st.columns(2, gap="large")
    with more, guard():
        add_seeds(record)
    with command:
        page = comparisons.mlflow_page(record.comparison_id)
        st.markdown(f"**The same in MLflow**: run this where the dashboard runs, then open [the comparison]({page}).")
        st.code(comparisons.mlflow_command(), language="bash", wrap_lines=True)


def add_seeds(record: ComparisonRecord) -> None:
    folds = record.spec.split_plan.folds
    label = f"More rounds of all {folds} folds" if folds else "More seeds"
    number = st.number_input(f"{label}, to be surer", 1, 20, 1 if folds else 2, key="more_seeds")
    if st.button("Run them too", icon="➕", key="add_seeds"):
        first = max(record.spec.seeds) + 1
        spec = record.spec.model_copy(update={"seeds": tuple(range(first, first + int(number) * max(1, folds)))})
        with st.spinner("Checking …"):
            comparisons.submit(plans.make_plan(spec), add_to=record.comparison_id)
        st.switch_page("pages/runs.py", query_params={"comparison": record.comparison_id})


def show() -> None:
    st.title("Compare")
    chosen = gather_view.gathered_id() or choose_comparison()
    record = reads.record(chosen)
    active = record.status not in ENDED
    st.fragment(show_results, run_every=REFRESH_SECONDS if active else None)(chosen, active)
    if record.status in ("KILLED", "FAILED"):
        st.fragment(watch_for_more, run_every=REFRESH_SECONDS)(chosen)
    show_actions(record)


start_with_app()
with guard():
    show()

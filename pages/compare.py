"""Compare: who wins, by how much, at what cost, and how sure that is."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from pages.shared import anatomy_views, look, reads, result_views
from pages.shared.choose import choose_comparison
from pages.shared.navigation import start_with_app
from pages.shared.words import count, guard, listed, plain
from tlcore.analysis import charts
from tlcore.results import ENDED, ComparisonRecord
from tlcore.service import comparisons, plans, views

REFRESH_SECONDS = 5
Section = Callable[[views.ComparisonView], None]
SECTIONS: dict[str, Section] = {
    "Learning curves": result_views.show_curves,
    "Confusion matrices": result_views.show_confusion,
    "Per class": result_views.show_classes,
    "Cost": result_views.show_cost,
    "What each strategy did": anatomy_views.show_anatomy,
    "Settings and proof": result_views.show_settings,
    "All runs": result_views.show_runs,
}


def show_state(record: ComparisonRecord) -> None:
    """What it is about, and whether it is a recording, provisional or incomplete."""
    spec = record.spec
    splits = record.dataset.splits
    st.caption(
        f"**{plain(record.dataset.name)}**: {count(record.dataset.num_images, 'image')} in "
        f"{count(record.dataset.num_classes, 'class', 'classes')} ({splits.get('train', 0):,} training, "
        f"{splits.get('val', 0):,} validation, {splits.get('test', 0):,} test) · {plain(', '.join(spec.all_models))} · "
        f"budget {spec.budget} · {count(len(spec.seeds), 'seed')}"
    )
    done = sum(run.status in ENDED for run in record.runs)
    failed = sum(run.status == "FAILED" for run in record.runs)
    if record.recorded_on:
        st.info(
            f"A recording, made on {plain(record.recorded_on)} and shipped with Transfer Lab. "
            f"{plain(listed(list(spec.models)))} is a very small network, pretrained for this demo.",
            icon="📼",
        )
    if record.status not in ENDED:
        st.warning(
            f"**Provisional**: {done} of {count(len(record.runs), 'run')} done. The page follows by itself.", icon="⏳"
        )
    if record.status == "KILLED":
        st.warning("This comparison was cancelled: not every run has a result.", icon="⏹️")
    if failed:
        st.error(f"{count(failed, 'run')} failed: see “All runs” below for the reason.", icon="❌")


def show_leaderboard(view: views.ComparisonView) -> None:
    st.subheader("Leaderboard")
    if any(row.test_accuracy is not None for row in view.rows):
        look.chart(charts.accuracy_intervals(view.rows, view.record.comparison_id, dark=look.is_dark()), "accuracy")
    look.wide_table(coloured(view), "leaderboard")
    st.markdown(plain(view.verdict.text[:1].upper() + view.verdict.text[1:]) + ".")
    show_lines(view.warnings, "⚠️")
    show_lines(view.findings, "🔍")


def show_lines(lines: list[str], icon: str) -> None:
    mark = "- " if len(lines) > 1 else ""
    if lines:
        st.warning("\n".join(f"{mark}{plain(line)}" for line in lines), icon=icon)


def coloured(view: views.ComparisonView) -> object:
    """The strategy's own colour behind its name; one digit after the point, none for counts."""
    tints = {entry.label: f"background-color: {entry.color}55" for entry in view.rows}
    styled = view.table.style.format(precision=1, na_rep="–").map(
        lambda label: tints.get(label, ""), subset=["Strategy"]
    )
    return styled.format("{:,.0f}", na_rep="–", subset=["Parameters trained"])


def sections_of(view: views.ComparisonView) -> dict[str, Section]:
    """The closer looks that this comparison has something for."""
    tuned = any(run.outcome and run.outcome.trials for run in view.record.runs)
    found = {"Sweep": anatomy_views.show_sweeps} if view.sweeps else {}
    return {**SECTIONS, **found, **({"Tuning": anatomy_views.show_tuning} if tuned else {})}


def show_results(comparison_id: str, was_active: bool) -> None:
    """Drawn again every few seconds while the comparison runs."""
    with guard():
        view = reads.comparison_view(comparison_id)
        show_state(view.record)
        show_leaderboard(view)
        sections = sections_of(view)
        section = st.segmented_control(
            "Look closer", list(sections), default=next(iter(sections)), required=True, key="show", bind="query-params"
        )
        sections[section](view)
        if was_active and view.record.status in ENDED:
            st.rerun()


def show_actions(record: ComparisonRecord) -> None:
    st.subheader("Go on")
    query = {"comparison": record.comparison_id}
    with st.container(horizontal=True, vertical_alignment="center"):
        st.page_link("pages/tryout.py", label="Try it on photos", icon="🔎", query_params=query)
        st.page_link("pages/download.py", label="Download a model", icon="📦", query_params=query)
        make = partial(comparisons.report_html, record.comparison_id)
        name = f"comparison-{record.comparison_id[:8]}.html"
        st.download_button("Report (HTML)", make, name, "text/html", icon="📄", on_click="ignore", key="report")
    if record.recorded_on:
        return
    more, command = st.columns(2, gap="large")
    with more, guard():
        add_seeds(record)
    with command:
        page = comparisons.mlflow_page(record.comparison_id)
        st.markdown(f"**The same in MLflow**: run this where the dashboard runs, then open [the comparison]({page}).")
        st.code(comparisons.mlflow_command(), language="bash", wrap_lines=True)


def add_seeds(record: ComparisonRecord) -> None:
    number = st.number_input("More seeds, to be surer", 1, 20, 2, key="more_seeds")
    if st.button("Run them too", icon="➕", key="add_seeds"):
        first = max(record.spec.seeds) + 1
        spec = record.spec.model_copy(update={"seeds": tuple(range(first, first + int(number)))})
        with st.spinner("Checking …"):
            comparisons.submit(plans.make_plan(spec), add_to=record.comparison_id)
        st.switch_page("pages/runs.py", query_params={"comparison": record.comparison_id})


def show() -> None:
    st.title("Compare")
    chosen = choose_comparison()
    record = reads.record(chosen)
    active = record.status not in ENDED
    st.fragment(show_results, run_every=REFRESH_SECONDS if active else None)(chosen, active)
    show_actions(record)


start_with_app()
with guard():
    show()

"""Sections of the Compare page on what strategies did to their networks, on sweeps of a setting, and on tuning."""

from typing import Literal

import streamlit as st

from pages.shared import look
from pages.shared.words import plain
from tlcore.analysis import charts
from tlcore.results import ComparisonRecord, RunRecord
from tlcore.service import views
from tlcore.service.views import ComparisonView, anatomy, trial_rows, tuning_words

BEST = "best seed of each strategy"
X_AXES: dict[str, Literal["step", "epoch"]] = {"steps": "step", "epochs": "epoch"}


def show_anatomy(view: ComparisonView) -> None:
    """What trained when, how far it moved, and at which learning rates."""
    subjects = anatomy.subjects_of(view.record, _chosen_runs(view.record))
    if not subjects:
        st.info("No run has finished yet.", icon="⏳")
        return
    st.caption(plain(f"{anatomy.GROUP_HELP} {anatomy.MOVED_HELP}"))
    missing = anatomy.not_recorded(subjects)
    if missing:
        st.info(plain(missing), icon="ℹ️")
    known = anatomy.recorded(subjects)
    if known:
        st.markdown("**Which network is described**")
        st.markdown("\n".join(f"- {plain(line)}" for line in anatomy.kept_lines(known)))
    model = subjects[0].run.spec.model
    if known:
        for figure, key, by_phase in (
            (charts.trained_chart(known, dark=look.is_dark()), f"trained_{model}", True),
            (charts.movement_chart(known, dark=look.is_dark()), f"moved_{model}", False),
        ):
            look.chart(figure, key, min_width=charts.chart_width(known, by_phase))
    if any(point.learning_rates for subject in subjects for point in subject.run.history):
        x = st.segmented_control(
            "Time in", list(X_AXES), default="steps", required=True, key="rates_x", bind="query-params"
        )
        look.chart(
            charts.learning_rates(subjects, X_AXES[x], dark=look.is_dark()), f"rates_{model}_{x}", min_width=charts.WIDE
        )
    if known:
        st.markdown("**Phases in words**")
        look.words_table(anatomy.phase_rows(known), "phases")
        st.caption("Frozen part: a fingerprint of everything frozen, taken before and after the phase.")


def show_sweeps(view: ComparisonView) -> None:
    """One figure and table for each setting that was swept."""
    for number, sweep in enumerate(view.sweeps):
        look.chart(charts.sweep_chart(sweep, dark=look.is_dark()), f"sweep_{number}", min_width=charts.WIDE)
        look.table(charts.sweep_rows(sweep))


def show_tuning(view: ComparisonView) -> None:
    """Every trial of every finished run."""
    runs = views.finished_runs(view.record)
    look.words_table(trial_rows(runs, view.record), "trials")
    st.caption(tuning_words(runs))


def _chosen_runs(record: ComparisonRecord) -> list[RunRecord]:
    """Runs of one model: the best seed of each strategy, or one seed of all."""
    models = list(dict.fromkeys(run.spec.model for run in views.champions(record)))
    seeds = [f"seed {seed}" for seed in record.spec.seeds]
    if not models:
        return []
    with st.container(horizontal=True):
        model = st.selectbox("Model", models, key="anatomy_model") if len(models) > 1 else models[0]
        chosen = st.selectbox("Runs", [BEST, *seeds], key="anatomy_runs") if len(seeds) > 1 else BEST
    seed = None if chosen == BEST else int(chosen.removeprefix("seed "))
    return [run for run in views.champions(record, seed) if run.spec.model == model]

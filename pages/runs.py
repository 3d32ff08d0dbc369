"""Runs: the queue and the live progress of a comparison."""

from collections import Counter

import streamlit as st

from pages.shared import look, reads
from pages.shared.choose import RECENT, choose_comparison, comparison_name, show_next
from pages.shared.navigation import start_with_app
from pages.shared.queue_view import run_name, show_jobs
from pages.shared.words import STATUS_WORDS, count, duration, guard, plain
from tlcore.analysis import charts
from tlcore.results import ENDED, STATE_WORDS, ComparisonRecord, JobView
from tlcore.service import comparisons, views

REFRESH_SECONDS = 2
IDLE_SECONDS = 5  # between looks at the queue where nothing runs: a comparison may be started elsewhere
LOG_HEIGHT = 220  # pixels
LATEST = ""  # among the choices of a log: of the run that is under way, whichever it is


def show_queue(comparison_id: str, was_active: bool) -> None:
    """What runs and waits on this machine, over all comparisons and imports: drawn again every few seconds."""
    with guard():
        active = [job for job in comparisons.all_jobs() if job.status in reads.ACTIVE and job.kind != "question"]
        running = sum(job.status == "RUNNING" for job in active)
        text = f"{running} running, {len(active) - running} waiting" if active else "nothing runs, nothing waits"
        st.caption(f"Queue of this machine, all comparisons and imports: {text}.")
        others = {job.comparison_id for job in active if job.comparison_id not in (None, comparison_id)}
        for known in reads.recent_comparisons(RECENT) if others else ():
            label, key = f"Watch {plain(comparison_name(known))}", f"watch_{known.comparison_id}"
            if known.comparison_id in others and st.button(label, key=key, icon="⏱️", type="tertiary"):
                show_next("comparison", known.comparison_id)
                st.rerun()
        if not was_active and any(job.comparison_id == comparison_id for job in active):
            st.rerun()


def show_overall(comparison_id: str, record: ComparisonRecord, jobs: list[JobView]) -> None:
    counts = Counter(run.status for run in record.runs)
    words = f"{counts['FINISHED']} of {count(len(record.runs), 'run')} finished"
    words += "".join(f", {counts[status]} {STATE_WORDS[status]}" for status in ("FAILED", "KILLED") if counts[status])
    if not reads.is_active(jobs):
        st.markdown(f"{STATUS_WORDS[record.status]} · {words}")
        return
    left = views.time_left(record, jobs)
    about = f" · {'at least' if left.is_least else 'about'} {duration(left.seconds)} left" if left else ""
    row = st.container(horizontal=True, vertical_alignment="center", gap="small")
    row.progress(views.progress(jobs), text=words + about)
    if row.button("Cancel all", key="cancel_all"):
        with guard():
            comparisons.cancel(comparison_id)


def show_log(record: ComparisonRecord) -> None:
    started = [run for run in record.runs if run.status != "SCHEDULED"]
    if not started:
        return
    names = {run.run_id: run_name(run) for run in started}
    running = [i for i, run in enumerate(started) if run.status == "RUNNING"]
    not_cancelled = [i for i, run in enumerate(started) if run.status != "KILLED"]  # else it may never have begun
    (latest,) = running[:1] or not_cancelled[-1:] or [len(started) - 1]
    words = {LATEST: f"the latest: {run_name(started[latest])}", **names}
    chosen = st.selectbox("Log of", list(words), format_func=words.__getitem__, key="log_of")
    chosen = started[latest].run_id if chosen == LATEST else chosen
    with guard(), st.container(height=LOG_HEIGHT, border=False, autoscroll=True):  # what went wrong stands at its end
        st.code(comparisons.log_tail(chosen) or "nothing was printed", language=None, wrap_lines=True)


def show_live(comparison_id: str, was_active: bool) -> None:
    """Drawn again every two seconds while something runs."""
    with guard():
        jobs = comparisons.jobs_of(comparison_id)
        record = reads.record(comparison_id)
        show_overall(comparison_id, record, jobs)
        show_jobs(jobs, record)
        if any(run.history for run in record.runs):
            look.chart(charts.live_curves(record, dark=look.is_dark()), "live_curves")
        if record.recorded_on is None:
            show_log(record)
        if was_active != is_active(jobs, record):
            st.rerun()


def is_active(jobs: list[JobView], record: ComparisonRecord) -> bool:
    return reads.is_active(jobs) or record.status not in ENDED


def show() -> None:
    st.title("Runs")
    chosen = choose_comparison()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.page_link("pages/compare.py", label="Compare the results", icon="📊", query_params={"comparison": chosen})
        st.button("Refresh", key="refresh", type="tertiary", icon="🔄")
    active = is_active(comparisons.jobs_of(chosen), reads.record(chosen))
    st.fragment(show_queue, run_every=REFRESH_SECONDS if active else IDLE_SECONDS)(chosen, active)
    st.fragment(show_live, run_every=REFRESH_SECONDS if active else None)(chosen, active)


start_with_app()
with guard():
    show()

"""Jobs as rows: what runs with its progress, what waits, what has ended."""

import streamlit as st

from pages.shared import look
from pages.shared.reads import ACTIVE
from pages.shared.words import NBSP, STATUS_WORDS, count, duration, guard, plain, when
from tlcore.results import STOPPED, ComparisonRecord, JobView, RunRecord
from tlcore.service import comparisons

SHOWN_WAITING = 6
SHOWN_RETRIES = 6  # buttons for single runs, beside the one for all of them


def show_jobs(jobs: list[JobView], record: ComparisonRecord) -> None:
    """The running and the next waiting runs, each with a button to cancel it; the ended ones as a table."""
    runs = {run.run_id: run for run in record.runs}
    active = sorted((j for j in jobs if j.status in ACTIVE), key=lambda j: j.status != "RUNNING")
    running = sum(j.status == "RUNNING" for j in active)
    shown = active[: running + SHOWN_WAITING]
    for job in shown:
        _job_row(job, runs.get(job.id), record)
    if len(active) > len(shown):
        st.caption(f"… and {count(len(active) - len(shown), 'more run', 'more runs')} waiting.")
    ended = [run for run in record.runs if run.run_id not in {j.id for j in active}]
    if ended:
        look.table([_ended_row(run) for run in ended])
        show_errors(ended)
        stopped = {job.id for job in jobs if job.status in STOPPED}
        _offer_retry([run for run in ended if run.run_id in stopped])


def _offer_retry(stopped: list[RunRecord]) -> None:
    """Buttons for runs that failed or were cancelled: what was missing, such as space on the disk, may be there now."""
    if not stopped:
        return
    st.caption(
        "A run can be tried again with the same settings: it goes on from its last checkpoint where the disk or the "
        "store was at fault, else it begins anew."
    )
    with st.container(horizontal=True):
        if len(stopped) > 1:
            _retry_button(f"Try all {len(stopped)} again", "all", stopped)
        for run in stopped[:SHOWN_RETRIES]:
            _retry_button(f"Try again: {plain(run_name(run))}", run.run_id, [run])


def _retry_button(label: str, key: str, runs: list[RunRecord]) -> None:
    if st.button(label, key=f"retry_{key}", icon="🔁"):
        with guard():
            comparisons.retry_runs([run.run_id for run in runs])
            st.rerun()


def show_errors(runs: list[RunRecord]) -> None:
    """Why runs failed, one line each."""
    for run in runs:
        if run.status == "FAILED":
            st.error(f"**{plain(run_name(run))}** failed: {plain(run.error or 'no reason was recorded')}", icon="❌")


def run_name(run: RunRecord) -> str:
    """`Fine-tuning · mobilenetv2_100 · seed 0`, with the training fraction where it is not all."""
    part = "" if run.spec.fraction == 1 else f" · {100 * run.spec.fraction:g}{NBSP}% of the training images"
    return f"{run.spec.entry.short_label} · {run.spec.model} · seed {run.spec.seed}{part}"


def _job_row(job: JobView, run: RunRecord | None, record: ComparisonRecord) -> None:
    row = st.container(horizontal=True, vertical_alignment="center", gap="small")
    color = record.spec.entry(run.spec.strategy).color if run else look.NEUTRAL
    note = f" – {job.message}" if job.message and job.status == "RUNNING" else ""
    look.bars([look.bar((run_name(run) if run else job.title) + note, job.progress, _state(job), color)], row)
    if row.button("Cancel", key=f"cancel_{job.id}", disabled=job.cancel_requested):
        with guard():
            comparisons.cancel_run(job.id)


def _state(job: JobView) -> str:
    if job.cancel_requested:
        return "stopping …"
    if job.status == "QUEUED":
        return "waiting"
    left = "" if job.eta_seconds is None else f" · {duration(job.eta_seconds)} left"
    return f"{100 * job.progress:.0f}{NBSP}%{left}"


def _ended_row(run: RunRecord) -> dict[str, object]:
    outcome = run.outcome
    return {
        "State": STATUS_WORDS[run.status],
        "Run": run_name(run),
        "Validation accuracy (%)": round(100 * outcome.val.accuracy, 1) if outcome else None,
        "Took": duration(run.total_seconds),
        "Images per second": round(outcome.images_per_second, 1) if outcome and outcome.images_per_second else None,
        "Ended": when(run.ended_ms) if run.ended_ms else "–",
        "Run id": run.run_id,
    }

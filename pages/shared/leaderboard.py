"""The top of the Compare page: what was compared, how far it is, and who wins."""

import streamlit as st

from pages.shared import look
from pages.shared.words import count, listed, plain
from tlcore.analysis import charts
from tlcore.results import ENDED, ComparisonRecord
from tlcore.service.views import ComparisonView


def show_state(record: ComparisonRecord) -> None:
    """What it is about, and whether it is a recording, provisional or incomplete."""
    spec = record.spec
    split = "" if spec.split_plan.is_fixed else f" · split {plain(spec.split)}"
    splits = record.dataset.splits
    st.caption(
        f"**{plain(record.dataset.name)}**: {count(record.dataset.num_images, 'image')} in "
        f"{count(record.dataset.num_classes, 'class', 'classes')} ({splits.get('train', 0):,} training, "
        f"{splits.get('val', 0):,} validation, {splits.get('test', 0):,} test) · {plain(', '.join(spec.all_models))} · "
        f"budget {spec.budget} · {count(len(spec.seeds), 'seed')}{split}"
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
            f"**Provisional**: {done} of {count(len(record.runs), 'run')} ended. The page follows by itself.", icon="⏳"
        )
    if record.status == "KILLED":
        st.warning("This comparison was cancelled: not every run has a result.", icon="⏹️")
    if failed:
        st.error(f"{count(failed, 'run')} failed: see “All runs” below for the reason.", icon="❌")
    if record.status in ("KILLED", "FAILED") and record.can_grow:
        query = {"comparison": record.comparison_id}
        st.page_link("pages/runs.py", label="Try these runs again", icon="🔁", query_params=query)


def show_leaderboard(view: ComparisonView) -> None:
    """Who wins, by how much and how sure that is, with what should be known before one believes it."""
    st.subheader("Leaderboard")
    if any(row.test_accuracy is not None for row in view.rows):
        figure = charts.accuracy_intervals(view.rows, view.record.comparison_id, look.is_dark(), view.floors)
        look.chart(figure, "accuracy")
    look.wide_table(_coloured(view), "leaderboard")
    for line in view.split:
        st.caption(plain(line))
    _show_lines(view.warnings, "⚠️")
    _show_lines(view.findings, "🔍")


def _show_lines(lines: list[str], icon: str) -> None:
    mark = "- " if len(lines) > 1 else ""
    if lines:
        st.warning("\n".join(f"{mark}{plain(line)}" for line in lines), icon=icon)


def _coloured(view: ComparisonView) -> object:
    """The strategy's own colour behind its name; one digit after the point, none for counts."""
    tints = {entry.label: f"background-color: {entry.color}55" for entry in view.rows}
    styled = view.table.style.format(precision=1, na_rep="–").map(
        lambda label: tints.get(label, ""), subset=["Strategy"]
    )
    gap = "Train − validation (points)"
    styled = styled.format(lambda points: f"{points:.1f}".replace("-", "−"), na_rep="–", subset=[gap])
    return styled.format("{:,.0f}", na_rep="–", subset=["Parameters trained"])

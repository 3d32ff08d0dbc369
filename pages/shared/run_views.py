"""Sections of the Compare page on the runs themselves: their cost, settings, proofs and states."""

from typing import Any

import streamlit as st

from pages.shared import closer_views, look
from pages.shared.gather_view import show_gather
from pages.shared.queue_view import run_name, show_errors
from pages.shared.words import STATUS_WORDS, duration, percent, plain, size
from tlcore.results import WeightsMatch
from tlcore.service import insights
from tlcore.service.views import ComparisonView


def show_cost(view: ComparisonView) -> None:
    if not any(row.train_seconds is not None for row in view.rows):
        st.info("No run has finished yet.", icon="⏳")
        return
    closer_views.show_front(view)
    rows = [
        {
            **({"Model": row.model_name} if len({r.model_name for r in view.rows}) > 1 else {}),
            "Strategy": row.short_label,
            **({"Training images": percent(row.fraction)} if len(view.record.spec.fractions) > 1 else {}),
            "Training time per run": duration(row.train_seconds),
            "Whole run": duration(row.total_seconds),
            "Images per second": _rounded(row.images_per_second, 0),
            "Peak memory": "–" if row.peak_memory_bytes is None else size(row.peak_memory_bytes),
            "Answer for one image (ms)": _rounded(row.latency_ms, 1),
            "Model file": "–" if row.model_bytes is None else size(row.model_bytes),
            "Parameters": row.num_parameters,
            "Parameters trained": row.num_trainable_parameters,
        }
        for row in view.rows
    ]
    look.words_table(rows, "cost")  # its headings wrap, so that all columns are seen
    st.caption(insights.COSTS_EXPLAINED)
    closer_views.show_time_budget(view)
    closer_views.show_time_parts(view)


def show_settings(view: ComparisonView) -> None:
    st.markdown("**What differs between the runs**, besides model, strategy, seed and part of the training images:")
    lines = [f"- {plain(line)}" for line in view.differences] or ["- nothing"]
    st.markdown("\n".join(lines))
    st.markdown(
        "**Proof that frozen was frozen**", help="A fingerprint of all frozen weights and statistics, before and after."
    )
    proofs = [
        _proof(run_name(run), state) for run in view.record.runs if run.outcome for state in run.outcome.frozen_states
    ]
    if proofs:
        look.table(proofs)
    else:
        st.caption("No finished run froze anything.")
    used = [run.resolved for run in view.record.runs if run.resolved]
    for reason in dict.fromkeys(f"{r.device}, {r.dtype}: {r.device_reason}" for r in used):
        st.caption(f"Device {plain(reason)}")
    if view.notes:
        st.markdown("**What runs noted**")
        st.markdown("\n".join(f"- {plain(note)}" for note in view.notes))
    matches = {(run.spec.model, run.resolved.weights) for run in view.record.runs if run.resolved}
    rows = [_match(model, match) for model, match in sorted(matches, key=str) if match is not None]
    if rows:
        st.markdown("**What the weights files had**", help="Tensors of the network without its head.")
        look.table(rows)


def show_runs(view: ComparisonView) -> None:
    rows = [
        {
            "State": STATUS_WORDS[run.status],
            "Run": run_name(run),
            "Test accuracy (%)": round(100 * run.outcome.test.accuracy, 1) if run.outcome else None,
            "Validation accuracy (%)": round(100 * run.outcome.val.accuracy, 1) if run.outcome else None,
            "Training accuracy (%)": round(100 * run.outcome.train.accuracy, 1) if run.outcome else None,
            "Best epoch": round(run.outcome.best_epoch, 1) if run.outcome else None,
            "Run id": run.run_id,
        }
        for run in view.record.runs
    ]
    look.table(rows)
    show_errors(list(view.record.runs))
    show_gather(view)


def _rounded(value: float | None, digits: int) -> float | None:
    """To what two measurements would agree on."""
    return None if value is None else round(value, digits)


def _match(model: str, match: WeightsMatch) -> dict[str, object]:
    return {
        "Model": model,
        "File": match.source,
        "Matched": match.matched,
        "Missing": match.missing,
        "Other shape": match.other_shape,
        "Not of this network": match.unknown,
        "Such as": ", ".join(match.examples) or "–",
    }


def _proof(name: str, state: Any) -> dict[str, object]:
    return {
        "Run": name,
        "Phase": state.phase + 1,
        "Frozen tensors": state.num_tensors,
        "Before": state.before[:16],
        "After": state.after[:16],
        "Result": "✅ unchanged" if state.unchanged else "❌ CHANGED",
    }

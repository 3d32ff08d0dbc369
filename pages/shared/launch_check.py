"""The end of the Launch form: how many runs, whether they can be made, and how long they take."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from pages.shared.reads import home_key
from pages.shared.words import count, duration, guard, listed, plain
from tlcore.service import checks, estimate, plans
from tlcore.spec import ComparisonSpec


def check(spec: ComparisonSpec) -> tuple[plans.Plan | None, list[str]]:
    """The plan, or every problem; kept for five minutes."""
    return _checked_plan(home_key(), spec.model_dump_json())


def show_check(spec: ComparisonSpec) -> plans.Plan | None:
    """The plan, with its estimate; or every problem, one line each."""
    plan, problems = check(spec)
    for problem in problems:
        st.error(plain(problem), icon="⚠️")
    if plan is None:
        return None
    st.success(
        f"Ready: {count(len(plan.runs), 'run')} on {plain(plan.device)} ({plain(plan.device_reason)}).", icon="✅"
    )
    with guard(), st.spinner("Measuring this machine's speed …"):
        found = estimate.estimate(plan)
        st.session_state.setdefault("estimates", {})[spec.model_dump_json()] = found.seconds
        each = [f"{spec.entry(s).short_label} {duration(seconds)}" for s, seconds in found.per_strategy.items()]
        st.markdown(
            f"**About {duration(found.seconds)} in all**, one run after another. A run takes about: {listed(each)}."
        )
        st.caption("Reading the images for the first time is not in it.")
    return plan


def show_size(line: st.delta_generator.DeltaGenerator, spec: ComparisonSpec) -> None:
    """How many runs, and how long they take where that was measured before for the same settings."""
    known = st.session_state.get("estimates", {}).get(spec.model_dump_json())
    takes = f"About **{duration(known)}** in all." if known else "Press Check for an estimate of the time."
    line.markdown(f"This makes **{count(len(spec.runs()), 'run')}**: {_product(spec)}. {takes}")


def _product(spec: ComparisonSpec) -> str:
    """`1 model × 5 strategies × 3 seeds`."""
    grid: list[tuple[Sequence[Any], str, str]] = [
        (spec.models, "model", "models"),
        (spec.strategies, "strategy", "strategies"),
    ]
    if spec.scratch_model is not None:
        grid = [(spec.cells(), "pair of model and strategy", "pairs of model and strategy")]
    grid.append((spec.seeds, "seed", "seeds"))
    grid += [(spec.fractions, "fraction", "fractions")] if len(spec.fractions) > 1 else []
    return " × ".join(count(len(values), one, many) for values, one, many in grid)


@st.cache_data(ttl=300, max_entries=16, show_spinner="Checking models, weights, splits and device …")
def _checked_plan(home: str, spec_json: str) -> tuple[plans.Plan | None, list[str]]:
    return checks.check(ComparisonSpec.model_validate_json(spec_json))

"""Launch: dataset, models, strategies, seeds, budget and device; checked, counted, estimated, then queued."""

from typing import Any

import streamlit as st

from pages.shared import budget_form, choose, launch_check, model_form, more_form, reads, split_form, strategy_form
from pages.shared.navigation import start_with_app
from pages.shared.recipe_form import recipe_fields
from pages.shared.words import count, guard, plain
from tlcore.recipes import DataFacts
from tlcore.service import comparisons, datasets, models, plans
from tlcore.service.datasets import DatasetInfo
from tlcore.spec import ComparisonSpec, checked, content_fingerprint
from tlcore.strategies import split_reference


def choose_dataset() -> DatasetInfo | None:
    st.subheader("1 · Images")
    info = choose.choose_dataset()
    if info is None:
        return None
    size = f"{count(info.num_images, 'image')}, {count(len(info.classes), 'class', 'classes')}"
    st.caption(f"{size}.")
    return info


def fill_form(info: DatasetInfo) -> ComparisonSpec:
    """The whole form as a spec. Raises: SpecError, SplitError."""
    plan = split_form.choose_split(info)
    st.subheader("2 · Models and their pretrained weights")
    values: dict[str, Any] = {"split": str(plan), "models": model_form.choose_models()}
    values["weights"] = model_form.choose_weights(values["models"])
    st.subheader("3 · Strategies")
    values["strategies"] = strategy_form.choose_strategies(values["models"])
    st.subheader("4 · Budget, seeds and device")
    left, middle, right = st.columns(3, gap="medium")
    with left:
        values |= budget_form.choose_budget(info, plan)
    with middle:
        values["seeds"] = split_form.choose_seeds(plan)
        values["fractions"] = budget_form.choose_fractions()
    with right:
        values |= budget_form.choose_machine()
    values |= more_form.choose_more(values["strategies"])
    values["title"] = st.text_input(
        "Title (optional)", key="title", max_chars=100, placeholder=info.name, persist_state="session"
    )
    spec = plans.make_spec(info, **values)
    if st.toggle("Advanced: change the recipes", key="advanced", persist_state="session"):
        spec = checked(ComparisonSpec, **{**spec.model_dump(), "overrides": choose_overrides(info, spec)})
    return spec


def choose_overrides(info: DatasetInfo, spec: ComparisonSpec) -> dict[str, dict[str, Any]]:
    """Own values per strategy; the defaults shown are those of the first model."""
    st.caption(
        f"Defaults for {plain(spec.models[0])} on this dataset. What you change holds for every model, and for every "
        f"phase unless you choose one. Only settings that do something are offered."
    )
    data = DataFacts(num_train=datasets.split_sizes(info.id, plan=spec.split)["train"], short_side=info.short_side)
    first = [run for run in spec.runs() if run.model in (spec.models[0], spec.scratch_model)]
    runs = {split_reference(run.strategy)[0]: run for run in first}
    changed: dict[str, dict[str, Any]] = {}
    for name, run in runs.items():
        with guard(), st.spinner("Looking up the model …"):
            facts = models.model_facts(run.model)
            changed[name] = recipe_fields(spec.entry(name), plans.recipe_of(run, data, facts), facts)
    return {name: values for name, values in changed.items() if values}


def show_launch(spec: ComparisonSpec) -> None:
    st.subheader("5 · Check and launch")
    line = st.empty()
    mark = content_fingerprint(spec.model_dump(mode="json"))
    with st.container(horizontal=True):
        if st.button("Check", icon="🔍", key="check"):
            st.session_state["checked_spec"] = mark
        launching = st.button("Launch", type="primary", icon="🚀", key="launch")
    launch_check.show_size(line, spec)
    if st.session_state.get("checked_spec") != mark and not launching:
        return
    plan, problems = (launch_check.show_check(spec), []) if not launching else launch_check.check(spec)
    launch_check.show_size(line, spec)
    for problem in problems:
        st.error(plain(problem), icon="⚠️")
    if launching and plan is not None:
        comparison_id = comparisons.submit(plan)
        st.switch_page("pages/runs.py", query_params={"comparison": comparison_id})


def show() -> None:
    reads.look_ahead()
    st.title("Launch a comparison")
    info = choose_dataset()
    if info is not None:
        spec = fill_form(info)
        reads.warm_up()
        show_launch(spec)


start_with_app()
with guard():
    show()

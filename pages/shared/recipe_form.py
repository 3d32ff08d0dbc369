"""Advanced settings: every field of a strategy's recipe that does something, with the default that it would get."""

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import streamlit as st
from pydantic.fields import FieldInfo

from pages.shared.own_form import KEEP
from pages.shared.words import plain
from tlcore.recipes import (
    FitRecipe,
    ModelFacts,
    NetworkRecipe,
    Recipe,
    TrainRecipe,
    by_phase,
    network_settings,
    why_idle,
)
from tlcore.recipes.words import GROUPS, NETWORK, VALUES, SettingWords
from tlcore.strategies import Fit, Phase, Strategy, Train

Part = FitRecipe | TrainRecipe


def recipe_fields(entry: Strategy, recipe: Recipe, facts: ModelFacts) -> dict[str, Any]:
    """A widget for each setting that does something; only what was changed comes back, `N.NAME` for one phase.

    recipe: with the defaults that are shown.
    """
    parts = by_phase(entry, recipe)
    everything = [part for phase in parts for part in phase]
    with st.expander(plain(entry.label)):
        if len(parts) == 1:
            return _given(entry, recipe, everything, facts, "")
        titles = [f"Phase {number}: {_title(phase)}" for number, phase in enumerate(entry.phases, 1)]
        tabs = st.tabs(["All phases", *titles])
        with tabs[0]:
            values = _given(entry, recipe, everything, facts, "")
        for number, (tab, phase) in enumerate(zip(tabs[1:], parts, strict=True), 1):
            with tab:
                values |= _given(entry, recipe, phase, facts, f"{number}.")
    return values


def _given(entry: Strategy, recipe: Recipe, parts: list[Part], facts: ModelFacts, prefix: str) -> dict[str, Any]:
    """The values that were changed in one set of widgets. prefix: `N.` for phase N, empty for all phases."""
    now = [_as_chosen(part, f"set_{entry.id}_", prefix) for part in parts]
    given: dict[str, Any] = {}
    for title, group in GROUPS.items():
        fields = dict(_offered(entry, group, now, facts, prefix))
        if not fields:
            continue
        st.markdown(f"**{title}**")
        with st.grid(3, min_column_width=220, vertical_alignment="bottom"):
            sources: list[Any] = [recipe.network] if title == NETWORK else parts
            for name, field in fields.items():
                key = f"set_{entry.id}_{prefix}{name}"
                given[prefix + name] = _widget(name, group[name], field, _default(sources, name), key, facts)
    return {name: value for name, value in given.items() if value is not None}


def _offered(
    entry: Strategy, group: dict[str, SettingWords], parts: list[Part], facts: ModelFacts, prefix: str
) -> Iterator[tuple[str, FieldInfo]]:
    """The fields of a group that do something in one of these phases; those of the network hold for all."""
    network = [] if prefix else network_settings(entry, facts)
    for name in group:
        if name in network:
            yield name, NetworkRecipe.model_fields[name]
        useful = [part for part in parts if why_idle(name, part, facts) is None]
        if useful:
            yield name, type(useful[0]).model_fields[name]


def _as_chosen(part: Part, start: str, prefix: str) -> Part:
    """The phase with the switches as they stand now, since they decide what else does something."""
    switches: dict[str, Any] = {}
    for name in ("classifier", "optimizer", "momentum", "weight_decay"):
        for key in (start + name, start + prefix + name):
            value = st.session_state.get(key)
            if value is not None and name in type(part).model_fields:
                switches[name] = value
    return part.model_copy(update=switches)


def _widget(name: str, words: SettingWords, field: FieldInfo, default: str, key: str, facts: ModelFacts) -> Any:
    kind = field.annotation
    choices = [True, False] if kind is bool else list(get_args(kind)) if get_origin(kind) is Literal else None
    if name == "cut_at":
        choices = list(range(1, facts.num_groups + 1))
    if name == "layers":
        choices = ["last_conv", *map(str, range(1, facts.num_groups + 1))]
    if choices:
        named: dict[Any, str] = {None: f"default: {default}", **VALUES}
        groups = {str(number): _group(number, facts) for number in range(1, facts.num_groups + 1)}
        return st.selectbox(
            words.label, [None, *choices], key=key, help=words.help, accept_new_options=name == "layers",
            format_func=lambda v: groups[str(v)] if str(v) in groups else named.get(v, str(v)),
            **KEEP,
        )  # fmt: skip
    return st.number_input(
        words.label, value=None, step=1 if kind is int else None, format="%d" if kind is int else "%g", key=key,
        help=words.help, placeholder=f"default: {default}", **KEEP,
    )  # fmt: skip


def _group(number: int, facts: ModelFacts) -> str:
    """`3 · blocks.2`, counted from the input."""
    return f"{number} · {facts.group_names[number - 1]}" if facts.group_names else str(number)


def _default(sources: list[Any], name: str) -> str:
    """The resolved value, or one for each phase where they differ: `0.01, then 0.001`."""
    values = [getattr(source, name) for source in sources if hasattr(source, name)]
    shown = [
        f"{v:.4g}" if isinstance(v, int | float) and not isinstance(v, bool) else VALUES.get(v, str(v)) for v in values
    ]
    return ", then ".join(dict.fromkeys("not cut" if said == "None" else said for said in shown))


def _title(phase: Phase) -> str:
    if isinstance(phase, Fit):
        return "fit the head"
    return f"train {phase.trainable}" if isinstance(phase, Train) else "unfreeze"

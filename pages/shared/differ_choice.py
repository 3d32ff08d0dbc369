"""What “Where they differ” and “Calibration” are about: model, training data, seed, and the two strategies A and B."""

from dataclasses import dataclass

import streamlit as st

from pages.shared.words import plain
from tlcore.results import ComparisonRecord
from tlcore.service.differing import Group, pairs

EVERY_MODEL = "all models"
ALL_SEEDS = "all together"


@dataclass(frozen=True)
class Chosen:
    """groups: of the chosen model and part of the training data, by name, the best first. seed: None for all.

    a, b: names of the two strategies, where they were asked for and there are two.
    """

    groups: dict[str, Group]
    seed: int | None
    a: str = ""
    b: str = ""


def choose(record: ComparisonRecord, with_pair: bool) -> Chosen:
    """Boxes in a row for whatever there are several of, kept in the URL. with_pair: A and B too."""
    models = pairs.models_to_choose(record)
    fractions = {f"{100 * group.fraction:g} %": group.fraction for group in pairs.ranked_groups(record)}
    with st.container(horizontal=True):
        model = models[0] if models else None
        if len(models) > 1:
            picked = st.selectbox("Model", [*models, EVERY_MODEL], key="of_model", bind="query-params", width=260)
            model = None if picked == EVERY_MODEL else picked
        fraction = next(iter(fractions.values()), 1.0)
        if len(fractions) > 1:
            part = st.selectbox("Training images", list(fractions), key="of_part", bind="query-params", width=160)
            fraction = fractions[part]
        among = pairs.groups_to_choose(record, model, fraction)
        groups = {pairs.name_of(group, among): group for group in among}
        names = list(groups)
        a, b = "", ""
        if with_pair and len(names) > 1:
            help_ = "A and B start as the best and the runner-up by mean test accuracy."
            a = st.selectbox("Strategy A", names, key="of_a", bind="query-params", width=300, help=help_)
            b = st.selectbox("Strategy B", names, index=1, key="of_b", bind="query-params", width=300)
        return Chosen(groups, _seed(record), a, b)


def pair_of(chosen: Chosen) -> pairs.Pair | None:
    """A and B; None, said in words, where there are no two with results of the same seed."""
    if not chosen.a:
        st.info("Fewer than two strategies have results here: there is nothing to compare yet.", icon="⏳")
        return None
    if chosen.a == chosen.b:
        st.info("A and B are the same: choose two that differ.", icon="↔️")
        return None
    groups = chosen.groups
    pair = pairs.pair_of(groups[chosen.a], groups[chosen.b], list(groups.values()), chosen.seed)
    if not pair.runs:
        said = "the same seed" if chosen.seed is None else f"seed {chosen.seed}"
        st.info(f"{plain(chosen.a)} and {plain(chosen.b)} have no results with {said} yet.", icon="⏳")
        return None
    return pair


def _seed(record: ComparisonRecord) -> int | None:
    seeds = {f"seed {number}": number for number in record.spec.seeds}
    if len(seeds) < 2:
        return None
    said = st.selectbox("Seeds", [ALL_SEEDS, *seeds], key="of_seed", bind="query-params", width=160)
    return seeds.get(said)

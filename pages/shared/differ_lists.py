"""Parts of “Where they differ”: images that one strategy alone gets right, and agreement of all of them."""

from collections.abc import Sequence
from typing import Literal

import pandas as pd
import streamlit as st

from pages.shared import look, reads
from pages.shared.answer_cards import show_images
from pages.shared.differ_choice import Chosen
from pages.shared.words import count, plain
from tlcore.analysis import charts
from tlcore.results import RunRecord
from tlcore.service import differing
from tlcore.service.differing import disagreement, pairs
from tlcore.service.views import ComparisonView

SIDES: dict[str, Literal["first", "second"]] = {"A right, B wrong": "first", "B right, A wrong": "second"}
ORDERS: dict[str, disagreement.Order] = {"disagreement": "disagreement", "mean loss": "loss"}


def show_one_right(view: ComparisonView, pair: pairs.Pair) -> None:
    """Who was right alone, in numbers and in pictures, both ways."""
    table = disagreement.one_right(pair, differing.predictions(view.record))
    sums = disagreement.overlap(table, len(pair.runs))
    named = {"Both right": sums.both, "A right, B wrong": sums.only_first}
    named |= {"B right, A wrong": sums.only_second, "Both wrong": sums.neither}
    with st.container(horizontal=True):
        for name, images in named.items():
            st.metric(name, f"{images:,.0f}" if images.is_integer() else f"{images:,.1f}", width=150)
    st.caption(f"Test images of one seed{f', mean of {pair.seed_words}' if len(pair.runs) > 1 else ''}.")
    side = st.segmented_control(
        "Show images with", list(SIDES), default=next(iter(SIDES)), required=True, key="side", bind="query-params"
    )
    found = disagreement.right_alone(table, SIDES[side])
    said = f"**{count(len(found), 'image')}** with {side}"
    several = len(pair.runs) > 1
    st.markdown(f"{said} in at least one of {pair.seed_words}, most seeds first." if several else f"{said}.")
    runs = {letter: [both[place] for both in pair.runs] for place, letter in enumerate("AB")}
    column = f"only_{SIDES[side]}"
    notes = {
        row["path"]: f"{side} in {row[column]} of {count(row['seeds'], 'seed')}" for row in found.to_dict("records")
    }
    key = f"alone_{pair.first.strategy}_{pair.second.strategy}_{side}"
    show_images(view.record, runs, list(found["path"]), key, notes if several else None)


def show_agreement(view: ComparisonView, chosen: Chosen) -> None:
    """Every test image by how far all runs agree on it."""
    runs = {name: [r for r in g.finished if chosen.seed in {None, r.spec.seed}] for name, g in chosen.groups.items()}
    runs = {name: own for name, own in runs.items() if own}
    ids = tuple(run.run_id for own in runs.values() for run in own)
    if not ids:
        st.info("No run has finished yet.", icon="⏳")
        return
    table = _agreement(reads.home_key(), ids, view, [run for own in runs.values() for run in own])
    st.caption(f"{count(len(ids), 'run')} of {count(len(runs), 'strategy', 'strategies')}: {plain(', '.join(runs))}.")
    revision = f"agreement-{view.record.comparison_id}-{len(ids)}"
    look.chart(charts.agreement_chart(table, revision, look.is_dark()), "agreement")
    order = st.segmented_control(
        "Most of", list(ORDERS), default=next(iter(ORDERS)), required=True, key="order", bind="query-params",
        help="Disagreement: entropy of the answers, 0 where all runs say the same. Loss: −ln of the probability that "
        "a run gives the true class, mean over the runs that tell probabilities.",
    )  # fmt: skip
    if ORDERS[order] == "loss" and table["loss"].isna().all():
        st.info("None of these runs tells probabilities, so there is no loss to sort by.", icon="ℹ️")
        return
    found = disagreement.in_order(table, ORDERS[order])
    show_images(
        view.record, runs, list(found["path"]), f"agreement_{order}", _notes(found, view.record.dataset.classes)
    )


def _notes(found: pd.DataFrame, classes: Sequence[str]) -> dict[str, str]:
    return {
        row["Image"]: f"{row['Runs right']} runs right; {count(row['Different answers'], 'answer')}, entropy "
        f"{row['Entropy of the answers (bits)']:.2f} bits"
        + ("" if row["Mean loss (nats)"] is None else f"; loss {row['Mean loss (nats)']:.2f}")
        for row in disagreement.agreement_rows(found, classes, len(found))
    }


@st.cache_data(ttl=600, max_entries=16, show_spinner="Comparing answers …")
def _agreement(home: str, run_ids: tuple[str, ...], _view: ComparisonView, _runs: list[RunRecord]) -> pd.DataFrame:
    return disagreement.agreement(_runs, differing.predictions(_view.record))

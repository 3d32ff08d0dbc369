"""“Where they differ”, a section of the Compare page: two strategies image by image, and all of them."""

from collections.abc import Callable

import streamlit as st

from pages.shared import differ_cells, differ_lists
from pages.shared.differ_choice import choose, pair_of
from pages.shared.words import guard, plain
from tlcore.service.differing import pairs
from tlcore.service.views import ComparisonView

Part = Callable[[ComparisonView, pairs.Pair], None]
PARTS: dict[str, Part] = {
    "Confusions": differ_cells.show_cells,
    "Class by class": differ_cells.show_changes,
    "One right, one wrong": differ_lists.show_one_right,
}
ALL = "All strategies"


@st.fragment
def show_differ(view: ComparisonView) -> None:
    """A, B and which of their differences; all in the URL."""
    with guard():
        part = st.segmented_control(
            "Difference in", [*PARTS, ALL], default=next(iter(PARTS)), required=True, key="differ", bind="query-params"
        )
        chosen = choose(view.record, with_pair=part != ALL)
        if part == ALL:
            differ_lists.show_agreement(view, chosen)
            return
        pair = pair_of(chosen)
        if pair is not None:
            st.caption(_about(view, pair))
            PARTS[part](view, pair)


def _about(view: ComparisonView, pair: pairs.Pair) -> str:
    """What is counted."""
    plan = view.record.spec.split_plan
    seeds = ", ".join(str(seed) for seed in pair.seeds)
    own = "" if plan.is_fixed else " Each seed has its own test images."
    said = f"A is {pair.names[0]}, B is {pair.names[1]}. Test images only; seeds that both have finished: "
    said += f"{seeds}.{own}"
    for letter, group in zip("AB", (pair.first, pair.second), strict=True):
        said += f" {letter} ran on {group.model_name}." if group.other_network else ""
    return plain(said)

"""Parts of “Where they differ”: confusions, with the pictures of a chosen cell, and the change of each class."""

from functools import partial
from typing import Literal

import streamlit as st

from pages.shared import look
from pages.shared.answer_cards import show_images
from pages.shared.words import count, plain
from tlcore.analysis import charts
from tlcore.service import differing
from tlcore.service.differing import answers, changes, pairs
from tlcore.service.views import ComparisonView

PAIR_WIDTH = 760  # pixels of two matrices
WHO = {"A or B": "either", "A": "first", "B": "second"}


def show_cells(view: ComparisonView, pair: pairs.Pair) -> None:
    """Both matrices and their difference, then the images of a cell."""
    dark, classes = look.is_dark(), view.record.dataset.classes
    key = f"{pair.first.strategy}_{pair.second.strategy}"
    small = len(classes) <= charts.COMPACT
    figures = (
        (charts.confusion_pair(view.record, pair, dark), f"pair_{key}", PAIR_WIDTH),
        (
            charts.confusion_difference(view.record, pair, dark),
            f"difference_{key}",
            charts.difference_width(view.record),
        ),
    )
    stretch: int | Literal["stretch"] = "stretch"
    with st.container(horizontal=small):  # small ones beside one another, as far as they fit
        for figure, name, width in figures:
            with st.container(width=width + 20 if small else stretch):
                look.chart(figure, name, min_width=width, on_click=partial(_clicked, name, classes))
    st.markdown("**Images of a cell**: click one with a number (on a phone, tap it twice), or choose it here.")
    true, answered = pairs.largest_confusion(pair, len(classes))
    with st.container(horizontal=True):
        label = st.selectbox("True class", classes, index=true, key="cell_true", bind="query-params", width=260)
        answer = st.selectbox("Answered", classes, index=answered, key="cell_answer", bind="query-params", width=260)
        who = st.segmented_control(
            "Answered by", list(WHO), default="A or B", required=True, key="cell_of", bind="query-params"
        )
    cell = classes.index(label), classes.index(answer)
    found, asked = answers.cell_images(pair, differing.predictions(view.record), *cell, WHO[who])
    st.markdown(
        f"**{count(len(found), 'image')}** of class {plain(label)} answered with {plain(answer)} by {who}"
        + (f", {count(asked, 'time')} over {pair.seed_words}." if asked != len(found) else ".")
    )
    runs = {f"{letter}": [both[place] for both in pair.runs] for place, letter in enumerate("AB")}
    show_images(view.record, runs, list(found["path"]), f"cell_{key}_{cell}_{who}")


def show_changes(view: ComparisonView, pair: pairs.Pair) -> None:
    """The change of each class with its interval."""
    found = changes.class_changes(view.record, pair, differing.predictions(view.record))
    revision = f"changes-{view.record.comparison_id}-{pair.names}"
    key = f"changes_{pair.first.strategy}_{pair.second.strategy}"
    look.chart(charts.class_change_chart(found, pair, revision, look.is_dark()), key)
    look.table(changes.class_change_rows(found, pair.names))
    st.caption(
        "Share of each class's test images that were right (recall). The interval covers the mean change of this class "
        f"alone over {next((c.basis for c in found if c.interval), 'images')}. Among many classes some intervals leave "
        "out 0 by chance: “clear” says that the change holds at 95 % for all classes together (Holm's correction). How "
        "much seeds vary is too little known from one class, so for that all classes are taken together."
    )


def _clicked(key: str, classes: tuple[str, ...]) -> None:
    """Put the clicked cell into the boxes below."""
    points = st.session_state[key]["selection"]["points"]
    if points:
        data = points[0]["customdata"]
        st.session_state["cell_true"], st.session_state["cell_answer"] = classes[data[4]], classes[data[5]]
        st.session_state["cell_of"] = next(name for name, who in WHO.items() if who == data[3])

"""Sections of the Compare page on how well runs did: curves, confusion, classes. Each takes the whole view."""

from typing import Any, Literal

import streamlit as st

from pages.shared import look
from tlcore.analysis import charts
from tlcore.service.views import ComparisonView

X_AXES: dict[str, Literal["epoch", "images_seen", "train_seconds"]] = {
    "epochs": "epoch",
    "images seen": "images_seen",
    "seconds": "train_seconds",
}
METRICS = ("accuracy", "loss")
PARTS = {"test": "test", "validation": "val"}
CELLS = ("row-normalised", "counts")
PART_HELP = "Validation images chose the best moment of each run; test images were seen once, at the end."


def show_curves(view: ComparisonView) -> None:
    with st.container(horizontal=True):
        x = switch("Horizontal axis", tuple(X_AXES), "x")
        metric = switch("Measure", METRICS, "measure")
    if not any(run.history for run in view.record.runs):
        st.info("No run has been evaluated yet: curves appear after its first evaluation.", icon="⏳")
        return
    figure = charts.learning_curves(view.record, metric, X_AXES[x], dark=look.is_dark())
    look.chart(figure, f"curves_{metric}_{x}", min_width=charts.curves_width(view.record))


def show_confusion(view: ComparisonView) -> None:
    with st.container(horizontal=True):
        part = switch("Images of", tuple(PARTS), "part", PART_HELP)
        cells = switch("Cells", CELLS, "cells", "Row-normalised: each row in per cent of the images of its true class.")
    if not any(PARTS[part] in run.confusion for run in view.record.runs):
        st.info("No run has finished yet.", icon="⏳")
        return
    figure = charts.confusion_matrices(view.record, PARTS[part], cells == CELLS[0], dark=look.is_dark())
    look.chart(figure, f"confusion_{part}_{cells}", min_width=charts.CONFUSION_WIDTH)


def show_classes(view: ComparisonView) -> None:
    part = switch("Images of", tuple(PARTS), "part", PART_HELP)
    table = charts.per_class_table(view.record, PARTS[part])
    if table.empty:
        st.info("No run has finished yet.", icon="⏳")
        return
    look.chart(charts.per_class_chart(view.record, PARTS[part], dark=look.is_dark()), f"classes_{part}")
    look.table(table.to_dict("records"))
    st.caption(
        "Recall: part of the class's images that were found. Precision: part of the answers for this class that were "
        "right. F1: one figure for both (their harmonic mean)."
    )


def switch(label: str, options: tuple[str, ...], key: str, explained: str | None = None) -> Any:
    """One of a few, kept in the URL."""
    return st.segmented_control(
        label, options, default=options[0], required=True, key=key, bind="query-params", help=explained
    )

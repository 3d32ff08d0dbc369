"""Sections of the Compare page that answer one question each: what transfer brings, what a time buys, how much data."""

import streamlit as st

from pages.shared import look, reads
from pages.shared.result_views import X_AXES, switch
from pages.shared.words import plain
from tlcore.analysis import charts
from tlcore.service import insights
from tlcore.service.views import ComparisonView

COST_AXES: dict[str, insights.CostAxis] = {
    "training time": "train_seconds",
    "peak memory": "peak_memory_bytes",
    "parameters trained": "num_trainable_parameters",
}


def show_transfer(view: ComparisonView) -> None:
    """Start, slope and end against from scratch, and the time to an accuracy."""
    known = insights.panels(view.record)
    with st.container(horizontal=True):
        axis = switch("Horizontal axis", tuple(X_AXES), "x")
        titles = [panel.title for panel in known]
        title = st.selectbox("Shown for", titles, key="transfer_panel") if len(known) > 1 else titles[0]
    x, panel = X_AXES[axis], known[titles.index(title)]
    found = insights.transfer(view.record, x, panel)
    key = f"{x}_{panel.model}_{panel.fraction:g}"
    if found.missing:
        st.info(plain(found.missing), icon="ℹ️")
    else:
        look.chart(charts.transfer_chart(found.rows, x, dark=look.is_dark()), f"transfer_{key}")
        _lines(found.sentences)
        look.words_table(found.table, "transfer")
        st.caption(plain(insights.EXPLAINED))
    if found.reached:
        look.chart(charts.threshold_chart(found.reached, x, dark=look.is_dark()), f"reached_{key}")
        look.words_table(_as_they_are(found.reached_table), "reached")
        st.caption(plain(insights.REACHED_EXPLAINED))


def show_front(view: ComparisonView) -> None:
    """Accuracy against a cost, with the front of those that no other beats."""
    cost = COST_AXES[switch("Cost", tuple(COST_AXES), "cost")]
    left_out = insights.left_out_of(view.record, view.decision)
    figure = charts.pareto(view.rows, cost, dark=look.is_dark(), left_out=left_out, floors=view.floors)
    look.chart(figure, f"pareto_{cost}")
    said = insights.left_out_sentence(view.record, left_out)
    _lines([*insights.cost_sentences(view.rows, cost, left_out), *([said] if said else [])])


def show_time_budget(view: ComparisonView) -> None:
    """The best within a number of seconds that the viewer gives."""
    usual = insights.usual_seconds(view.record)
    if usual is None:
        return
    st.markdown("**The best within a time**")
    seconds = st.number_input(
        "Training seconds you have per run", 0.1, None, usual, key="budget_seconds", bind="query-params", format="%g"
    )
    left_out = insights.left_out_of(view.record, view.decision)
    found = insights.time_budget(view.record, seconds, left_out)
    st.markdown(plain(found.answer))
    if found.curves:
        look.chart(charts.best_by_time(found.curves, seconds, dark=look.is_dark()), "best_by_time")
    if found.summary:
        st.markdown(plain(found.summary))
        look.table(found.table)
    said = insights.left_out_sentence(view.record, left_out)
    st.caption(plain(" ".join([*([said] if said else []), insights.caution(view.record)])))


def show_time_parts(view: ComparisonView) -> None:
    """Where the time of the runs went, and what holds each strategy back."""
    found = insights.time_parts(view.record)
    if found.shares:
        look.chart(charts.time_parts_chart(found.shares, dark=look.is_dark()), "time_parts")
        _lines(found.sentences)
        with st.expander("Where the time went, in numbers"):
            for title, rows in found.tables:
                if len(found.tables) > 1:
                    st.markdown(f"**{plain(title)}**")
                look.table(rows)
        st.caption(plain(insights.TIME_EXPLAINED))


def show_data(view: ComparisonView) -> None:
    """Error by training images, where strategies cross, and what twice the images would bring."""
    found = reads.data_view(view.record)
    if not found.series:
        st.info("No run has finished yet.", icon="⏳")
        return
    look.chart(charts.data_amounts(found.series, dark=look.is_dark()), "data_amounts")
    _lines(found.sentences)
    look.table(found.table)
    st.caption(plain(insights.DATA_EXPLAINED))


def _as_they_are(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Cells such as `> 12 s`, which a table would read as Markdown."""
    return [{name: plain(str(cell)) for name, cell in row.items()} for row in rows]


def _lines(lines: list[str]) -> None:
    st.markdown("\n".join(f"- {plain(line)}" for line in lines))

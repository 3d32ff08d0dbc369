"""Which comparison or dataset a page shows: an id in the URL, so that a link shows the same to anyone."""

from collections.abc import Callable

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.shared import reads
from pages.shared.words import count, plain, when
from tlcore.errors import NotFoundError
from tlcore.results import ComparisonSummary
from tlcore.service import comparisons, datasets
from tlcore.service.datasets import DatasetInfo
from tlcore.service.recorded import RECORDED_ID
from tlcore.strategies import STRATEGIES, entry_of, split_reference

RECENT = 100


def choose_comparison() -> str:
    """The comparison of `?comparison=ID`, or the newest; a select box to take another. The recorded one is the last."""
    known = {c.comparison_id: c for c in comparisons.list_comparisons(limit=RECENT)}
    options = [*known, RECORDED_ID]

    def name(comparison_id: str) -> str:
        if comparison_id == RECORDED_ID:
            return "Recorded sample comparison"
        return comparison_name(known[comparison_id]) if comparison_id in known else comparison_id

    _refuse_unknown(options, name)
    return choose("comparison", options, name, "Comparison")


def choose_dataset() -> DatasetInfo | None:
    """The dataset of `?dataset=ID`, or the newest; None, with a link to where images are added, without any."""
    known = {info.id: info for info in datasets.list_datasets()}
    if not known:
        st.info("There is no dataset yet.", icon="🖼️")
        st.page_link("pages/datasets.py", label="Add images first", icon="➕")
        return None
    chosen = choose("dataset", list(known), lambda i: known[i].name if i in known else i, "Dataset")
    if chosen not in known:
        show_gone(chosen)
        return None
    return known[chosen]


def show_gone(dataset_id: str) -> None:
    """What stands in the place of a dataset that the address names and that is not here."""
    st.error(f"There is no dataset {plain(dataset_id)} here; it may have been deleted. Choose another one above.",
             icon="⚠️")  # fmt: skip


def _refuse_unknown(options: list[str], name: Callable[[str], str]) -> None:
    """Where the address asks for a comparison that is not here: say so, let another be chosen, and end the page."""
    wanted = st.query_params.get("comparison")
    if not wanted or wanted in options:
        return
    try:
        reads.record(wanted)
    except NotFoundError:
        st.error(f"There is no comparison {plain(wanted)}. Choose one below, or open the Home page.", icon="⚠️")
        chosen = st.selectbox("Comparison", options, index=None, format_func=name, key="instead", placeholder="choose")
        if chosen:
            st.query_params["comparison"] = chosen
            st.rerun()
        st.page_link("pages/home.py", label="Home", icon="🏠")
        st.stop()


def comparison_name(summary: ComparisonSummary) -> str:
    """`20 Nov 2026, 18:55 · flowers · 12 runs`: what tells them apart comes first, as phones cut the rest off."""
    return f"{when(summary.created_ms)} · {comparison_title(summary)} · {count(sum(summary.counts.values()), 'run')}"


def comparison_title(summary: ComparisonSummary) -> str:
    """Its title; a strategy's id at the end of one that was made for it is said by its label."""
    start, _, last = (summary.title or summary.dataset_name).rpartition(" · ")
    known = last in summary.strategies and split_reference(last)[0] in STRATEGIES
    last = entry_of(last).short_label if known else last
    return f"{start} · {last}" if start else last


def show_next(param: str, id_: str) -> None:
    """What `choose` takes in the next run of the page, which is to follow at once."""
    st.session_state[f"next_{param}"] = id_


def forget(param: str) -> None:
    """The next run chooses anew; the address, which names what is gone, counts for nothing."""
    gone = st.query_params.pop(param, None) or st.session_state.get(f"chosen_{param}")
    st.session_state.setdefault(f"left_{param}", set()).add(gone)
    st.session_state.pop(f"chosen_{param}", None)


def choose(param: str, options: list[str], name: Callable[[str], str], label: str) -> str:
    """An id from the URL's `param` (kept between pages), with a select box that changes it. options: not empty."""
    moving = f"next_{param}" in st.session_state or bool(st.session_state.get(f"left_{param}"))
    wanted = _wanted(param)
    if wanted and wanted not in options and st.query_params.get(param):
        options = [wanted, *options]
    current = wanted if wanted in options else options[0]
    key = f"choose_{param}_{current}"

    def moved() -> None:
        if st.session_state[key] != current:  # else a click from before the page moved on brought the old box back
            show_next(param, st.session_state[key])

    st.session_state[f"chosen_{param}"] = current
    if moving or st.query_params.get(param) != current:
        st.query_params[param] = current  # said again until the browser has told it
    st.selectbox(label, options, index=options.index(current), format_func=name, key=key, on_change=moved)
    return current


def _wanted(param: str) -> str | None:
    """What the page itself moved to, else what the address asks for, else what was chosen before.

    A browser tells the address that it had when something was clicked. After the page has moved on by itself, that
    may be the one it left: the new address is still under way, or was lost with a run that a click cut short. So the
    address that was left counts for nothing until the browser has told another one, left the page or gone back.
    """
    asked, chosen = st.query_params.get(param), f"chosen_{param}"
    left: set[str | None] = st.session_state.setdefault(f"left_{param}", set())
    if f"next_{param}" in st.session_state:
        st.session_state[chosen] = st.session_state.pop(f"next_{param}")
        left.add(asked)
        left.discard(st.session_state[chosen])
    elif asked and (asked not in left or _went_back()):
        left.clear()
        st.session_state[chosen] = asked
    wanted: str | None = st.session_state.get(chosen)
    return wanted


def _went_back() -> bool:
    """Whether this run comes from the browser's buttons for back and forward."""
    context = get_script_run_ctx()
    return context is not None and context.is_history_navigation

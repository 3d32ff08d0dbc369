"""Likely label errors: images that runs, which did not train on them, confidently put into another class."""

import streamlit as st

from pages.shared import reads
from pages.shared.dataset_pictures import change, edit_bar, pick
from pages.shared.words import count, guard, percent, plain
from tlcore.service import label_errors, pictures
from tlcore.service.datasets import DatasetInfo
from tlcore.service.label_errors import LabelError, LabelErrors
from tlcore.service.versions import Relabel

PER_PAGE = 24


@st.cache_data(ttl=120, max_entries=8, show_spinner="Reading what the runs predicted …")
def _found(home: str, dataset_id: str, created_ms: int) -> LabelErrors:
    return label_errors.label_errors(dataset_id)


def show_label_errors(info: DatasetInfo) -> None:
    """The likeliest first, with the class that the runs suggest, to be ticked and corrected."""
    found = _found(reads.home_key(), info.id, info.created_ms)
    if not found.judged:
        st.info("No run has judged these images yet: launch a comparison on this version first.", icon="🏷️")
        return
    st.markdown(
        f"**{count(len(found.errors), 'likely label error')}** among {count(found.judged, 'image')} that "
        f"{count(found.runs_used, 'run')} judged without having trained on them.",
        help="Confident learning: an image is listed where another class is predicted with at least the probability "
        "that this class usually gets on its own images (Northcutt et al. 2021).",
    )
    for text in found.limits:
        st.caption(plain(text))
    if found.errors:
        _show(info, found.errors)


@st.fragment
def _show(info: DatasetInfo, errors: tuple[LabelError, ...]) -> None:
    with guard():
        _show_page(info, errors, f"labels_{info.id}")


def _show_page(info: DatasetInfo, errors: tuple[LabelError, ...], key: str) -> None:
    number = st.session_state.get(f"page_{key}", 1)
    page = {error.path: error for error in errors[(number - 1) * PER_PAGE : number * PER_PAGE]}
    shown = pictures.pictures_of(info.id, page)
    ticked = pick(shown, key, {path: _words(error) for path, error in page.items()})
    if len(errors) > PER_PAGE:
        st.pagination(-(-len(errors) // PER_PAGE), key=f"page_{key}")
    if st.button("Relabel the ticked as suggested", disabled=not ticked, key=f"{key}_suggested", type="primary"):
        labels = sorted({page[path].suggested for path in ticked})
        change(info, [Relabel(paths=tuple(p for p in ticked if page[p].suggested == name), label=name)
                      for name in labels])  # fmt: skip
    edit_bar(info, ticked, key)


def _words(error: LabelError) -> str:
    return (
        f"{plain(error.given)} ({percent(error.given_probability)})  \n→ **{plain(error.suggested)}** "
        f"({percent(error.suggested_probability)})  \n{error.agreeing} of {count(error.runs, 'run')}"
    )

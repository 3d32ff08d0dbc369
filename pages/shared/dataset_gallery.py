"""The gallery of a dataset: by class, part and name, a page at a time."""

import streamlit as st

from pages.shared.dataset_pictures import PART_WORDS, edit_bar, given_parts, pick
from pages.shared.words import count, guard
from tlcore.service import pictures
from tlcore.service.datasets import DatasetInfo

PER_PAGE = 24
EVERY_CLASS = "All classes"
EVERY_PART = "All parts"


@st.fragment
def show_gallery(info: DatasetInfo) -> None:
    """Pictures to look at and to tick."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="filters"):
        label = st.selectbox("Class", [*info.classes, EVERY_CLASS], key=f"class_{info.id}", width=220)
        given = given_parts(info)
        part = EVERY_PART
        if given:
            part = st.selectbox(
                "Part", [EVERY_PART, *given], key=f"part_{info.id}", width=160,
                format_func=lambda name: PART_WORDS.get(name, name).capitalize(),
            )  # fmt: skip
        search = st.text_input("Search", key=f"search_{info.id}", width=220, placeholder="part of a name")
    wanted = (None if label == EVERY_CLASS else label, None if part == EVERY_PART else part, search)
    key = f"gallery_{info.id}_{label}_{part}_{search}"
    with guard():
        number = st.session_state.get(f"page_{key}", 1)
        page = pictures.find_pictures(info.id, *wanted, offset=(number - 1) * PER_PAGE, limit=PER_PAGE)
        st.caption(count(page.total, "picture") if page.total else "No picture has such a name.")
        ticked = pick(page.pictures, key)
        if page.total > PER_PAGE:
            st.pagination(-(-page.total // PER_PAGE), key=f"page_{key}")
        if page.pictures:
            edit_bar(info, ticked, key)

"""Datasets: add images, see what was found, look at them, remove them."""

from datetime import UTC, datetime
from pathlib import Path

import streamlit as st

from pages.shared import look
from pages.shared.choose import choose
from pages.shared.intake import LAYOUT_HELP, show_intake
from pages.shared.navigation import start_with_app
from pages.shared.words import count, guard, plain, size
from tlcore.analysis import charts
from tlcore.service import datasets
from tlcore.service.datasets import DatasetInfo

PER_PAGE = 24
MANY_CLASSES = 12


def show_facts(info: DatasetInfo) -> None:
    with st.container(horizontal=True, gap="large"):
        st.metric("Images", f"{info.num_images:,}", width="content")
        st.metric("Classes", f"{len(info.classes):,}", width="content")
        st.metric("Size", size(info.total_bytes), width="content")
        st.metric(
            "Short side",
            f"{info.short_side} px",
            width="content",
            help="Half of the images have a short side below this.",
        )
    with guard():
        st.markdown(f"**Split.** {plain(datasets.split_note(info))}")
        parts = datasets.split_sizes(info.id)
        st.markdown(
            f"Training {parts['train']:,} · validation {parts['val']:,} · test {parts['test']:,} images",
            help="Training images teach, validation images choose the best moment, test images give the final figure.",
        )
    for note in info.notes:
        st.info(plain(note), icon="ℹ️")
    added = datetime.fromtimestamp(info.created_ms / 1000, UTC)
    source = Path(info.source)  # an upload is known to its owner by its name alone
    shown = source.name if source.is_relative_to(datasets.upload_folder()) else info.source
    st.caption(f"From `{shown}`, added {added:%Y-%m-%d}. Id `{info.id}`.")


def show_classes(info: DatasetInfo) -> None:
    with st.container(height=560 if len(info.classes) > MANY_CLASSES else "content", border=False):
        look.chart(charts.class_counts(info.class_counts, dark=look.is_dark()), f"counts_{info.id}")


def show_left_out(info: DatasetInfo) -> None:
    if not info.left_out:
        st.success("Every file was used.", icon="✅")
        return
    st.subheader(f"Left out: {count(len(info.left_out), 'file')}")
    look.table([{"File": f.path, "Reason": f.reason} for f in info.left_out])


@st.fragment
def show_gallery(info: DatasetInfo) -> None:
    st.subheader("Pictures")
    label = st.selectbox("Class", [*info.classes, "All classes"], key=f"class_{info.id}")
    one = label if label in info.class_counts else None
    total = info.class_counts[one] if one else info.num_images
    pages = max(1, -(-total // PER_PAGE))
    number = st.pagination(pages, key=f"page_{info.id}_{label}") if pages > 1 else 1
    with guard(), st.spinner("Making thumbnails …"):
        pictures = datasets.gallery(info.id, one, offset=(number - 1) * PER_PAGE, limit=PER_PAGE)
        with st.grid(8, min_column_width=110):
            for picture in pictures:
                st.image(
                    picture.thumbnail, caption=None if one else plain(picture.label), width="stretch", alt=picture.path
                )


def show_delete(info: DatasetInfo) -> None:
    with st.popover("Delete this dataset", icon="🗑️"):
        st.markdown(
            f"**{plain(info.name)}**, {count(info.num_images, 'image')}, goes from the disk. Results of its runs stay."
        )
        if st.button("Yes, delete it", type="primary", key="delete_yes"):
            with guard():
                datasets.delete_dataset(info.id)
                st.query_params.pop("dataset", None)
                st.session_state.pop("chosen_dataset", None)
                st.rerun()


def show_dataset(info: DatasetInfo) -> None:
    left, right = st.columns([3, 2], gap="large")
    with left:
        show_facts(info)
        show_left_out(info)
    with right:
        show_classes(info)
    show_gallery(info)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.page_link("pages/launch.py", label="Launch a comparison on it", icon="🚀", query_params={"dataset": info.id})
        show_delete(info)


def show() -> None:
    st.title("Datasets")
    known = {info.id: info for info in datasets.list_datasets()}
    with st.expander("Add images", expanded=not known, icon="➕", key="adding"):
        form, note = st.columns([3, 2], gap="large")
        with form:
            show_intake()
        note.markdown(LAYOUT_HELP)
    if not known:
        st.info("There is no dataset yet. Add images above, or run the sample on the Home page.", icon="🖼️")
        return
    chosen = choose("dataset", list(known), lambda i: f"{known[i].name if i in known else i}", "Dataset")
    if chosen in known:
        show_dataset(known[chosen])
    elif chosen:
        datasets.get_dataset(chosen)


start_with_app()
with guard():
    show()

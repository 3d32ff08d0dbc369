"""Datasets: add images, see what was found, look at them, remove them."""

from datetime import UTC, datetime
from pathlib import Path

import streamlit as st

from pages.shared import reads
from pages.shared.choose import choose, show_gone
from pages.shared.dataset_gallery import show_gallery
from pages.shared.dataset_health import show_health
from pages.shared.dataset_labels import show_label_errors
from pages.shared.dataset_versions import show_card, show_classes_form, show_versions
from pages.shared.dataset_work import show_changes
from pages.shared.intake import LAYOUT_HELP, show_intake
from pages.shared.navigation import start_with_app
from pages.shared.words import guard, plain, size
from tlcore.errors import SplitError
from tlcore.service import datasets
from tlcore.service.datasets import DatasetInfo


@st.cache_data(max_entries=64, show_spinner=False)
def split_sizes(home: str, dataset_id: str, created_ms: int) -> dict[str, int]:
    """A version never changes, so its split can be kept."""
    return datasets.split_sizes(dataset_id)


def show_facts(info: DatasetInfo) -> None:
    with st.container(horizontal=True, gap="large", key="facts"):
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
        _show_parts(info)
    added = datetime.fromtimestamp(info.created_ms / 1000, UTC)
    source = Path(info.source)  # an upload is known to its owner by its name alone
    shown = source.name if source.is_relative_to(datasets.upload_folder()) else info.source
    st.caption(f"From `{shown}`, added {added:%Y-%m-%d}. Id `{info.id}`.")
    if info.notes:
        st.caption("\n".join(f"- {plain(note)}" for note in info.notes))


def _show_parts(info: DatasetInfo) -> None:
    try:
        parts = split_sizes(reads.home_key(), info.id, info.created_ms)
    except SplitError:
        st.markdown("This version cannot be split as it is: its health says why, and what can be done.")
        return
    st.markdown(
        f"Training {parts['train']:,} · validation {parts['val']:,} · test {parts['test']:,} images",
        help="Training images teach, validation images choose the best moment, test images give the final figure.",
    )


VIEWS = {
    "Health": show_health,
    "Pictures": show_gallery,
    "Label errors": show_label_errors,
    "Versions": show_versions,
    "Card and download": show_card,
}


def show_dataset(info: DatasetInfo) -> None:
    if st.session_state.pop("made_version", None) == info.id:
        st.success(f"This is the new version: {plain(' '.join(info.changes or info.notes))}", icon="✅")
    show_changes(info)
    show_facts(info)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.page_link("pages/launch.py", label="Launch a comparison on it", icon="🚀",
                     query_params={"dataset": info.id})  # fmt: skip
        show_classes_form(info)
    view = st.segmented_control(
        "Show", list(VIEWS), default="Health", required=True, key="dataset_view", bind="query-params",
        label_visibility="collapsed", wrap=False,
    )  # fmt: skip
    with guard():
        VIEWS[view](info)


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
    else:
        show_gone(chosen)


start_with_app()
with guard():
    show()

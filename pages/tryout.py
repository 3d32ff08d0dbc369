"""Try: drop photos, and every strategy answers side by side."""

import streamlit as st

from pages.shared import reads
from pages.shared.answers import show_answers
from pages.shared.choose import choose_comparison
from pages.shared.navigation import start_with_app
from pages.shared.queue_view import run_name
from pages.shared.words import guard, listed, plain
from tlcore.service import views

FORMATS = ["jpg", "jpeg", "png", "bmp", "gif", "webp", "tif", "tiff"]
MAX_MB = 40
MAX_PHOTOS = 12


def show() -> None:
    st.title("Try it on photos")
    comparison_id = choose_comparison()
    record = reads.record(comparison_id)
    champions = views.champions(record)
    query = {"comparison": comparison_id}
    if record.recorded_on:
        st.info("A recording keeps figures only, no trained models: run the sample here from the Home page.", icon="📼")
        return
    if not champions:
        st.info("No run of this comparison has finished yet.", icon="⏳")
        st.page_link("pages/runs.py", label="Watch it run", icon="⏳", query_params=query)
        return
    names = {run.run_id: run_name(run) for run in champions}
    with st.expander(f"Models that answer: {len(names)}"):
        chosen = st.multiselect(
            "The best seed of each strategy, by validation accuracy", list(names), default=list(names),
            format_func=names.__getitem__, key=f"answering_{comparison_id}",
        )  # fmt: skip
    st.caption(f"They know only these classes: {plain(listed(list(record.dataset.classes)))}.")
    given = st.file_uploader(
        f"Photos (at most {MAX_PHOTOS}, {MAX_MB} MB each)", type=FORMATS, accept_multiple_files=True,
        max_upload_size=MAX_MB, key="photos",
    )  # fmt: skip
    if len(given) > MAX_PHOTOS:
        st.warning(f"Only the first {MAX_PHOTOS} of {len(given)} photos are answered.", icon="🖼️")
    photos = tuple((photo.name, photo.getvalue()) for photo in given[:MAX_PHOTOS])
    if photos and chosen:
        show_answers([run for run in champions if run.run_id in chosen], photos)


start_with_app()
with guard():
    show()

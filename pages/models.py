"""Models: what is known of each, which can be used now, how fast they are here."""

from pathlib import Path
from typing import Any

import streamlit as st

from pages.shared import look, reads
from pages.shared.navigation import start_with_app
from pages.shared.words import count, guard, plain
from tlcore.analysis import charts
from tlcore.service import catalogue, model_words, models
from tlcore.service.catalogue import CatalogueEntry, Speed

COLUMNS = {
    "model": "Model", "usable_now": "Usable now", "imagenet_top1": "ImageNet top-1 (%)",
    "parameters_millions": "Parameters (millions)", "gmacs": "Work (GMACs per image)",
}  # fmt: skip
SPEEDS = {n: f"Images/s, batch {n}" for n in catalogue.SPEED_BATCHES}
MORE = {
    "note": "Remark", "input_px": "Input (px)", "file_mb": "File (MB)", "weights": "Weights", "license": "Licence",
    "plain_recipe": "Plain recipe",
}  # fmt: skip
WIDTHS = {"Model": 220, "Remark": 220, "Weights": 130}  # pixels; numbers take what is left
ORDERS = {
    "as recommended": None, "accuracy": "accuracy", "fewest parameters": "parameters", "least work": "gmacs",
    "fastest here, where measured": "speed",
}  # fmt: skip
WORDS = (
    "GMACs: 10⁹ multiply-adds. ImageNet top-1: part of ImageNet's validation pictures whose class comes first. Plain "
    "recipe: trained without label smoothing and MixUp, which suits frozen features best. –: no library says it."
)
MOST = 5_000.0  # million parameters, more than any has


def show_advice() -> None:
    for advice in catalogue.BEGINNERS:
        st.markdown(f"**{advice.word.capitalize()}:** `{advice.model}` – {plain(advice.why)}")


def choose(speeds: dict[str, Speed]) -> list[CatalogueEntry]:
    left, library, largest, order, here = st.columns([3, 2, 2, 2, 2], vertical_alignment="bottom")
    text = left.text_input("Search", key="model_text", placeholder="resnet", help="Part of a name; * stands for any.")
    kind = library.selectbox("Library", ["both", "timm", "torchvision"], key="model_library")
    limit = largest.number_input(
        "Largest (million parameters)", min_value=0.1, value=MOST, step=1.0, format="%g", key="model_most"
    )
    sort = order.selectbox("Order", list(ORDERS), key="model_order")
    usable = here.checkbox("Usable now only", key="model_usable", help="Its weights are on this machine.")
    wanted = None if kind == "both" else kind
    most = None if limit >= MOST else limit
    return catalogue.select(reads.catalogue(), text, wanted, most, usable, ORDERS[sort], speeds, models.weight_files())


def as_cells(entry: CatalogueEntry, speed: Speed | None, files: list[Path]) -> dict[str, Any]:
    row = catalogue.as_row(entry, speed, files)
    row["imagenet_top1"] = None if entry.accuracy is None else round(100 * entry.accuracy, 1)
    row["note"] = f"cannot be used: {entry.problem}" if entry.problem else entry.note
    row["plain_recipe"] = model_words.plain_in_words(entry)
    fast = {title: speed.forward.get(n) if speed else None for n, title in SPEEDS.items()}
    first, more = ({title: row[name] for name, title in part.items()} for part in (COLUMNS, MORE))
    return {**first, **fast, **more}


def show_measuring(found: list[CatalogueEntry]) -> None:
    able = [entry.model for entry in found if not entry.problem]
    if not able:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        model = st.selectbox("Measure a model on this machine", able, key="model_speed", width=420)
        if st.button("Measure speed", icon="⏱️", key="measure_speed"):
            st.session_state["measuring"] = {"model": model, "job": models.submit_speed(model)}
            st.rerun()
    if "measuring" in st.session_state:
        watch_measuring(st.session_state["measuring"])


@st.fragment(run_every=2)
def watch_measuring(asked: dict[str, str]) -> None:
    with guard():
        if models.finished_speed(asked["job"], asked["model"]) is None:
            st.info(f"Measuring {plain(asked['model'])} …", icon="⏳")
            return
        st.session_state.pop("measuring", None)
        st.rerun()
    st.session_state.pop("measuring", None)  # an error was shown: once is enough


def show() -> None:
    st.title("Models")
    show_advice()
    known = models.speeds()
    found = choose(known)
    st.caption(f"{count(len(found), 'model')}. {WORDS}")
    files = models.weight_files()
    cells = [as_cells(e, known.get(e.model), files) for e in found]
    widths = {title: st.column_config.Column(width=pixels) for title, pixels in WIDTHS.items()}
    st.dataframe(
        cells, hide_index=True, height=420, key="models_table", placeholder="–", column_config=widths
    )  # fmt: skip
    show_measuring(found)
    points = catalogue.points(found, known, files)
    if points:
        look.chart(charts.accuracy_against_work(points, dark=look.is_dark()), "accuracy_work")
    if any(point.images_per_second for point in points):
        look.chart(charts.accuracy_against_speed(points, dark=look.is_dark()), "accuracy_speed")
    st.page_link("pages/sources.py", label="Train a backbone from images of your own", icon="🧱")


start_with_app()
with guard():
    show()

"""Test images with what strategies answered: small pictures where the dataset is here, else a table."""

from collections.abc import Mapping, Sequence

import streamlit as st

from pages.shared import look
from pages.shared.words import NBSP, plain
from tlcore.results import ComparisonRecord, RunRecord
from tlcore.service import differing
from tlcore.service.differing import answers

PER_PAGE = 12
WIDTH = 180  # pixels of a card: a phone has room for two
PICTURE = 132
READ_SO = (
    "✓ right, ✗ wrong; ×2: answered so by two seeds; per cent: mean probability of that answer. “Truth”: mean "
    "probability of the true class."
)


def show_images(
    record: ComparisonRecord,
    runs: Mapping[str, Sequence[RunRecord]],
    paths: Sequence[str],
    key: str,
    notes: Mapping[str, str] | None = None,
) -> None:
    """A page of these images, in their order. runs: whose answers are told, by name. notes: a line more by path."""
    key = f"page_{key}_{len(paths)}"  # a list of another length starts at its first page
    number = st.session_state.get(key, 1)
    page = list(paths[(number - 1) * PER_PAGE : number * PER_PAGE])
    images = answers.image_answers(runs, differing.predictions(record), page, record.dataset.classes)
    small = differing.thumbnails(record, page)
    if images and not small:
        why = "A recording has no pictures" if record.recorded_on else "The dataset is not here any more"
        st.caption(f"{why}: the images are listed without them.")
        look.words_table([_row(image, (notes or {}).get(image.path)) for image in images], f"rows_{key}")
    else:
        with st.container(horizontal=True, gap="small"):
            for image in images:
                _card(image, small.get(image.path), (notes or {}).get(image.path))
    if len(paths) > PER_PAGE:
        st.pagination(-(-len(paths) // PER_PAGE), key=key)
    if images:
        st.caption(READ_SO)


def _card(image: answers.ImageAnswers, thumbnail: str | None, note: str | None) -> None:
    with st.container(width=WIDTH, border=True, gap="small"):
        if thumbnail:
            st.image(thumbnail, width=PICTURE, alt=f"{image.path}, true class {image.label}")
        lines = [f"True class **{plain(image.label)}**", *(f"{plain(g.name)}: {plain(_said(g))}" for g in image.groups)]
        st.markdown("  \n".join(lines + ([plain(note)] if note else [])))
        st.caption(plain(image.path))


def _row(image: answers.ImageAnswers, note: str | None) -> dict[str, object]:
    row: dict[str, object] = {"Image": image.path, "True class": image.label}
    row |= {group.name: _said(group) for group in image.groups}
    return {**row, "Note": note} if note else row


def _said(group: answers.GroupAnswers) -> str:
    """`✗ bees ×2 (88 %), ✓ ants ×1 (60 %); truth 24 %`."""
    said = [
        ("✓" if a.right else "✗")
        + f"{NBSP}{a.answer}"
        + (f"{NBSP}×{a.seeds}" if group.seeds > 1 else "")
        + ("" if a.probability is None else f" ({_percent(a.probability)})")
        for a in group.answers
    ]
    truth = "" if group.truth is None or group.right == group.seeds else f"; truth {_percent(group.truth)}"
    return f"{', '.join(said)}{truth}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}{NBSP}%"

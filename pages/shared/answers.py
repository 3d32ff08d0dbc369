"""Predictions on photos that a viewer dropped: every chosen run's answer, as bars."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

import streamlit as st

from pages.shared import look
from pages.shared.reads import home_key
from pages.shared.words import percent, plain
from tlcore.results import RunRecord
from tlcore.service import photos, take_home
from tlcore.service.take_home import Prediction

TOP = 3
Photo = tuple[str, bytes]


@st.cache_data(ttl=600, max_entries=16, show_spinner="Asking every model …")
def ask(home: str, run_ids: tuple[str, ...], given: tuple[Photo, ...]) -> dict[str, list[Prediction]]:
    """Each run's answers, in the order of the photos."""
    with _as_files(given) as paths:
        return take_home.predict(list(run_ids), paths)


@st.cache_data(ttl=600, max_entries=16, show_spinner="Looking at the photos …")
def check(given: tuple[Photo, ...]) -> list[photos.CheckedPhoto]:
    """Whether each photo can be read, with a small picture of it."""
    with _as_files(given) as paths:
        return photos.check_photos(paths)


def show_answers(runs: list[RunRecord], given: tuple[Photo, ...]) -> None:
    """One row per photo: the picture, then every run's answer side by side. Unreadable ones are named."""
    checked = list(zip(given, check(given), strict=True))
    for _, seen in checked:
        if seen.refused:
            st.error(plain(seen.refused), icon="🖼️")
    fine = [(photo, seen) for photo, seen in checked if not seen.refused]
    if not fine:
        return
    answers = ask(home_key(), tuple(run.run_id for run in runs), tuple(photo for photo, _ in fine))
    for index, ((name, _), seen) in enumerate(fine):
        if index:
            st.divider()
        picture, columns = st.columns([1, 5], gap="medium")
        picture.image(seen.thumbnail, caption=plain(name), width=160, alt=name)
        with columns:
            _show_row(runs, [answers[run.run_id][index] for run in runs])


def _show_row(runs: list[RunRecord], answers: list[Prediction]) -> None:
    several = len({run.spec.model for run in runs}) > 1
    with st.grid(3, min_column_width=220, gap=("small", "medium")):
        for run, answer in zip(runs, answers, strict=True):
            with st.container(gap="xsmall"):
                look.heading(run.spec.entry, run.spec.model if several else "")
                _show_bars(answer, run.spec.entry.color)


def _show_bars(answer: Prediction, color: str) -> None:
    if answer.probabilities is None:
        look.bars([look.bar(answer.predicted, 0.0, "gives no confidence", color)])
        return
    ranked = sorted(answer.probabilities.items(), key=lambda item: -item[1])[:TOP]
    look.bars([look.bar(label, share, percent(share), color) for label, share in ranked])


@contextmanager
def _as_files(given: tuple[Photo, ...]) -> Iterator[list[Path]]:
    """The photos as files, each in a folder of its own, under a name that cannot leave it."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for index, (name, data) in enumerate(given):
            path = Path(folder) / str(index) / (PurePath(name.replace("\\", "/")).name[-80:] or "photo")
            path.parent.mkdir()
            path.write_bytes(data)
            paths.append(path)
        yield paths

"""Imports under way: how far they are, and an end to them."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import streamlit as st

from pages.shared.choose import show_next
from pages.shared.reads import is_active
from pages.shared.words import guard, plain
from tlcore.errors import TlcoreError
from tlcore.results import JobView
from tlcore.service import datasets

MOST = 5  # that are watched at once


def show_imports() -> None:
    """This viewer's import until it is seen to end, and all others that wait or run."""
    mine = st.session_state.get("import_job")
    with guard():
        others = [job.id for job in datasets.open_imports() if job.id != mine]
        for job_id in [*([mine] if mine else []), *others][:MOST]:
            _watch(job_id, job_id == mine)


@contextmanager
def forgetting_ended() -> Iterator[None]:
    """Where the block ends in an error, how this viewer's last import ended is no longer told beside it."""
    try:
        yield
    except TlcoreError:
        mine = st.session_state.get("import_job")
        if mine and not is_active([datasets.import_job(mine)]):
            del st.session_state["import_job"]
        raise


def _watch(job_id: str, mine: bool) -> None:
    running = is_active([datasets.import_job(job_id)])
    st.fragment(_progress, run_every=1 if running else None)(job_id, running, mine)


def _progress(job_id: str, was_running: bool, mine: bool) -> None:
    with guard():
        job = datasets.import_job(job_id)
        if is_active([job]):
            words = by_name(job.message) or "Waiting for the import to begin …"
            show_running(job, words if mine else f"{by_name(job.title)}: {words}", datasets.cancel_import)
        else:
            if mine:
                _follow(job)
            _show_ended(job)
        if was_running and not is_active([job]):
            st.rerun()


def show_running(job: JobView, words: str, cancel: Callable[[str], None]) -> None:
    """How far a job is, and a button to end it."""
    bar, end = st.columns([5, 1], vertical_alignment="bottom")
    bar.progress(job.progress, text=plain(words))
    if end.button("Cancel", key=f"cancel_{job.id}", help="End this; nothing of it is kept.", width="stretch"):
        cancel(job.id)
        st.rerun()


def _follow(job: JobView) -> None:
    """What was added comes into view, once, even where a click cuts short the run that saw the import's end."""
    if job.status == "FINISHED" and job.result and st.session_state.get("followed_import") != job.id:
        show_next("dataset", job.result)
        st.session_state["followed_import"] = job.id


def _show_ended(job: JobView) -> None:
    if job.status == "FAILED":
        st.error(plain(by_name(job.error or "the import failed")), icon="⚠️")
    elif job.status == "FINISHED" and job.result:
        news = "".join(f"\n- {plain(by_name(line))}" for line in job.message.splitlines())
        st.success(f"The images are here.{news}", icon="✅")
    elif job.status == "CANCELLED":
        st.warning("The import was cancelled; nothing of it was kept.", icon="⏹️")


def by_name(text: str) -> str:
    """An upload by the name that its owner gave it, without the folder that it was put into."""
    return re.sub(re.escape(f"{datasets.upload_folder()}{os.sep}") + r"[0-9a-f]{16}[/\\]", "", text)

"""Adding images: an upload or a path of this server becomes an import job, watched until it ends."""

import os
import re
import secrets
import shutil
from pathlib import Path, PurePath

import streamlit as st

from pages.shared.reads import is_active
from pages.shared.words import guard, plain
from tlcore.errors import DatasetError, StorageError
from tlcore.service import datasets
from tlcore.settings import get_settings

ARCHIVES = ["zip", "tar", "gz", "tgz", "bz2", "tbz2", "xz", "txz"]
LAYOUT_HELP = (
    "**What can be added**\n"
    "- One folder per class: `ants/1.jpg`, `bees/2.jpg` …\n"
    "- The same under `train`, `val` and `test` folders, if you have a split of your own.\n"
    "- Pictures and a CSV file with the columns `path` and `label` (and `split`, if you like)."
)


def show_intake() -> None:
    """The form, and the progress of this viewer's import under it."""
    sources = ("Upload a file", "Path on the server")
    source = st.segmented_control("Where are the images?", sources, default=sources[0], required=True, key="source")
    name = st.text_input("Name (optional)", key="dataset_name", placeholder="taken from the file", max_chars=80)
    with guard():
        if source == sources[0]:
            _upload(name)
        else:
            _path(name)
    job_id = st.session_state.get("import_job")
    if job_id:
        _watch(job_id)


def _upload(name: str) -> None:
    limit = get_settings().max_upload_mb
    st.caption(
        f"A zip or tar of at most {limit} MB. Larger: a path on the server, or `python -m tlcore dataset add PATH`."
    )
    uploaded = st.file_uploader(
        "Archive of images", type=ARCHIVES, max_upload_size=limit, key=f"archive_{st.session_state.get('imports', 0)}"
    )
    if st.button("Add these images", type="primary", disabled=uploaded is None, key="add_upload") and uploaded:
        # Only the last part of a browser's file name, in a folder of its own: it may hold anything.
        given = PurePath(uploaded.name.replace("\\", "/")).name[-80:] or "archive"
        target = datasets.upload_folder() / secrets.token_hex(8) / given
        try:
            target.parent.mkdir()
            with target.open("wb") as file:
                shutil.copyfileobj(uploaded, file, 1 << 20)
        except OSError as error:
            shutil.rmtree(target.parent, ignore_errors=True)
            raise StorageError(f"cannot keep {given}: {error.strerror}; free some disk space and try again") from error
        _submit(target, name or given.split(".")[0])


def _path(name: str) -> None:
    text = st.text_input(
        "Folder, archive or CSV on the machine that runs this dashboard", key="server_path", placeholder="/data/flowers"
    )
    if st.button("Add these images", type="primary", disabled=not text.strip(), key="add_path"):
        path = Path(text.strip()).expanduser()
        if not path.exists():
            raise DatasetError(
                f"there is nothing at {path}: name a folder, archive or CSV on the machine that runs this dashboard"
            )
        _submit(path.absolute(), name or None)


def _submit(path: Path, name: str | None) -> None:
    st.session_state["import_job"] = datasets.submit_import(path, name)
    st.session_state["imports"] = st.session_state.get("imports", 0) + 1  # a new uploader lets go of the file in memory
    st.rerun()


def _watch(job_id: str) -> None:
    with guard():
        running = is_active([datasets.import_job(job_id)])
        st.fragment(_progress, run_every=1 if running else None)(job_id, running)


def _progress(job_id: str, was_running: bool) -> None:
    job = datasets.import_job(job_id)
    if job.status == "FAILED":
        st.error(plain(by_name(job.error or "the import failed")), icon="⚠️")
    elif is_active([job]):
        st.progress(job.progress, text=plain(job.message) or "Waiting for the import to begin …")
    elif job.status == "FINISHED" and job.result:
        st.success("The images are here.", icon="✅")
        if was_running:
            st.query_params["dataset"] = job.result
    elif job.status == "CANCELLED":
        st.warning("The import was cancelled; nothing of it was kept.", icon="⏹️")
    if was_running and not is_active([job]):
        st.rerun()


def by_name(text: str) -> str:
    """An upload by the name that its owner gave it, without the folder that it was put into."""
    return re.sub(re.escape(f"{datasets.upload_folder()}{os.sep}") + r"[0-9a-f]{16}[/\\]", "", text)

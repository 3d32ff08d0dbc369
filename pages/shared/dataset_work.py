"""New versions and zips under way: how far they are, an end to them, and what comes of them."""

import streamlit as st

from pages.shared.choose import show_next
from pages.shared.imports import show_running
from pages.shared.reads import is_active
from pages.shared.words import guard, plain, size
from tlcore.results import JobView
from tlcore.service import versions
from tlcore.service.datasets import DatasetInfo


def show_changes(info: DatasetInfo) -> None:
    """Versions that are made of this one, by anybody; at its end this viewer's own takes the place of the old one."""
    with guard():
        for job in versions.open_work(info.id):
            if job.kind == "version":
                _watch(job)
        mine = st.session_state.get("change_job")
        job = versions.work(mine) if mine else None
        if job and job.dataset_id == info.id and not is_active([job]):
            _show_end(job)


def show_zip(info: DatasetInfo) -> None:
    """The zip is made when it is asked for; then it can be fetched."""
    key = f"zip_job_{info.id}"
    under_way = next((job.id for job in versions.open_work(info.id) if job.kind == "zip"), None)
    job_id = st.session_state.get(key) or under_way
    job = versions.work(job_id) if job_id else None
    if job and is_active([job]):
        st.session_state[key] = job.id
        _watch(job)
        return
    if job and job.status == "FINISHED" and versions.zip_is_there(job.id):
        st.download_button(
            f"Download the zip ({size(info.total_bytes)})", data=lambda: versions.read_zip(job.id), icon="⬇️",
            file_name=f"{info.id}.zip", mime="application/zip", key=f"zip_{info.id}", type="primary",
        )  # fmt: skip
        return
    if job and job.status == "FAILED":
        st.error(plain(job.error or "the zip could not be made"), icon="⚠️")
    if st.button(f"Make a zip to download ({size(info.total_bytes)})", icon="📦", key=f"make_zip_{info.id}"):
        st.session_state[key] = versions.submit_zip(info.id)
        st.rerun()


def _watch(job: JobView) -> None:
    st.fragment(_until_over, run_every=1)(job.id)


def _until_over(job_id: str) -> None:
    with guard():
        job = versions.work(job_id)
        if not is_active([job]):
            st.rerun()
        show_running(job, f"{job.title}: {job.message}" if job.message else f"{job.title} …", versions.cancel_work)


def _show_end(job: JobView) -> None:
    if job.status == "FINISHED":
        del st.session_state["change_job"]
        show_next("dataset", str(job.result))
        st.session_state["made_version"] = job.result
        st.rerun()
    elif job.status == "FAILED":
        st.error(plain(job.error or "the new version could not be made"), icon="⚠️")
    else:
        st.warning("The new version was cancelled; nothing of it was kept.", icon="⏹️")

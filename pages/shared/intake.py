"""Adding images: an upload, a path of this server, a web address or a public set becomes an import job."""

import secrets
import shutil
from pathlib import Path, PurePath

import streamlit as st

from pages.shared.imports import forgetting_ended, show_imports
from pages.shared.words import guard, plain, size
from tlcore.errors import DatasetError, StorageError
from tlcore.service import datasets
from tlcore.settings import get_settings

ARCHIVES = ["zip", "tar", "gz", "tgz", "bz2", "tbz2", "xz", "txz"]
UPLOAD, SERVER, WEB, PUBLIC = "Upload a file", "Path on the server", "Web address", "Public set"
LAYOUT_HELP = (
    "**What can be added**\n"
    "- One folder per class: `ants/1.jpg`, `bees/2.jpg` …\n"
    "- The same under `train`, `val` and `test` folders, if you have a split of your own.\n"
    "- Pictures and a CSV file with the columns `path` and `label` (and `split`, if you like), or a `metadata.csv` "
    "or `metadata.jsonl` with `file_name` and `label`, also one in each of the `train`, `validation` and `test` "
    "folders.\n"
    "- Packed as zip or tar (also .gz, .bz2, .xz), or as a folder on the server."
)


def show_intake() -> None:
    """The form, and the progress of imports under it."""
    sources = (UPLOAD, SERVER, WEB, PUBLIC)
    source = st.segmented_control(
        "Where are the images?", sources, default=UPLOAD, required=True, key="source", wrap=True
    )
    name = st.text_input("Name (optional)", key="dataset_name", placeholder="taken from the file", max_chars=80)
    with guard(), forgetting_ended():
        {UPLOAD: _upload, SERVER: _path, WEB: _address, PUBLIC: _public_set}[source or UPLOAD](name)
    show_imports()


def _upload(name: str) -> None:
    limit = get_settings().max_upload_mb
    st.caption(
        f"A zip or tar of at most {limit} MB. Larger: a path on the server, or `python -m tlcore dataset add PATH`.",
        help="The browser's upload passes through this server's memory, which a path or an address does not. "
        "`TLCORE_MAX_UPLOAD_MB` sets the limit.",
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
        _submit(target, name or None)


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


def _address(name: str) -> None:
    text = st.text_input(
        "Address of a zip or tar", key="address", placeholder="https://example.org/flowers.zip", max_chars=2000
    )
    st.caption("The machine that runs this dashboard downloads it; no log-in, and at most "
               f"{get_settings().max_dataset_gb:g} GB.", help="`TLCORE_MAX_DATASET_GB` sets the limit.")  # fmt: skip
    if st.button("Add these images", type="primary", disabled=not text.strip(), key="add_address"):
        if not datasets.is_elsewhere(text):
            raise DatasetError(f"{text.strip()!r} is no web address: write it as https://host/path")
        _submit(text.strip(), name or None)


def _public_set(name: str) -> None:
    sets = {entry.source: entry for entry in datasets.public_sets()}
    chosen = st.selectbox(
        "A set that torchvision brings", list(sets), key="public_set",
        format_func=lambda source: f"{sets[source].name}: {sets[source].shows}",
    )  # fmt: skip
    entry = sets[chosen]
    st.caption(
        plain(
            f"{entry.num_classes} classes, {entry.num_images:,} images of {entry.pixels} px, "
            f"{size(entry.download_mb * 1e6)} to download. Licence: {entry.licence} (as far as known)."
        )
    )
    if entry.by_hand:
        st.caption(plain(f"torchvision cannot download it: get the files from {entry.by_hand} and put them into "
                         f"{get_settings().public_sets} on this machine."))  # fmt: skip
    if st.button("Add these images", type="primary", key="add_public"):
        _submit(entry.source, name or None)


def _submit(source: Path | str, name: str | None) -> None:
    st.session_state["import_job"] = datasets.submit_import(source, name)
    st.session_state["imports"] = st.session_state.get("imports", 0) + 1  # a new uploader lets go of the file in memory
    st.rerun()

"""The versions of a dataset, its card, its download, and its end."""

import streamlit as st

from pages.shared.choose import forget, show_next
from pages.shared.dataset_pictures import change
from pages.shared.dataset_work import show_zip
from pages.shared.words import count, guard, plain, size, when
from tlcore.service import datasets, versions
from tlcore.service.datasets import DatasetInfo
from tlcore.service.versions import RenameClass, Version
from tlcore.settings import get_settings

MEGABYTE = 1_000_000  # bytes


def show_versions(info: DatasetInfo) -> None:
    """Where this version comes from and what was made of it; each stays, with its runs, until it is deleted."""
    st.caption("A change makes a new version. The old one stays, and runs made with it still point to it.")
    with guard():
        for version in versions.versions_of(info.id):
            _show_version(version, here=version.id == info.id)
    _show_delete(info)


def show_classes_form(info: DatasetInfo) -> None:
    """Rename a class, or merge it into another."""
    with st.popover("Edit classes", icon="🏷️", help="Rename a class, or merge it into another."):
        old = st.selectbox("Class", info.classes, key=f"rename_{info.id}")
        new = st.text_input("New name", key=f"rename_to_{info.id}_{old}", max_chars=80).strip()
        if new in info.classes and new != old:
            st.caption(f"There is a class {plain(new)}: the two become one.")
        # Never disabled: where there is nothing to go on to behind the field, the Tab key would close all this.
        if st.button("Make a new version", key=f"rename_do_{info.id}"):
            if not new or new == old:
                st.caption("Type another name first.")
            else:
                change(info, [RenameClass(old=old, new=new)])


def show_card(info: DatasetInfo) -> None:
    """Where the images come from and what may be done with them, as a person typed it."""
    with guard():
        card = versions.read_card(info.id)
        with st.form(f"card_{info.id}", border=False):
            source = st.text_input("Source", card.source, placeholder="who took or gave these images, a link")
            licence = st.text_input("Licence", card.licence, placeholder="CC BY 4.0, internal use only, …")
            notes = st.text_area("Notes", card.notes, placeholder="how they were chosen, labelled, what they are for")
            if st.form_submit_button("Keep the card", type="primary"):
                versions.write_card(info.id, source, licence, notes)
                st.session_state.pop(f"zip_job_{info.id}", None)  # a zip that was made before has the old card
                st.toast("The card is kept.", icon="✅")
    st.caption("The card goes along in the zip.")
    _show_download(info)


def _show_version(version: Version, here: bool) -> None:
    found = version.info
    with st.container(border=True):
        if found is None:
            st.markdown(f"**Version {version.version}** was deleted. Id `{version.id}`.")
            return
        mark = " · shown here" if here else ""
        st.markdown(f"**Version {version.version}** · {plain(found.name)}{mark}")
        st.caption(
            f"{count(found.num_images, 'image')}, {count(len(found.classes), 'class', 'classes')} · "
            f"{when(found.created_ms)} · id `{found.id}`" + (f" · made from `{found.parent}`" if found.parent else "")
        )
        for sentence in found.changes:
            st.markdown(f"- {plain(sentence)}")
        if not here:
            st.button("Show this version", icon="🖼️", type="tertiary", key=f"show_{found.id}", on_click=show_next,
                      args=("dataset", found.id))  # fmt: skip


def _show_delete(info: DatasetInfo) -> None:
    if not st.toggle("Delete this version …", key=f"delete_{info.id}"):
        return
    with guard():
        freed, used = versions.freed_bytes(info.id), versions.num_comparisons(info.id)
        stay = f" Results of its runs stay, which belong to {count(used, 'comparison')}." if used else ""
        st.markdown(
            f"**{plain(info.name)}**, {count(info.num_images, 'image')}, goes from the disk and frees "
            f"{size(freed)}: files that other versions share stay.{stay or ' No comparison was made on it.'}"
        )
        if st.button("Yes, delete it", type="primary", key="delete_yes"):
            datasets.delete_dataset(info.id)
            forget("dataset")
            st.rerun()


def _show_download(info: DatasetInfo) -> None:
    """A browser's download passes through memory, so that a large one is for the command line."""
    limit = get_settings().max_upload_mb * MEGABYTE
    if info.total_bytes > limit:
        st.markdown(f"This version has {size(info.total_bytes)}, too much for a browser. On the command line:")
        st.code(f"python -m tlcore dataset export {info.id} --to {info.id}.zip", language="bash")
        return
    with guard():
        show_zip(info)

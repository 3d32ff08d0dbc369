"""Pictures that can be ticked, and what can be done with the ticked ones: each change makes a new version."""

from collections.abc import Mapping, Sequence

import streamlit as st

from pages.shared.words import count, guard, plain
from tlcore.service import versions
from tlcore.service.datasets import DatasetInfo
from tlcore.service.pictures import Picture
from tlcore.service.versions import PARTS, Edit, LeaveOut, Move, Relabel

WIDTH, GAP, FRAME = 132, 16, 20  # pixels: of a picture, between two, and of a frame around them
MAX_FRAME = 900
MAX_NAME = 15
NEW_CLASS = "a new class …"
PART_WORDS = {"train": "training", "val": "validation", "test": "test", "": ""}


def pick(pictures: Sequence[Picture], key: str, words: Mapping[str, str] | None = None) -> list[str]:
    """Pictures in rows, each as a square with a box to tick under it; the paths of the ticked ones.

    words: what is said under the picture of a path, as Markdown, instead of its class, part and size.
    """
    with st.container(key=f"pick_{key}"):  # `look.use_own_style` lays it out
        return [p.path for p in pictures if _ticked(p, key, (words or {}).get(p.path) or _about(p))]


def pick_groups(groups: Sequence[Sequence[Picture]], key: str) -> list[str]:
    """The same, for pictures that belong together: each group in a frame of its own."""
    ticked = []
    with st.container(horizontal=True, gap="small"):
        for place, group in enumerate(groups):
            width = len(group) * (WIDTH + GAP) + FRAME
            with st.container(border=True, width=min(width, MAX_FRAME), key=f"group_{key}_{place}"):
                ticked += pick(group, f"{key}_{place}")
    return ticked


def given_parts(info: DatasetInfo) -> list[str]:
    """The parts that the data brought."""
    return [part for part in PARTS if info.part_counts.get(part)]


def edit_bar(info: DatasetInfo, ticked: Sequence[str], key: str) -> None:
    """What can be done with the ticked pictures; an error of it stands below."""
    with st.container(horizontal=True, vertical_alignment="bottom", key=f"bar_{key}"):
        st.markdown(f"**{count(len(ticked), 'picture')} ticked**", width="content")
        edit = _asked(info, tuple(ticked), key)
    if edit:
        change(info, [edit])


def _asked(info: DatasetInfo, paths: tuple[str, ...], key: str) -> Edit | None:
    """The edit whose button was pressed."""
    edit: Edit | None = None
    if st.button("Leave out", disabled=not paths, key=f"{key}_leave_out", icon="🗑️"):
        edit = LeaveOut(paths=paths)
    label = _class_box(info, key)
    if st.button("Relabel", disabled=not paths or not label, key=f"{key}_relabel", icon="🏷️") and label:
        edit = Relabel(paths=paths, label=label)
    if info.given != "none":
        part = st.selectbox(
            "Part",
            given_parts(info),
            key=f"{key}_part",
            width=150,
            format_func=lambda name: PART_WORDS[name].capitalize(),
        )
        if st.button("Move", disabled=not paths, key=f"{key}_move", icon="↪️"):
            edit = Move(paths=paths, part=part)
    return edit


def _ticked(picture: Picture, key: str, words: str) -> bool:
    name = picture.path.rpartition("/")[2]
    with st.container(gap="xsmall"):
        st.image(picture.thumbnail, width="stretch", alt=picture.path)
        short = name if len(name) <= MAX_NAME else f"{name[:7]}…{name[-7:]}"
        ticked = st.checkbox(plain(short), key=f"{key}_{picture.path}")
        st.caption(words)
    return ticked


def _about(picture: Picture) -> str:
    part = f" · {PART_WORDS[picture.part]}" if picture.part else ""
    return f"{plain(picture.label)}{part}  \n{picture.width} × {picture.height} px"


def change(info: DatasetInfo, edits: Sequence[Edit]) -> None:
    """Have a new version made; `dataset_work.show_changes` then shows how far it is."""
    with guard():
        st.session_state["change_job"] = versions.submit_version(info.id, edits)
        st.rerun()


def _class_box(info: DatasetInfo, key: str) -> str | None:
    """The class to relabel to: one that is there, or a new name."""
    chosen = st.selectbox("Class", [*info.classes, NEW_CLASS], index=None, key=f"{key}_class", width=200,
                          placeholder="choose", format_func=str)  # fmt: skip
    if chosen != NEW_CLASS:
        return chosen
    return st.text_input("Its name", key=f"{key}_new_class", width=200, max_chars=80).strip() or None

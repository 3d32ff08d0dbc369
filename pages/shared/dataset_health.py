"""The health report of a dataset: what was found, the pictures, and what could be done about it."""

import streamlit as st

from pages.shared import look, reads
from pages.shared.dataset_pictures import change, edit_bar, pick, pick_groups
from pages.shared.words import count, guard, plain
from tlcore.analysis import charts
from tlcore.service import pictures
from tlcore.service.datasets import DatasetInfo
from tlcore.service.pictures import Finding, Health, Suggestion

ICONS = {"error": "⛔", "warning": "⚠️", "note": "ℹ️"}
MODE_WORDS = {
    "1": "black and white", "L": "grey", "LA": "grey, transparent", "I;16": "deep grey", "P": "palette",
    "RGBA": "transparent", "CMYK": "print colours",
}  # fmt: skip
MANY_CLASSES = 12  # beyond, the chart of classes scrolls
GROUPS_PER_PAGE = 12
SINGLES_PER_PAGE = 24


@st.cache_data(max_entries=16, show_spinner="Looking at the images …")
def _health(home: str, dataset_id: str, created_ms: int) -> Health:
    """A version never changes, so its report can be kept, as long as it is not deleted and added anew."""
    return pictures.health(dataset_id)


def show_health(info: DatasetInfo) -> None:
    """Findings, the worst first, then what the images are like."""
    report = _health(reads.home_key(), info.id, info.created_ms)
    if not report.findings:
        st.success("Nothing stands out: no copies, no contradictions, no blank images.", icon="✅")
    for finding in report.findings:
        _show_finding(info, finding)
    left, right = st.columns(2, gap="medium")
    with left:
        with st.container(height=420 if len(info.classes) > MANY_CLASSES else "content", border=False):
            look.chart(charts.class_counts(info.class_counts, dark=look.is_dark()), f"counts_{info.id}")
        _show_kinds(report)
    with right:
        look.chart(charts.image_sizes(report.sizes, f"sizes_{info.id}", dark=look.is_dark()), f"sizes_{info.id}")


def _show_kinds(report: Health) -> None:
    st.markdown("**Pixel modes and file formats**")
    modes = {f"{mode} ({MODE_WORDS[mode]})" if mode in MODE_WORDS else mode: n for mode, n in report.modes.items()}
    kinds = (("pixel mode", modes), ("file format", report.formats))
    look.table([{"What": w, "Kind": k, "Images": n} for w, counts in kinds for k, n in counts.items()])
    st.caption(
        "All are read as 8-bit sRGB: upright, transparent parts white, first frame of several, deep grey scaled."
    )


@st.fragment
def _show_finding(info: DatasetInfo, finding: Finding) -> None:
    key = f"{info.id}_{finding.kind}"
    with guard(), st.container(border=True, key=f"finding_{key}"):
        st.markdown(f"{ICONS[finding.severity]} **{plain(finding.title)}**")
        st.markdown(plain(finding.words))
        asked: Suggestion | None = None
        with st.container(horizontal=True, vertical_alignment="center"):
            opened = bool(finding.groups) and st.toggle(
                f"Show the {count(finding.num_images, 'picture')}", key=f"show_{key}"
            )
            for number, suggestion in enumerate(finding.suggestions):
                if st.button(plain(suggestion.label), key=f"do_{key}_{number}"):
                    asked = suggestion
        if asked:
            change(info, asked.edits)
        if finding.files:
            look.table([{"File": name, "Reason": reason} for name, reason in finding.files], tall=8)
        if opened:
            _show_groups(info, finding, key)


def _show_groups(info: DatasetInfo, finding: Finding, key: str) -> None:
    """The pictures of a finding, a page at a time; those of one group stand under one line."""
    several = any(len(group) > 1 for group in finding.groups)
    per_page = GROUPS_PER_PAGE if several else SINGLES_PER_PAGE
    num_pages = -(-len(finding.groups) // per_page)
    number = st.pagination(num_pages, key=f"page_{key}") if num_pages > 1 else 1
    page = finding.groups[(number - 1) * per_page : number * per_page]
    found = {picture.path: picture for picture in pictures.pictures_of(info.id, [p for group in page for p in group])}
    if several:
        ticked = pick_groups([[found[path] for path in group if path in found] for group in page], key)
    else:
        ticked = pick(list(found.values()), key)
    edit_bar(info, ticked, key)

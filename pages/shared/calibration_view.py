"""“Calibration”, a section of the Compare page: whether the probabilities that strategies tell can be believed."""

import streamlit as st

from pages.shared import look, reads
from pages.shared.differ_choice import choose
from pages.shared.words import guard, plain
from tlcore.analysis import charts
from tlcore.service import differing
from tlcore.service.differing import Group, calibration
from tlcore.service.views import ComparisonView

BEFORE, AFTER = "as trained", "after temperature scaling"


@st.fragment
def show_calibration(view: ComparisonView) -> None:
    """Reliability diagrams and figures of every strategy, before and after temperature scaling."""
    with guard():
        chosen = choose(view.record, with_pair=False)
        if not chosen.groups:
            st.info("No run has finished yet.", icon="⏳")
            return
        ids = tuple(r.run_id for g in chosen.groups.values() for r in g.finished)
        found = _calibrations(reads.home_key(), ids, chosen.seed, view, chosen.groups)
        when = st.segmented_control(
            "Probabilities", [BEFORE, AFTER], default=BEFORE, required=True, key="scaled", bind="query-params"
        )
        if any(one.before for one in found):
            revision = f"reliability-{view.record.comparison_id}"
            figure = charts.reliability_diagrams(found, when == AFTER, revision, look.is_dark())
            look.chart(figure, f"reliability_{when == AFTER}", min_width=charts.reliability_width(found))
        for one in found:
            if one.reason:
                st.info(plain(f"{one.name}: {one.reason}"), icon="ℹ️")
        look.words_table(calibration.calibration_rows(found), "calibration")
        _explain(found)


def _explain(found: list[calibration.Calibration]) -> None:
    if any(one.unfitted for one in found):
        st.caption(
            "Not fitted: no validation image is wrong, so any smaller T would look better; these probabilities stay as "
            "they are."
        )
    st.caption(calibration.EXPLAINED)


@st.cache_data(ttl=600, max_entries=16, show_spinner="Reading probabilities …")
def _calibrations(
    home: str, run_ids: tuple[str, ...], seed: int | None, _view: ComparisonView, _groups: dict[str, Group]
) -> list[calibration.Calibration]:
    return calibration.calibrations(_groups, differing.predictions(_view.record), seed)

"""The verdict at the top of Compare: what to use, how surely, every pair behind it, and what would bring it on."""

import streamlit as st

from pages.shared import look
from pages.shared.words import count, guard, listed, plain
from tlcore.results import DEFAULT_MARGIN, ENDED, VerdictStatus
from tlcore.service import growing
from tlcore.service.views import ComparisonView

MADE = "more_time_made"  # of the session: by comparison, the one that was launched from it with more time
SETTLE = "settling"  # of the session: the comparison to which seeds are added until its verdict is settled
ICONS: dict[VerdictStatus, str] = {
    "winner": "🏆",
    "tie": "🤝",
    "unclear": "⚖️",
    "alone": "❔",
    "nothing learnt": "❔",
    "not compared": "⛔",
    "none": "❔",
}
MARGIN_HELP = "Points of test accuracy that do not matter to you: two strategies closer than that are a tie."


def margin() -> float:
    """Accuracy in [0, 1] that this viewer calls negligible; kept in the address."""
    chosen = st.number_input(
        "Negligible difference (points)", 0.0, 50.0, 100 * DEFAULT_MARGIN, 0.5, format="%.1f", help=MARGIN_HELP,
        key="margin", bind="query-params", width=220,
    )  # fmt: skip
    return float(chosen) / 100


def chosen_margin() -> float:
    """The margin as it was chosen above."""
    return float(st.session_state.get("margin", 100 * DEFAULT_MARGIN)) / 100


def show_verdict(view: ComparisonView) -> None:
    """The verdict in words, within each model where there are several, and what it speaks of."""
    verdict = view.verdict
    with st.container(border=True):
        title = "⏳ Verdict so far" if verdict.provisional else f"{ICONS[verdict.status]} Verdict"
        st.markdown(f"#### {title}")
        st.markdown(plain(verdict.text))
        for model, own in verdict.by_model.items():
            st.markdown(f"**Within {plain(model)}:** {plain(own.text)}")
        st.caption(plain(verdict.claim))
        if verdict.pairs:
            with st.expander(f"Every pair, with its interval ({count(len(verdict.pairs), 'pair')})"):
                _show_pairs(view)


def show_next_steps(view: ComparisonView) -> None:
    """More seeds for those still in contention, more time for those that had too little. Not while it runs."""
    found = view.decision
    if found is None or view.record.status not in ENDED:
        return
    more, longer = growing.next_round(found), growing.more_time(found)
    settling = st.session_state.get(SETTLE) == view.record.comparison_id
    if settling and more is None:
        del st.session_state[SETTLE]
        words = "settled" if view.verdict.status != "unclear" else "not settled"
        st.info(f"After {count(view.record.looks, 'look')} at growing results: {words}.", icon="🏁")
    with guard():
        if more is not None:
            _offer_seeds(view, more, settling)
        elif found.status == "unclear":
            st.caption(plain(f"Seeds until it is settled are not offered: {growing.obstacle(found)}."))
        if longer is not None:
            _offer_time(view, longer)


def _offer_seeds(view: ComparisonView, more: growing.Round, settling: bool) -> None:
    names = dict.fromkeys(view.record.spec.entry(strategy).short_label for _, strategy in more.cells)
    seeds = f"{count(len(more.seeds), 'seed')} for {plain(listed(list(names)))} ({count(more.num_runs, 'run')})"
    pressed = st.button("Add seeds until settled", icon="🌱", key="settle")
    st.caption(
        f"Next: {seeds}, only those that may still be the best; again and again while this page is open, at most "
        f"{growing.MAX_LOOKS} looks. Each look needs stronger evidence, so that looking often is no way to a claim."
    )
    if (pressed or settling) and view.decision is not None:
        with st.spinner("Checking …"):
            growing.add_round(view.decision, more)
        st.session_state[SETTLE] = view.record.comparison_id
        st.rerun()


def _offer_time(view: ComparisonView, longer: growing.ComparisonSpec) -> None:
    late = growing.short_of_time(view.decision) if view.decision else []
    who = plain(listed(list(dict.fromkeys(group.entry.short_label for group in late))))
    pressed = st.button("Run again with more time", icon="⏱️", key="more_time")
    st.caption(
        f"{who} may have had too little time: a new comparison of "
        f"{count(len(longer.strategies), 'strategy', 'strategies')} at a budget of {longer.budget}, "
        f"{growing.MORE_TIME} times as much ({count(len(longer.runs()), 'run')})."
    )
    if pressed and view.decision is not None:
        made = st.session_state.setdefault(MADE, {})  # a second press, while the first is at work, makes no other one
        if view.record.comparison_id not in made:
            with st.spinner("Checking …"):
                made[view.record.comparison_id] = growing.launch_more_time(view.decision)
        st.switch_page("pages/runs.py", query_params={"comparison": made[view.record.comparison_id]})


def _show_pairs(view: ComparisonView) -> None:
    look.words_table(view.pairs, "pairs")
    st.caption(plain(view.pairs_note))

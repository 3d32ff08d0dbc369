"""Strategies that a choice by cost or time leaves out: they did not learn, or had too little time to be judged."""

from collections.abc import Mapping

from tlcore.analysis.groups import Group, groups_of, largest_fraction, name_of
from tlcore.analysis.verdict import Decision
from tlcore.analysis.verdict.readiness import Standing, standing_of
from tlcore.results import ComparisonRecord

LeftOut = Mapping[tuple[str, str], Standing]  # why, by model and strategy; on the most training data
REASONS: dict[Standing, str] = {
    "did not learn": "did not learn",
    "still rising": "behind, and still getting better at the end",
    "evaluated once": "behind, and evaluated only once",
}


def left_out_of(record: ComparisonRecord, decision: Decision | None) -> dict[tuple[str, str], Standing]:
    """Groups that did not learn, and those that the verdict does not judge for want of time.

    decision: of the verdict on the whole grid; None where the runs cannot be compared.
    """
    groups = _largest(record)
    stuck = {_key(group): standing for group in groups if (standing := standing_of(group, 0.0)) == "did not learn"}
    late = {_key(r.group): r.standing for r in (decision.late if decision else ())}
    return {**late, **stuck}


def left_out_sentence(record: ComparisonRecord, left_out: LeftOut) -> str | None:
    """Who is left out and why; None where nobody is."""
    groups = _largest(record)
    said = [
        f"{name_of(group, groups)} ({REASONS[left_out[_key(group)]]})" for group in groups if _key(group) in left_out
    ]
    return f"Left out, as they were not given enough to show what they can: {', '.join(said)}." if said else None


def _key(group: Group) -> tuple[str, str]:
    return group.model, group.strategy


def _largest(record: ComparisonRecord) -> list[Group]:
    groups = groups_of(record)
    return [group for group in groups if group.finished and group.fraction == largest_fraction(groups)]

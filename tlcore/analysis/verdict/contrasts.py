"""Every pair of strategies: how far apart, how surely, and what that means for a choice."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np

from tlcore.analysis.groups import Group
from tlcore.analysis.statistics.estimates import Paired, Right, difference_of
from tlcore.analysis.statistics.multiplicity import holm, level_of_look
from tlcore.analysis.statistics.pooling import estimates_among
from tlcore.results import ComparisonRecord

Relation = Literal["better", "worse", "negligible", "unclear"]
FEW_SEEDS = 2  # at which even a single pair needs care: by luck its two seeds agree
OPPOSITE: dict[Relation, Relation] = {"better": "worse", "worse": "better"}


@dataclass(frozen=True)
class Contrast:
    """The first group against the second. relation: of the first to the second.

    p_adjusted: Holm, over all pairs. level: below which it is a claim, as of `_levels`.
    """

    first: Group
    second: Group
    paired: Paired
    p_adjusted: float
    level: float
    relation: Relation

    @property
    def reverse(self) -> Relation:
        """The relation of the second to the first."""
        return OPPOSITE.get(self.relation, self.relation)


def contrasts_of(record: ComparisonRecord, groups: Sequence[Group], right: Right, margin: float) -> list[Contrast]:
    """All pairs of the groups that share seeds. right: as of `all_right`.

    One shared seed is not enough where others share more. The level of a pair is that of its last look, see
    `_levels`.
    negligible: the interval at the confidence 1 − level (95 % at the first look) lies within ±margin, so that the two
    count as equal whatever the p-value says: two one-sided tests at half the level each (Schuirmann 1987). A tie says
    so of all its pairs at once, which needs no correction for their number (intersection-union test, Berger 1982).
    better, worse: the adjusted p-value is below the level. Whether such a lead matters is another question, which the
    words answer where its interval reaches below the margin.
    """
    found = [(a, b, difference_of(record, a, b, right)) for a, b in combinations(groups, 2)]
    pairs = [(a, b, paired) for a, b, paired in found if paired is not None]
    most = max((len(paired.seeds) for _, _, paired in pairs), default=0)
    known = [(a, b, paired) for a, b, paired in pairs if len(paired.seeds) > 1 or most == 1]
    if record.spec.split_plan.is_fixed and most > 1 and (len(known) > 1 or most == FEW_SEEDS):
        known = _pooled(known)
    adjusted = holm([paired.p_value for _, _, paired in known])
    return [
        Contrast(a, b, paired, p, level, _relation(paired, p, margin, level))
        for (a, b, paired), p, level in zip(known, adjusted, _levels(record.looks, known), strict=True)
    ]


Known = tuple[Group, Group, Paired]


def _levels(looks: int, known: Sequence[Known]) -> list[float]:
    """Of each pair the level of the last look that brought it seeds, at the latest; all had LEVEL at the first.

    Each larger number of shared seeds is of a later look, for which the pair got no more: nothing new of it was looked
    at. Seeds count as asked for: a run that failed does not make its pairs looked at less often.
    """
    asked = [len({run.spec.seed for run in a.runs} & {run.spec.seed for run in b.runs}) for a, b, _ in known]
    return [level_of_look(max(1, looks - len({more for more in asked if more > own}))) for own in asked]


def _pooled(known: Sequence[Known]) -> list[Known]:
    """The same with what seeds add to the variance pooled: a few seeds of one pair show it too badly."""
    members = list({id(group): group for a, b, _ in known for group in (a, b)}.values())
    numbers = {id(group): number for number, group in enumerate(members)}
    differences = [np.stack(paired.differences) for _, _, paired in known]
    estimates = estimates_among(differences, [(numbers[id(a)], numbers[id(b)]) for a, b, _ in known])
    return [
        (a, b, replace(paired, estimate=estimate)) for (a, b, paired), estimate in zip(known, estimates, strict=True)
    ]


def _relation(paired: Paired, p_adjusted: float, margin: float, level: float) -> Relation:
    interval = paired.estimate.difference_at(level)
    if interval is not None and -margin <= interval[0] and interval[1] <= margin:
        return "negligible"
    if p_adjusted >= level:
        return "unclear"
    return "better" if paired.estimate.mean > 0 else "worse"

"""Every pair of strategies: how far apart, how surely, and what that means for a choice."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np

from tlcore.analysis.groups import Group
from tlcore.analysis.statistics.estimates import Paired, Right, difference_of
from tlcore.analysis.statistics.multiplicity import holm
from tlcore.analysis.statistics.pooling import pooled_estimates
from tlcore.results import ComparisonRecord

Relation = Literal["better", "worse", "negligible", "unclear"]
OPPOSITE: dict[Relation, Relation] = {"better": "worse", "worse": "better"}


@dataclass(frozen=True)
class Contrast:
    """The first group against the second. relation: of the first to the second. p_adjusted: Holm, over all pairs."""

    first: Group
    second: Group
    paired: Paired
    p_adjusted: float
    relation: Relation

    @property
    def reverse(self) -> Relation:
        """The relation of the second to the first."""
        return OPPOSITE.get(self.relation, self.relation)


def contrasts_of(
    record: ComparisonRecord, groups: Sequence[Group], right: Right, margin: float, level: float
) -> list[Contrast]:
    """All pairs of the groups that share a seed. right: as of `all_right`; level: of the adjusted p-value.

    negligible: the 95 % interval lies within ±margin, so that the two count as equal whatever the p-value says (two
    one-sided tests at 2.5 % each, Schuirmann 1987). better, worse: the adjusted p-value is below the level.
    """
    pairs = [(a, b, difference_of(record, a, b, right)) for a, b in combinations(groups, 2)]
    known = [(a, b, paired) for a, b, paired in pairs if paired is not None]
    if record.spec.split_plan.is_fixed and len(known) > 1:
        known = _pooled(known, len(groups))
    adjusted = holm([paired.p_value for _, _, paired in known])
    return [
        Contrast(a, b, paired, p, _relation(paired, p, margin, level))
        for (a, b, paired), p in zip(known, adjusted, strict=True)
    ]


def _pooled(known: Sequence[tuple[Group, Group, Paired]], groups: int) -> list[tuple[Group, Group, Paired]]:
    """The same with what seeds add to the variance pooled over all pairs: a few seeds of one pair show it too badly."""
    estimates = pooled_estimates([np.stack(paired.differences) for _, _, paired in known], groups - 1)
    return [
        (a, b, replace(paired, estimate=estimate)) for (a, b, paired), estimate in zip(known, estimates, strict=True)
    ]


def _relation(paired: Paired, p_adjusted: float, margin: float, level: float) -> Relation:
    interval = paired.estimate.interval
    if interval is not None and -margin <= interval[0] and interval[1] <= margin:
        return "negligible"
    if p_adjusted >= level:
        return "unclear"
    return "better" if paired.estimate.mean > 0 else "worse"

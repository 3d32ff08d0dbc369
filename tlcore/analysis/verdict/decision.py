"""Who leads, who ties, who is behind, and who cannot be judged: the verdict as values; `words` says it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from tlcore.analysis.groups import Group
from tlcore.analysis.statistics.estimates import Right, estimate_of, resampling_of
from tlcore.analysis.statistics.intervals import Interval
from tlcore.analysis.statistics.multiplicity import level_of_look
from tlcore.analysis.statistics.planning import images_needed, resampled_seeds_needed, seeds_needed, spread_of
from tlcore.analysis.verdict.contrasts import Contrast, Relation, contrasts_of
from tlcore.analysis.verdict.readiness import Standing, standing_of
from tlcore.results import DEFAULT_MARGIN, ENDED, ComparisonRecord, VerdictStatus


@dataclass(frozen=True)
class Rival:
    """A group and how it stands to the leader. contrast: None where the two share too few seeds with predictions.

    sign: 1 where the contrast is the leader's minus the group's, −1 the other way round.
    """

    group: Group
    mean: float
    standing: Standing
    relation: Relation | None
    contrast: Contrast | None
    sign: int

    @property
    def is_judged(self) -> bool:
        """To be behind for want of time is no answer about the strategy."""
        late = self.standing == "did not learn" or (self.standing != "ready" and self.relation == "worse")
        return self.relation is not None and not late


@dataclass(frozen=True)
class Needed:
    """Seeds and test images, in all, that would show a difference of the margin between the leader and the next.

    None where no affordable number would, or the number is not known.
    """

    seeds: int | None
    images: int | None


@dataclass(frozen=True)
class Decision:
    """The verdict on groups of one fraction. leader: the highest mean of those that can be compared, see `decide`.

    mean, interval: its test accuracy, the latter None where it is not known.
    rivals: the others, from the highest mean. level: of an adjusted p-value, see `multiplicity`. family: how many
    pairs were corrected together, which may be more than the contrasts of these groups. without_result: whose runs have
    all ended, none of them finished.
    """

    record: ComparisonRecord
    leader: Group | None
    mean: float
    interval: Interval | None
    leader_standing: Standing
    rivals: tuple[Rival, ...]
    contrasts: tuple[Contrast, ...]
    margin: float
    level: float
    family: int = 0
    needed: Needed | None = None
    status: VerdictStatus = "none"
    without_result: tuple[Group, ...] = ()

    @property
    def contenders(self) -> list[Rival]:
        """Those that may be as good as the leader."""
        return [rival for rival in self.rivals if rival.is_judged and rival.relation != "worse"]

    @property
    def behind(self) -> list[Rival]:
        """Those that the leader beats."""
        return [rival for rival in self.rivals if rival.is_judged and rival.relation == "worse"]

    @property
    def unjudged(self) -> list[Rival]:
        """Those that had not time enough, or share too few seeds with the leader."""
        return [rival for rival in self.rivals if not rival.is_judged]

    @property
    def late(self) -> list[Rival]:
        """Those behind the leader that had too little time to show what they can."""
        return [
            rival
            for rival in self.unjudged
            if rival.standing == "did not learn" or (rival.standing != "ready" and rival.mean <= self.mean)
        ]

    @property
    def best(self) -> list[Group]:
        """The leader and all that may be as good."""
        return [] if self.leader is None else [self.leader, *(rival.group for rival in self.contenders)]


def decide(
    record: ComparisonRecord,
    groups: Sequence[Group],
    right: Right,
    margin: float = DEFAULT_MARGIN,
    family: Sequence[Contrast] | None = None,
) -> Decision:
    """The verdict among these groups, which have one fraction and were tested on the same images.

    Those that did not learn are not tested: nothing is claimed of them, so they cost the others no certainty. One that
    shares too few seeds with all others to be compared leads them only where they are not compared either.

    right: as of `all_right`. margin: accuracy in [0, 1] below which a difference does not matter. family: contrasts
    that were corrected together, those of these groups among them; None where these groups are all there is.
    """
    level = level_of_look(record.looks)
    means = {id(group): _mean(group) for group in groups if group.finished}
    ranked = sorted((group for group in groups if group.finished), key=lambda group: -means[id(group)])
    ended = tuple(group for group in groups if all(run.status in ENDED - {"FINISHED"} for run in group.runs))
    if not ranked:
        return Decision(record, None, 0.0, None, "ready", (), (), margin, level, without_result=ended)
    learnt = [group for group in ranked if standing_of(group, margin) != "did not learn"]
    family = contrasts_of(record, learnt, right, margin) if family is None else family
    own = {id(group) for group in learnt}
    contrasts = [contrast for contrast in family if {id(contrast.first), id(contrast.second)} <= own]
    compared = {id(group) for c in contrasts for group in (c.first, c.second)}
    able = [group for group in learnt if id(group) in compared] if learnt and learnt[0] is ranked[0] else []
    leader = _leader(able or ranked, contrasts)
    others = [group for group in ranked if group is not leader]
    rivals = tuple(_rival(leader, group, means[id(group)], contrasts, margin) for group in others)
    estimate = estimate_of(record, leader, right)
    found = Decision(
        record=record,
        leader=leader,
        mean=means[id(leader)],
        interval=estimate.interval if estimate else None,
        leader_standing=standing_of(leader, margin),
        rivals=rivals,
        contrasts=tuple(contrasts),
        margin=margin,
        level=level,
        family=len(family),
        without_result=ended,
    )
    status = _status(found)
    return replace(found, status=status, needed=_needed(found) if status == "unclear" else None)


def _leader(ranked: Sequence[Group], contrasts: Sequence[Contrast]) -> Group:
    """The highest mean that no other beats: means may be over other seeds than those that two share."""
    beaten = {
        id(c.first if c.relation == "worse" else c.second) for c in contrasts if c.relation in {"better", "worse"}
    }
    return next((group for group in ranked if id(group) not in beaten), ranked[0])


def _mean(group: Group) -> float:
    return fmean(run.outcome.test.accuracy for run in group.finished if run.outcome is not None)


def _rival(leader: Group, group: Group, mean: float, contrasts: Sequence[Contrast], margin: float) -> Rival:
    """The rival's relation to the leader: `worse` where it is behind."""
    for contrast in contrasts:
        if contrast.first is leader and contrast.second is group:
            return Rival(group, mean, standing_of(group, margin), contrast.reverse, contrast, 1)
        if contrast.second is leader and contrast.first is group:
            return Rival(group, mean, standing_of(group, margin), contrast.relation, contrast, -1)
    return Rival(group, mean, standing_of(group, margin), None, None, 1)


def _status(found: Decision) -> VerdictStatus:
    if found.leader_standing == "did not learn":
        return "nothing learnt"
    judged = [rival for rival in found.rivals if rival.is_judged]
    if not judged:
        return "alone"
    if not found.contenders:
        return "winner"
    return "tie" if all(rival.relation == "negligible" for rival in found.contenders) else "unclear"


def _needed(found: Decision) -> Needed:
    """For the closest contender, at the next look's level, of one of all pairs (Bonferroni)."""
    closest = next(r.contrast for r in found.contenders if r.relation != "negligible" and r.contrast is not None)
    return _needed_of(found, closest, level_of_look(found.record.looks + 1) / found.family)


def _needed_of(found: Decision, contrast: Contrast, level: float) -> Needed:
    paired = contrast.paired
    if not found.record.spec.split_plan.is_fixed:
        values = [float(difference.mean()) for difference in paired.differences]
        ratio = resampling_of(found.record, contrast.first)
        return Needed(resampled_seeds_needed(values, ratio, found.margin, level), None)
    spread, images = spread_of(paired.differences), len(paired.differences[0])
    return Needed(
        seeds_needed(spread, images, found.margin, level), images_needed(spread, len(paired.seeds), found.margin, level)
    )

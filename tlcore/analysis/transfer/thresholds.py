"""Time to threshold: what it takes to reach an accuracy, over a sweep of accuracies; who never does is censored."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from statistics import fmean

from tlcore.analysis.curves import XAxis
from tlcore.analysis.groups import Group, groups_of
from tlcore.analysis.statistics.over_seeds import median_wait
from tlcore.analysis.transfer.paths import Path, first_reach, path_of
from tlcore.analysis.transfer.rows import chance_of
from tlcore.results import ComparisonRecord

SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)  # of the way from chance to the best accuracy of the panel


@dataclass(frozen=True)
class Reached:
    """When the finished seeds of one group reach an accuracy. share: of the way from chance to the best.

    model: of the panel, which for from scratch can be another than its own network.

    median: x by which half of the seeds reached it (Kaplan–Meier), None where that was not seen. seeds: how many did,
    of `num_seeds`. followed: up to which x the others were followed, ∞ where nothing more of any was to come.
    """

    group: Group
    model: str
    share: float
    accuracy: float
    median: float | None
    seeds: int
    num_seeds: int
    followed: float


def threshold_rows(record: ComparisonRecord, x: XAxis = "epoch") -> list[Reached]:
    """Every group at every threshold, panel by panel (model and fraction), the easiest threshold first.

    The best: the highest mean over seeds of the best evaluation. From scratch on a network of its own is in every
    panel of its fraction.
    """
    groups, chance = groups_of(record), chance_of(record)
    panels = dict.fromkeys((g.fraction, g.model) for g in groups if not g.other_network)
    found = []
    for fraction, model in panels or dict.fromkeys((g.fraction, g.model) for g in groups):
        members = [g for g in groups if g.fraction == fraction and (g.model == model or g.other_network)]
        found += _panel(model, members, x, chance)
    return found


def _panel(model: str, groups: Sequence[Group], x: XAxis, chance: float) -> list[Reached]:
    paths = {id(group): [p for run in group.finished if (p := path_of(run, x)) is not None] for group in groups}
    evaluated = [group for group in groups if paths[id(group)]]
    if not evaluated:
        return []
    best = max(fmean(path.best for path in paths[id(group)]) for group in evaluated)
    levels = [(share, chance + share * (best - chance)) for share in SHARES] if best > chance else []
    return [reached(g, model, paths[id(g)], share, level) for share, level in levels for g in evaluated]


def reached(group: Group, model: str, paths: Sequence[Path], share: float, accuracy: float) -> Reached:
    """One group at one threshold; a seed that never reaches it counts as still waiting where it ended."""
    firsts = [first_reach(path, accuracy) for path in paths]
    followed = [inf if path.one_pass else path.x[-1] for path in paths]
    waits = [end if first is None else first for first, end in zip(firsts, followed, strict=True)]
    done = [first is not None for first in firsts]
    rest = [end for end, is_done in zip(followed, done, strict=True) if not is_done]
    limit = min(rest) if rest else max(followed)
    return Reached(group, model, share, accuracy, median_wait(waits, done), sum(done), len(paths), limit)

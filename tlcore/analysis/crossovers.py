"""Where, on the way to more training images, one strategy overtakes another, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import exp, log

import numpy as np

from tlcore.analysis.data_amounts import Amount, Series
from tlcore.analysis.groups import Group
from tlcore.analysis.statistics.estimates import Right, difference_of, resampling_of
from tlcore.analysis.statistics.intervals import Interval
from tlcore.analysis.statistics.over_seeds import DIFFERENCES, seed_mean
from tlcore.results import ComparisonRecord

DRAWS = 2_000
SEED = 20_171  # of the bootstrap: the same record gives the same range
MIN_SEEDS = 3  # of a bootstrap: two draw the same pair too often to show a range


@dataclass(frozen=True)
class Crossover:
    """Between `fewer` and `more` images the better of two changes from `before` to `after`.

    images: where the line between the two mean differences, over log images, meets 0. range: the middle 95 % of that
    over seeds drawn again, None with fewer than three. is_clear: both differences are beyond chance, each on its own.
    """

    before: Group
    after: Group
    fewer: float
    more: float
    images: float
    range: Interval | None
    is_clear: bool


@dataclass(frozen=True)
class _Gap:
    """Error of the second minus that of the first on one amount: above 0, the first is better."""

    images: float
    by_seed: dict[int, float]
    is_clear: bool

    def mean(self, seeds: Sequence[int]) -> float:
        return float(np.mean([self.by_seed[seed] for seed in seeds]))


def crossovers(record: ComparisonRecord, series: Sequence[Series], right: Right) -> list[Crossover]:
    """Every change of the better one of two strategies on one model, between neighbouring amounts, clear ones first.

    A random start on a network of its own is held against the strategies of every model. Amounts on which a seed learnt
    nothing are left out: their error is that of guessing.
    """
    found = []
    for first, second in combinations(series, 2):
        same = first.group.model == second.group.model
        if same or first.group.other_network or second.group.other_network:
            gaps = _gaps(record, first, second, right)
            pairs = [_crossing(first, second, few, many) for few, many in pairwise(gaps)]
            found += [each for each in pairs if each is not None]
    return sorted(found, key=lambda each: not each.is_clear)


def meeting_point(fewer: float, more: float, before: float, after: float) -> float:
    """Images at which a difference that is `before` at `fewer` and `after` at `more` is 0, straight over log images."""
    share = before / (before - after)
    return exp(log(fewer) + share * (log(more) - log(fewer)))


def _gaps(record: ComparisonRecord, first: Series, second: Series, right: Right) -> list[_Gap]:
    others = {amount.fraction: amount for amount in second.amounts if not amount.stuck}
    learnt = [amount for amount in first.amounts if not amount.stuck]
    pairs = [(amount, others[amount.fraction]) for amount in learnt if amount.fraction in others]
    gaps = [_gap(record, one, other, right) for one, other in pairs]
    return [gap for gap in gaps if gap.by_seed and gap.mean(list(gap.by_seed))]  # at equality neither is better


def _gap(record: ComparisonRecord, one: Amount, other: Amount, right: Right) -> _Gap:
    by_seed = {seed: other.by_seed[seed] - error for seed, error in one.by_seed.items() if seed in other.by_seed}
    paired = difference_of(record, one.group, other.group, right)
    if paired is not None:
        interval = paired.estimate.interval
    else:
        ratio = 0.0 if record.spec.split_plan.is_fixed else resampling_of(record, one.group)
        interval = seed_mean(list(by_seed.values()), DIFFERENCES, ratio).interval if by_seed else None
    return _Gap(one.images, by_seed, interval is not None and not interval[0] <= 0 <= interval[1])


def _crossing(first: Series, second: Series, few: _Gap, many: _Gap) -> Crossover | None:
    seeds = sorted(set(few.by_seed) & set(many.by_seed))
    if not seeds:
        return None
    before, after = few.mean(seeds), many.mean(seeds)
    if before * after >= 0:
        return None
    better, worse = (first.group, second.group) if before > 0 else (second.group, first.group)
    at = meeting_point(few.images, many.images, before, after)
    return Crossover(
        better, worse, few.images, many.images, at, _range(few, many, seeds), few.is_clear and many.is_clear
    )


def _range(few: _Gap, many: _Gap, seeds: Sequence[int]) -> Interval | None:
    """Over seeds drawn with replacement; a draw without a change counts as one at the end that is nearer to 0."""
    if len(seeds) < MIN_SEEDS:
        return None
    drawn = np.random.default_rng(SEED).integers(0, len(seeds), (DRAWS, len(seeds)))
    values = np.array([[gap.by_seed[seed] for seed in seeds] for gap in (few, many)])
    before, after = values[0][drawn].mean(axis=1), values[1][drawn].mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = before / (before - after)
    nearer = np.where(np.abs(before) <= np.abs(after), 0.0, 1.0)
    share = np.where(before * after < 0, share, nearer)
    low, high = np.quantile(share, [0.025, 0.975])
    span = log(many.images) - log(few.images)
    return exp(log(few.images) + low * span), exp(log(few.images) + high * span)

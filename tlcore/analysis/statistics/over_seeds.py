"""Means, ratios and waiting times over seeds, where each seed gives one number."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np

from tlcore.analysis.statistics.intervals import CONFIDENCE, Interval, t_test
from tlcore.analysis.statistics.resampling import corrected_variance

SHARES, DIFFERENCES = (0.0, 1.0), (-1.0, 1.0)  # what an accuracy can be, and a difference of two
SAME = 1e-12  # seeds that differ by less do not differ: their spread would promise certainty


@dataclass(frozen=True)
class SeedMean:
    """A mean over seeds with its 95 % interval, and p of the t test against 0; both None where seeds show no spread."""

    mean: float
    interval: Interval | None
    num_seeds: int
    p: float | None = None

    @property
    def differs(self) -> bool:
        """Whether the interval excludes 0."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


def seed_mean(values: Sequence[float], within: Interval = (-inf, inf), ratio: float = 0.0) -> SeedMean:
    """Mean of one value per seed with the t interval over seeds; of paired differences, the paired t test.

    within: what is possible, at whose ends the interval is cut, as (−1, 1) for differences of accuracies. ratio: of the
    images that a value was counted on to the others that they were drawn from, as of `resampling`, where each seed has
    drawn its own; 0 where all seeds have the same, so that the interval covers the seeds alone.
    """
    mean, count = float(np.mean(values)), len(values)
    if count < 2 or max(values) - min(values) < SAME:
        return SeedMean(mean, None, count)
    variance = corrected_variance(values, ratio)
    half = _quantile(count - 1) * sqrt(variance)
    interval = max(within[0], mean - half), min(within[1], mean + half)
    return SeedMean(mean, interval, count, t_test(mean, variance, count - 1.0))


def ratio_of_means(above: Sequence[float], below: Sequence[float], ratio: float = 0.0) -> SeedMean | None:
    """Mean of `above` over mean of `below`, paired by seed; None where the interval of the latter reaches 0.

    ratio: as of `seed_mean`.

    The interval is Fieller's (1954, J. R. Stat. Soc. B 16), with the t quantile of n − 1 degrees of freedom. A mean of
    ratios would be ruled by the seed with the smallest denominator.
    """
    top, base, count = float(np.mean(above)), float(np.mean(below)), len(below)
    if base <= 0:
        return None
    if count < 2:
        return SeedMean(top / base, None, count)
    (var_top, both), (_, var_base) = np.cov(above, below, ddof=1) * (1 / count + ratio)
    square = _quantile(count - 1) ** 2
    a, b, c = base**2 - square * var_base, top * base - square * both, top**2 - square * var_top
    if a <= 0:
        return None
    half = sqrt(max(0.0, float(b * b - a * c))) / float(a)
    interval = (float(b / a) - half, float(b / a) + half) if half > SAME else None
    return SeedMean(top / base, interval, count)


def median_wait(times: Sequence[float], reached: Sequence[bool]) -> float | None:
    """Kaplan and Meier's (1958) median of waiting times, some of which ended before they were over (right-censored).

    The first time by which at most half are still waiting; None where that was not seen.
    """
    waiting = 1.0
    for at in sorted({time for time, done in zip(times, reached, strict=True) if done}):
        at_risk = sum(time >= at for time in times)
        ended = sum(done and time == at for time, done in zip(times, reached, strict=True))
        waiting *= 1 - ended / at_risk
        if waiting <= 0.5 + SAME:
            return at
    return None


def _quantile(freedom: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))

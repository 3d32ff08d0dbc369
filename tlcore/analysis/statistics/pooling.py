"""Many differences at once from few seeds: what seeds add to the variance is pooled over them.

Two or three seeds show how much a mean varies with the seed only by one or two numbers. By luck they agree, and the
p-value is then far smaller than it should be: harmless for one difference, but a correction for many differences asks
for just such p-values. Simulated without any true difference, as the chance of any claim after Holm (5 strategies, 150
and 1,000 test images): each by its own seeds, 14 to 26 % at 3 seeds and 22 to 56 % at 2. Pooled, and the pairs of the
strategy that varies most pooled apart, so that it costs the others no certainty: 2 to 10 % at 3 seeds, 7 to 11 % at 2,
4 to 7 % at 6. Pooling also brings degrees of freedom, and with them power.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcore.analysis.statistics.intervals import (
    Components,
    Estimate,
    components,
    paired_estimate,
    t_interval,
    t_test,
    two_way,
)

OUTLYING = 0.999  # of F: equal strategies are hardly ever told apart by their spread


def pooled_estimates(
    differences: Sequence[NDArray[Any]], independent: int, pools: Sequence[int] | None = None
) -> list[Estimate]:
    """Estimates of several paired differences [S seeds, N ≥ 2 images], each −1, 0 or 1.

    As `paired_estimate`, but the variance that seeds add to a mean is not below its mean over the differences, and has
    the degrees of freedom of `independent` of them (of all pairs of K strategies, K − 1 are). pools: differences with
    the same number are pooled together; None for all.
    """
    groups = [0] * len(differences) if pools is None else list(pools)
    several = [k for k, difference in enumerate(differences) if difference.shape[0] > 1]
    parts = {k: components(differences[k]) for k in several}
    of_one_seed = {pool: _of_one_seed(differences, parts, groups, pool) for pool in set(groups)}
    return [
        _pooled(difference, parts[k], of_one_seed[groups[k]], independent)
        if k in parts
        else paired_estimate(difference)
        for k, difference in enumerate(differences)
    ]


def estimates_among(differences: Sequence[NDArray[Any]], pairs: Sequence[tuple[int, int]]) -> list[Estimate]:
    """Estimates of the differences [S seeds, N images] of pairs of strategies, given by number: as `pooled_estimates`.

    The pairs of the strategy that varies most are pooled apart, and with them those of any other that varies more than
    the rest beyond chance: noisy ones cost the others no certainty.
    """
    members = sorted({member for pair in pairs for member in pair})
    noisy = _noisy(differences, pairs, members) if len(members) > 2 else set()
    pools = [int(bool(noisy & set(pair))) for pair in pairs]
    return pooled_estimates(differences, max(1, len(members) - 1 - len(noisy)), pools)


def _noisy(differences: Sequence[NDArray[Any]], pairs: Sequence[tuple[int, int]], members: Sequence[int]) -> set[int]:
    """The strategy whose pairs vary most with the seed, and each next one while it stands out from the quieter rest.

    It stands out where the variance of its means over seeds, by that of the rest, lies above the 99.9 % quantile of F.
    A pair's variance is the sum of its two strategies', so the rest's is half of that of its pairs.
    """
    from scipy.special import fdtri

    spread = {frozenset(pair): float(np.var(d.mean(1), ddof=1)) for pair, d in zip(pairs, differences, strict=True)}
    freedom = max(1, min(difference.shape[0] for difference in differences) - 1)
    left, noisy = list(members), set[int]()
    while len(left) > 2:
        own = {m: fmean([v for pair, v in spread.items() if m in pair and pair <= set(left)] or [0.0]) for m in left}
        most = max(left, key=own.__getitem__)
        rest = [m for m in left if m != most]
        quiet = fmean([v for pair, v in spread.items() if pair <= set(rest)] or [0.0]) / 2
        stands_out = own[most] - quiet > quiet * fdtri(freedom, freedom * (len(rest) - 1), OUTLYING)
        if noisy and not stands_out:
            break
        noisy.add(most)
        left = rest
    return noisy


def seed_variance(difference: NDArray[Any]) -> float:
    """The variance that one seed adds to the mean of differences [S ≥ 2 seeds, N ≥ 2 images]; may be below 0."""
    part = components(difference)
    return float(difference.shape[0] * (part.seed - part.residual))


def _of_one_seed(
    differences: Sequence[NDArray[Any]], parts: Mapping[int, Components], pools: Sequence[int], pool: int
) -> float:
    mine = [k for k in parts if pools[k] == pool]
    if not mine:
        return 0.0
    freedom = [differences[k].shape[0] - 1 for k in mine]
    return max(0.0, float(np.average([seed_variance(differences[k]) for k in mine], weights=freedom)))


def _pooled(difference: NDArray[Any], part: Components, of_one_seed: float, independent: int) -> Estimate:
    seeds, images = difference.shape
    if max(part.seed, part.image) == 0:
        return paired_estimate(difference)
    widened = Components(max(part.seed, part.residual + of_one_seed / seeds), part.image, part.residual)
    variance, freedom = two_way(widened, independent * (seeds - 1.0), images - 1.0)
    mean = float(difference.mean())
    interval = t_interval(mean, variance, freedom, lower=-1.0)
    return Estimate(mean, interval, "seeds and images", t_test(mean, variance, freedom), freedom)

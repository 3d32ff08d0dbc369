"""Many differences at once from few seeds: what seeds add to the variance is pooled over them.

Two or three seeds show how much a mean varies with the seed only by one or two numbers. By luck they agree, and the
p-value is then far smaller than it should be: harmless for one difference, but a correction for many differences asks
for just such p-values. Simulated without any true difference, as the chance of any claim after Holm (5 strategies, 150
and 1,000 test images): each by its own seeds, 14 to 26 % at 3 seeds and 22 to 56 % at 2; pooled, 2 to 5 %, and up to
7 % (12 % at 2 seeds) where one strategy varies far more than the others. Pooling also brings degrees of freedom, and
with them power, unless one strategy varies much more than the rest, which then costs the others certainty.
"""

from collections.abc import Sequence
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


def pooled_estimates(differences: Sequence[NDArray[Any]], independent: int) -> list[Estimate]:
    """Estimates of several paired differences [S seeds, N ≥ 2 images], each −1, 0 or 1.

    As `paired_estimate`, but the variance that seeds add to a mean is not below its mean over the differences, and has
    the degrees of freedom of `independent` of them (of all pairs of K strategies, K − 1 are).
    """
    several = [difference for difference in differences if difference.shape[0] > 1]
    parts = {id(difference): components(difference) for difference in several}
    seeds = np.array([difference.shape[0] for difference in several], dtype=float)
    added = np.array([part.seed - part.residual for part in parts.values()])
    of_one_seed = max(0.0, float(np.average(added * seeds, weights=seeds - 1))) if several else 0.0
    return [
        _pooled(difference, parts[id(difference)], of_one_seed, independent)
        if id(difference) in parts
        else paired_estimate(difference)
        for difference in differences
    ]


def _pooled(difference: NDArray[Any], part: Components, of_one_seed: float, independent: int) -> Estimate:
    seeds, images = difference.shape
    if max(part.seed, part.image) == 0:
        return paired_estimate(difference)
    widened = Components(max(part.seed, part.residual + of_one_seed / seeds), part.image, part.residual)
    variance, freedom = two_way(widened, independent * (seeds - 1.0), images - 1.0)
    mean = float(difference.mean())
    interval = t_interval(mean, variance, freedom, lower=-1.0)
    return Estimate(mean, interval, "seeds and images", t_test(mean, variance, freedom))

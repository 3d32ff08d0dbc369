"""How many more seeds or test images would settle a difference: power from the variance components at hand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcore.analysis.statistics.intervals import Components, components, variance_of_mean

POWER = 0.8  # the usual convention (Cohen 1988)
MAX_SEEDS, MAX_IMAGES = 200, 1_000_000


@dataclass(frozen=True)
class Spread:
    """Variance components of a paired difference: of a seed, of an image, of one seed's answer to one image.

    They add up as Var(mean over S seeds and N images) = seed/S + image/N + residual/(S·N). With one seed, `image` holds
    all that varies between images, and `seed` is not known.
    """

    seed: float | None
    image: float
    residual: float


def spread_of(differences: Sequence[NDArray[Any]]) -> Spread:
    """differences: per seed [N] over the same N ≥ 2 images. Negative estimates count as 0."""
    values = np.stack(differences).astype(float)
    seeds, images = values.shape
    if seeds == 1:
        return Spread(None, float(values.var(ddof=1)), 0.0)
    parts = components(values)
    return Spread(
        seed=max(0.0, seeds * (parts.seed - parts.residual)),
        image=max(0.0, images * (parts.image - parts.residual)),
        residual=seeds * images * parts.residual,
    )


def seeds_needed(spread: Spread, images: int, difference: float, level: float) -> int | None:
    """Seeds in all that show a true difference with POWER at this level; None where MAX_SEEDS would not, or unknown."""
    if spread.seed is None:
        return None
    return _least(lambda seeds: _detectable(spread, seeds, images, level) <= difference, 2, MAX_SEEDS)


def images_needed(spread: Spread, seeds: int, difference: float, level: float) -> int | None:
    """Test images in all that show a true difference with POWER at this level and number of seeds."""
    return _least(lambda images: _detectable(spread, seeds, images, level) <= difference, 2, MAX_IMAGES)


def resampled_seeds_needed(values: Sequence[float], ratio: float, difference: float, level: float) -> int | None:
    """The same for seeds with test images of their own. values: the difference per seed; ratio: n_test/n_train."""
    variance = float(np.var(values, ddof=1)) if len(values) > 1 else None
    if variance is None:
        return None

    def detects(seeds: int) -> bool:
        return bool(_quantiles(seeds - 1.0, level) * ((1 / seeds + ratio) * variance) ** 0.5 <= difference)

    return _least(detects, 2, MAX_SEEDS)


def _detectable(spread: Spread, seeds: int, images: int, level: float) -> float:
    """The smallest true difference that is shown with POWER."""
    if spread.seed is None or seeds == 1:
        parts, freedom = Components(0.0, spread.image / images, 0.0), images - 1.0
        return float(_quantiles(freedom, level) * parts.image**0.5)
    residual = spread.residual / (seeds * images)
    parts = Components(spread.seed / seeds + residual, spread.image / images + residual, residual)
    if max(parts.seed, parts.image) == 0:
        return 0.0
    variance, freedom = variance_of_mean(parts, seeds, images)
    return float(_quantiles(freedom, level) * variance**0.5)


def _quantiles(freedom: float, level: float) -> float:
    """t of the test plus t of the power (a usual approximation to the noncentral t)."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 1 - level / 2) + stdtrit(freedom, POWER))


def _least(enough: Callable[[int], bool], low: int, high: int) -> int | None:
    """The smallest whole number that is enough, by halving; None where the largest is not."""
    if not enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low

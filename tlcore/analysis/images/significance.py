"""Whether changes of many classes could be chance: one p-value per class, and Holm's correction for all of them.

With few seeds, how much a class varies from seed to seed is known from one or two numbers, and p-values far below 5 %,
which a correction for many classes asks for, come out by luck. So what seeds add is pooled over the classes. Simulated
without any true change (2 to 5 seeds; 2, 10 and 40 classes of 75, 50 and 20 images; 200 to 600 repeats): some class
is called clear in 0 to 5 % of comparisons, where half of the classes vary far more by seed than the others in up to
12 % with two seeds and 8 % with three; a test of each class by its own seeds alone: up to 53 %.
"""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from numpy.typing import NDArray

from tlcore.analysis.statistics.intervals import components, mcnemar_exact, t_test


def class_p_values(differences: Sequence[NDArray[Any]]) -> list[float]:
    """Two-sided p-value of no change for each class. differences: −1, 0 or 1, [S seeds, N ≥ 2 images of the class].

    One seed: McNemar's. Several: the two-way t of `statistics.intervals`, but with the variance that seeds add to the
    mean of a class, seed − residual, taken as its mean over classes where its own is smaller.
    """
    if not differences or differences[0].shape[0] == 1:
        return [mcnemar_exact(difference[0]) for difference in differences]
    parts = [components(difference) for difference in differences]
    added = max(0.0, fmean(part.seed - part.residual for part in parts))
    found = []
    for difference, part in zip(differences, parts, strict=True):
        seeds, images = difference.shape
        if max(part.seed, part.image) == 0:
            found.append(mcnemar_exact(difference[0]))
            continue
        seed, freedom = max(part.seed, part.residual + added), len(parts) * (seeds - 1)
        found.append(_two_way(float(difference.mean()), (seed, part.image, part.residual), freedom, images))
    return found


def _two_way(mean: float, parts: tuple[float, float, float], freedom: int, images: int) -> float:
    """parts: of the variance, as of `Components`. freedom: of its part by seeds (Satterthwaite 1946)."""
    seed, image, residual = parts
    total = seed + image - residual
    if total < max(seed, image):
        return t_test(mean, seed, freedom) if seed >= image else t_test(mean, image, images - 1)
    spread = seed**2 / freedom + image**2 / (images - 1) + residual**2 / (freedom * (images - 1))
    return t_test(mean, total, total**2 / spread)

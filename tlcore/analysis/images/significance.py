"""Whether changes of many classes could be chance: one p-value per class, with what seeds add pooled over them.

Simulated without any true change (2 to 5 seeds; 2, 10 and 40 classes of 75, 50 and 20 images; 200 to 600 repeats):
after Holm some class is called clear in 0 to 5 % of comparisons, where half of the classes vary far more by seed than
the others in up to 12 % with two seeds and 8 % with three, and where a seed moves all classes together in 7 to 9 %
(16 % of 20 classes at two seeds that differ much); a test of each class by its own seeds alone: up to 53 %.
"""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from tlcore.analysis.statistics.pooling import pooled_estimates


def class_p_values(differences: Sequence[NDArray[Any]]) -> list[float]:
    """Two-sided p-value of no change for each class. differences: −1, 0 or 1, [S seeds, N ≥ 2 images of the class].

    One seed: McNemar's. Several: pooled as if seeds moved each class by itself.
    """
    return [_known(estimate.p_value) for estimate in pooled_estimates(differences, len(differences))]


def _known(p_value: float | None) -> float:
    assert p_value is not None, "a difference has one; without it, nothing may be called clear"
    return p_value

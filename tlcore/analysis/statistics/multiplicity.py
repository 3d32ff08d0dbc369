"""Error rates where several questions are asked of the same results, or one is asked again and again."""

from collections.abc import Sequence

LEVEL = 0.05
LATER_LOOKS = 0.01  # what all looks after the first may add to the error rate


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given (Holm 1979): below LEVEL, the claims together err at most so often."""
    count = len(p_values)
    adjusted, least = [0.0] * count, 0.0
    for rank, index in enumerate(sorted(range(count), key=p_values.__getitem__)):
        least = max(least, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = least
    return adjusted


def level_of_look(look: int) -> float:
    """The level of the look-th look at a comparison that grows until it says something, counted from 1.

    The first look has LEVEL. A later one, number k, has LATER_LOOKS / (k(k − 1)): summed over any number of looks that
    is LATER_LOOKS (a telescoping series), so that by the union bound all looks together err at most LEVEL + LATER_LOOKS
    of the time, however often seeds are added and whatever decides to add them.
    """
    return LEVEL if look <= 1 else LATER_LOOKS / (look * (look - 1))

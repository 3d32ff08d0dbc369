"""The arithmetic of a learning-rate finder: which rates are tried, how losses are smoothed, what is suggested.

Smith 2017, "Cyclical Learning Rates for Training Neural Networks": train with a growing rate, and look where the loss
falls. Smoothing, where to stop and the two suggestions are fastai 2's (`Recorder`, `LRFinder`, `steep`, `valley`), but
that the steepest fall is looked for before the minimum: a loss that diverges also falls at times, and steeply.
"""

import itertools
import math
from collections.abc import Sequence

BETA = 0.98  # of the running mean of losses
DIVERGED = 4.0  # times the smallest smoothed loss
FLOOR = 0.01  # nats: below, as with a head that was fitted before, a loss that grows fourfold is noise
SKIPPED_FIRST = 10  # one in so many of the first points says nothing yet: the mean has just begun
SKIPPED_LAST = 5  # of the last points, which may have begun to diverge
CLEAR = 2.5  # standard errors; of 1,000 curves of pure noise in 100 steps, 5 % fall so far
ROUNDING = 1e-9  # nats
FEWEST = 4  # points that are left must be at least so many


def growing_rates(low: float, high: float, steps: int) -> list[float]:
    """`steps` rates from low to high, each the same factor above the one before."""
    return [low * (high / low) ** (step / (steps - 1)) for step in range(steps)]


def smoothed(losses: Sequence[float]) -> list[float]:
    """The exponential running mean of losses, corrected for its start at 0."""
    mean, found = 0.0, []
    for number, loss in enumerate(losses, 1):
        mean = BETA * mean + (1 - BETA) * loss
        found.append(mean / (1 - BETA**number))
    return found


def diverged(curve: Sequence[float]) -> bool:
    """Whether the newest smoothed loss is no number, or far above the smallest. curve: smoothed losses."""
    return not math.isfinite(curve[-1]) or curve[-1] > DIVERGED * max(min(curve), FLOOR)


def steepest(rates: Sequence[float], curve: Sequence[float], planned: int) -> float | None:
    """The rate before the minimum at which the curve falls most per factor of the rate; None where it falls nowhere."""
    x, y = _middle(rates, curve, planned)
    lowest = y.index(min(y)) if y else 0
    slopes = [(y[i + 1] - y[i]) / math.log(x[i + 1] / x[i]) for i in range(lowest)]
    if not slopes or min(slopes) >= 0:
        return None
    return x[slopes.index(min(slopes))]


def valley(rates: Sequence[float], curve: Sequence[float], planned: int) -> float | None:
    """The rate in the middle of the longest valley's fall; None where the loss falls nowhere.

    The longest valley: the longest sequence of points, not all neighbours, each lower than the one before. Of its
    stretch the rate half-way through the second third is taken.
    """
    x, y = _middle(rates, curve, planned)
    lengths, end = [1] * len(y), 0
    for i in range(1, len(y)):
        lengths[i] = 1 + max((lengths[j] for j in range(i) if y[j] > y[i]), default=0)
        if lengths[i] > lengths[end]:
            end = i
    if not y or lengths[end] < 2:
        return None
    third = lengths[end] / 3
    return x[max(0, end - lengths[end] + int(third) + int(third / 2))]


def is_noise(losses: Sequence[float], planned: int) -> bool:
    """Whether the smoothed loss falls by no more than its own scatter. losses: of each batch, in nats.

    The scatter of one batch is told from neighbours (the median of their differences, as of a normal distribution),
    that of a running mean from its weights.
    """
    points, curve = _middle(range(len(losses)), smoothed(losses), planned)
    steps = sorted(abs(b - a) for a, b in itertools.pairwise(losses))
    if not points:
        return True
    scatter = steps[len(steps) // 2] / (0.6745 * math.sqrt(2))
    errors = [
        scatter * math.sqrt((1 - BETA) / (1 + BETA) * (1 + BETA**n) / (1 - BETA**n)) for n in (p + 1 for p in points)
    ]
    top = 0
    for now, loss in enumerate(curve):
        top = now if loss > curve[top] else top
        if curve[top] - loss > CLEAR * math.hypot(errors[top], errors[now]) + ROUNDING:
            return False
    return True


def _middle(rates: Sequence[float], curve: Sequence[float], planned: int) -> tuple[list[float], list[float]]:
    """The points that say something. planned: how many there would be without divergence."""
    first, last = planned // SKIPPED_FIRST, len(curve) - SKIPPED_LAST
    x, y = list(rates[first:last]), list(curve[first:last])
    return (x, y) if last > first and len(y) >= FEWEST else ([], [])

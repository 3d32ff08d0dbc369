"""Whether a strategy had time enough to be judged: it learnt, and its curve has stopped rising."""

import math
from typing import Literal

from tlcore.analysis.curves import still_rising
from tlcore.analysis.groups import Group
from tlcore.results import RunRecord

DIVERGED = 10.0  # times the loss of guessing, ln K: above that no start explains a training loss, but its rise does
Standing = Literal["ready", "did not learn", "still rising", "evaluated once"]


def standing_of(group: Group, margin: float) -> Standing:
    """What a lower accuracy of this group would mean. margin: accuracy in [0, 1] that is negligible.

    It did not learn where more than half of its seeds did not.
    """
    outcomes = [run.outcome for run in group.finished if run.outcome is not None]
    if sum(outcome.did_not_learn for outcome in outcomes) * 2 > len(outcomes):
        return "did not learn"
    rising = still_rising(group.finished, margin)
    if rising is None:
        return "evaluated once"
    return "still rising" if rising else "ready"


def diverged_runs(group: Group, num_classes: int) -> list[RunRecord]:
    """Runs that did not learn, as their training loss rose far above that of guessing: for want of a lower rate."""
    limit = DIVERGED * math.log(num_classes)
    return [run for run in group.finished if run.outcome and run.outcome.did_not_learn and highest_loss(run) > limit]


def highest_loss(run: RunRecord) -> float:
    """The highest training loss of a run's evaluations."""
    return max((point.train_loss for point in run.history if point.train_loss is not None), default=0.0)

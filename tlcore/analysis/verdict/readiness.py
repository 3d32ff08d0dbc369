"""Whether a strategy had time enough to be judged: it learnt, and its curve has stopped rising."""

from typing import Literal

from tlcore.analysis.curves import still_rising
from tlcore.analysis.groups import Group

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

"""Why nothing is claimed of a strategy that does not lead."""

from tlcore.analysis.verdict.decision import Decision, Rival
from tlcore.analysis.verdict.readiness import Standing, diverged_runs

TOO_EARLY: dict[Standing, str] = {
    "still rising": "it was still getting better at the end",
    "evaluated once": "it was evaluated once, which does not tell whether it still gets better",
}
STUCK = "the training loss did not get below the level of guessing, which more time or another learning rate may change"
DIVERGED = "the training loss rose far above the level of guessing, which a lower learning rate may change"
LEADER_STUCK = "the leader did not learn"
NO_SEED = "it shares no finished seed with the leader"
ONE_SEED = "it shares only one finished seed with the leader"
NO_PREDICTIONS = "its predictions, or the leader's, are not at hand"
# In the order in which they are said.
REASONS = (STUCK, DIVERGED, *TOO_EARLY.values(), LEADER_STUCK, NO_SEED, ONE_SEED, NO_PREDICTIONS)
PLURAL = {
    "is not": "are not", "was not": "were not", "it was": "they were", "it still gets": "they still get",
    "it shares": "they share", "its predictions": "their predictions",
}  # fmt: skip


def reason_of(found: Decision, rival: Rival) -> str:
    """Why nothing is claimed of a strategy that does not lead."""
    if rival.standing == "did not learn":
        return DIVERGED if diverged_runs(rival.group, found.record.dataset.num_classes) else STUCK
    if rival.standing in TOO_EARLY and rival in found.late:
        return TOO_EARLY[rival.standing]
    if found.leader_standing == "did not learn":
        return LEADER_STUCK
    assert found.leader is not None
    own, leaders = ({run.spec.seed for run in group.finished} for group in (rival.group, found.leader))
    shared = len(own & leaders)
    if shared > 1 or len(found.record.spec.seeds) == 1:
        return NO_PREDICTIONS
    return ONE_SEED if shared else NO_SEED

"""A comparison that goes on: more seeds for those still in contention, more time for those that had too little."""

from dataclasses import dataclass

from tlcore.analysis.groups import Group
from tlcore.analysis.statistics.estimates import all_right
from tlcore.analysis.verdict import Decision, judged
from tlcore.analysis.verdict.readiness import diverged_runs
from tlcore.errors import SpecError
from tlcore.results import DEFAULT_MARGIN, ENDED
from tlcore.service import comparisons, plans
from tlcore.spec import Budget, ComparisonSpec

MAX_LOOKS = 6  # of one press: the level of a seventh would be 1 in 4,000
LEAST, MOST = 2, 10  # seeds of one round
MORE_TIME = 4  # times the budget


@dataclass(frozen=True)
class Round:
    """The next seeds, and the models and strategies that still may be the best."""

    cells: tuple[tuple[str, str], ...]
    seeds: tuple[int, ...]

    @property
    def num_runs(self) -> int:
        return len(self.cells) * len(self.seeds)


def decision(comparison_id: str, margin: float = DEFAULT_MARGIN) -> Decision | None:
    """The verdict as values; None where the runs cannot be compared. Raises: NotFoundError."""
    whole = comparisons.record(comparison_id)
    return judged(whole, all_right(comparisons.all_predictions(whole)), margin).decision


def next_round(found: Decision) -> Round | None:
    """What would bring the verdict on, or None: it has ended, more seeds can settle nothing, or looks are used up.

    As many seeds as are said to be needed, within bounds; whole rounds of folds. One seed cannot tell how many are, and
    its winner is one network, so all that were judged go on.
    """
    if obstacle(found) is not None:
        return None
    record, have, needed = found.record, _fewest_seeds(found), found.needed.seeds if found.needed else None
    wanted = LEAST if needed is None else needed - have
    count = min(max(wanted, LEAST), MOST)
    folds = record.spec.split_plan.folds
    count = -(-count // folds) * folds if folds else count
    first = max(record.spec.seeds) + 1
    chosen = [*found.best, *(rival.group for rival in found.behind)] if _has_one_seed(found) else found.best
    cells = tuple((group.model, group.strategy) for group in chosen)
    return Round(cells, tuple(range(first, first + count)))


def obstacle(found: Decision) -> str | None:
    """Why no seeds are to be added, as the end of a sentence; None where some are."""
    record = found.record
    reasons = {
        "it still runs": record.status not in ENDED,
        "a run of it failed or was cancelled": record.status != "FINISHED",
        "no runs can be added to it here": not record.can_grow,
        f"it was looked at {MAX_LOOKS} times, and each look more needs stronger evidence": record.looks >= MAX_LOOKS,
        "its verdict is settled, or waits for more time and not for seeds": not (
            found.status == "unclear" or _has_one_seed(found)
        ),
    }
    stopped = next((reason for reason, holds in reasons.items() if holds), None)
    if stopped is None and _fewest_seeds(found) > 1 and (found.needed is None or found.needed.seeds is None):
        return "no affordable number of seeds alone would settle it: it takes more test images as well"
    return stopped


def _fewest_seeds(found: Decision) -> int:
    return min(len(group.finished) for group in found.best)


def _has_one_seed(found: Decision) -> bool:
    """Whether the winner is one network rather than a strategy."""
    return found.status == "winner" and max(len(group.finished) for group in found.best) == 1


def add_round(found: Decision, more: Round) -> None:
    """Queue the runs of a round, on the most training data; those that somebody else queued meanwhile serve as well.

    Raises: SpecError, StorageError.
    """
    spec = found.record.spec
    strategies = [strategy for _, strategy in more.cells]
    asked = spec.narrowed(strategies, seeds=more.seeds, fractions=(max(spec.fractions),))
    comparisons.submit(plans.make_plan(asked), add_to=found.record.comparison_id, cells=more.cells)


def short_of_time(found: Decision) -> list[Group]:
    """Those that may do better with more time, the leader last; not one whose loss has diverged."""
    late = [rival.group for rival in found.late]
    if found.leader_standing != "ready" and found.leader is not None:
        late.append(found.leader)
    return [group for group in late if not diverged_runs(group, found.record.dataset.num_classes)]


def more_time(found: Decision) -> ComparisonSpec | None:
    """A comparison of those that had too little time with those that may be the best, on a larger budget; or None."""
    late = short_of_time(found)
    if not late or not found.record.can_grow:
        return None
    spec = found.record.spec
    strategies = {group.strategy for group in (*late, *found.best)}
    amounts = {unit: amount * MORE_TIME for unit, amount in spec.budget.as_dict().items()}
    title = f"{spec.title or found.record.dataset.name} · {MORE_TIME} × the time"
    return spec.narrowed(strategies, budget=Budget(**amounts), fractions=(max(spec.fractions),), title=title)


def launch_more_time(found: Decision) -> str:
    """Launch `more_time`; returns the new comparison's id. Raises: SpecError, StorageError, WeightsError."""
    spec = more_time(found)
    if spec is None:
        raise SpecError("every strategy had time enough: there is nothing to run again with more")
    return comparisons.submit(plans.make_plan(spec))

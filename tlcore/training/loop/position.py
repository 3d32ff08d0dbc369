"""Where a run stands in its plan: it follows from the state alone, so that a resumed run goes the same way."""

import math
from collections.abc import Sequence

from tlcore.results import EvaluationPoint, PartMetrics
from tlcore.training.loop.checkpoints import State
from tlcore.training.loop.guessing import BY_LUCK, Guess
from tlcore.training.loop.plan import Plan, shortened

SAVE_SECONDS = 30.0  # training between two checkpoints within an evaluation's distance: saving stays a small part
LEARNED = 0.98  # of the loss of guessing: a training loss that stays above it learned nothing (RECIPES.md), unless
# the network is right far too often for that


def plan_now(plan: Plan, state: State) -> Plan:
    """The run's plan, as far as phases that ended early have changed it."""
    return shortened(plan, state.stopped)


def spent(plan: Plan, state: State) -> float:
    """What the run has used of its budget, in the plan's unit; a `Fit` uses nothing of it."""
    return state.step if plan.unit == "steps" else state.train_seconds - state.fit_seconds


def phase_progress(plan: Plan, state: State) -> float:
    """Part of the phase done in the middle of the step to come, 0…1."""
    begun = state.begun or 0.0
    half_step = 0.5 if plan.unit == "steps" else 0.0
    length = plan.ends[state.phase] - begun
    return min(1.0, (spent(plan, state) - begun + half_step) / length) if length > 0 else 1.0


def phase_over(plan: Plan, state: State) -> bool:
    """Whether the phase has used its part of the budget, and at least one step."""
    return state.step > state.begun_step and spent(plan, state) >= plan.ends[state.phase]


def stale_evaluations(state: State) -> int:
    """How many evaluations of this phase came after its best one, by the rule that chooses the run's best."""
    ranks = [rank(point.val_accuracy or 0.0, point.val_loss) for point in state.history if point.phase == state.phase]
    return len(ranks) - 1 - ranks.index(max(ranks)) if ranks else 0


def rank(accuracy: float, loss: float | None) -> tuple[float, float]:
    """Higher is better; the earlier of two equal ones stays. loss: None where there is none, which is the worst."""
    return accuracy, -math.inf if loss is None else -loss


def evaluation_due(plan: Plan, state: State) -> bool:
    """Whether the curve wants a point here that it does not have yet."""
    last = state.history[-1] if state.history else None
    if state.step == state.begun_step or (last is not None and last.step == state.step):
        return False
    if plan.unit == "steps" or phase_over(plan, state):
        return state.step in plan.evaluations or phase_over(plan, state)
    return _ends_epoch(plan, state) and state.train_seconds - (last.train_seconds if last else 0.0) >= plan.interval


def save_due(plan: Plan, state: State, saved: float) -> bool:
    """Whether a checkpoint is worth its time here. saved: `train_seconds` at the last one.

    It is at the first end of an epoch after half a minute: evaluations, which save too, may be many epochs apart.
    """
    return _ends_epoch(plan, state) and state.train_seconds - saved >= SAVE_SECONDS


def _ends_epoch(plan: Plan, state: State) -> bool:
    """Whether the newest step completed an epoch."""
    return state.step // plan.steps_per_epoch > (state.step - 1) // plan.steps_per_epoch


def did_not_learn(
    history: tuple[EvaluationPoint, ...],
    plan: Plan,
    guesses: Sequence[Guess],
    best: PartMetrics,
    lucky: float,
    fit_seconds: float = 0.0,
) -> bool:
    """Whether the run never did better on the training part than guessing: its best network has no more of it right
    than luck explains, and no training loss fell to 0.98 of that of guessing, neither the running ones after a tenth of
    the budget nor the best network's.

    guesses: of each phase, as of `guesses_of`. best: of the best network on the training part, its loss held against
    the lowest guess; a running mean over the first steps hides it. lucky: as of `lucky_accuracy`; a network may be
    right far more often than that, and so sure where it errs that its loss is above that of guessing. A running loss
    is over the images since the evaluation before, among which the classes' shares vary. fit_seconds: as of `State`.
    """
    if best.balanced_accuracy > lucky:
        return False
    excess = [] if best.loss is None else [best.loss - LEARNED * min(guess.loss for guess in guesses)]
    seen = 0
    for point in history:
        guess, images = guesses[point.phase], max(1, point.images_seen - seen)
        used = point.step if plan.unit == "steps" else point.train_seconds - fit_seconds
        if point.train_loss is not None and used >= 0.1 * plan.total:
            excess.append(point.train_loss - LEARNED * guess.loss + BY_LUCK * guess.spread / math.sqrt(images))
        seen = point.images_seen if point.step else 0  # a fit's images are none of a stretch
    return bool(excess) and min(excess) > 0

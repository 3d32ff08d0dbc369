"""Sentences on what the curves show: overfitting, and runs that learnt nothing."""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

from tlcore.analysis.groups import Group, groups_of, measured, name_of, percent
from tlcore.analysis.verdict.readiness import diverged_runs, highest_loss
from tlcore.results import ComparisonRecord, EvaluationPoint, PartMetrics, RunOutcome, RunRecord

MIN_GAP = 0.10  # a train–validation gap below 10 points is not called overfitting
STANDARD_ERRORS = 2.0  # nor one that the size of the validation part could explain
LOSS_RISE = 1.05  # the validation loss counts as rising from 5 % above its lowest value
MIN_POINTS = 3
MAX_NAMES = 8  # in one sentence


def overfitting(record: ComparisonRecord) -> list[str]:
    """Sentences on strategies whose train–validation gap shows overfitting, or that learnt nothing; one for all alike.

    Overfitting: mean train minus validation accuracy above 10 points and above two binomial standard errors of the
    validation part.
    """
    groups = groups_of(record)
    diverged = {id(group): runs for group in groups if (runs := diverged_runs(group, record.dataset.num_classes))}
    stuck = [group for group in groups if _stuck(group) and id(group) not in diverged]
    over = [group for group in groups if not _stuck(group) and _overfits(_outcomes(group))]
    risen = [(group, diverged[id(group)]) for group in groups if id(group) in diverged]
    return [
        line for line in (_of_diverged(risen, groups), _of_stuck(stuck, groups), _of_overfitting(over, groups)) if line
    ]


def _of_diverged(found: Sequence[tuple[Group, Sequence[RunRecord]]], among: Sequence[Group]) -> str | None:
    if not found:
        return None
    said = [f"{name_of(group, among)} ({_risen(group, runs)})" for group, runs in found]
    return (
        f"The training loss rose far above that of guessing, and nothing was learnt there: {'; '.join(said)}. This is "
        "no verdict on the strategy; give it a lower learning rate."
    )


def _risen(group: Group, runs: Sequence[RunRecord]) -> str:
    """`to 1,306, in 1 of 3 seeds`."""
    among = "" if len(runs) == len(group.finished) else f", in {len(runs)} of {len(group.finished)} seeds"
    return f"to {measured(max(highest_loss(run) for run in runs))}{among}"


def _of_stuck(found: Sequence[Group], among: Sequence[Group]) -> str | None:
    if len(found) < 2:
        return sentence_of(found[0], name_of(found[0], among, words=True)) if found else None
    return (
        f"{_names(found, among)} learnt nothing, each in at least one seed: the training loss did not get below the "
        "level of guessing. This is no verdict on these strategies; give them a larger budget or another learning rate."
    )


def _of_overfitting(found: Sequence[Group], among: Sequence[Group]) -> str | None:
    if len(found) < 2:
        return sentence_of(found[0], name_of(found[0], among, words=True)) if found else None
    ordered = sorted(found, key=lambda group: -_gap(_outcomes(group)))
    least, most = _gap(_outcomes(ordered[-1])), _gap(_outcomes(ordered[0]))
    rising = sum(bool(_loss_clause(group)) for group in found)
    loss = f"; in {rising} of them the validation loss rises while the training loss falls" if rising else ""
    return (
        f"{len(found)} rows overfit: their best checkpoints get {100 * least:.1f} to {100 * most:.1f} points more of "
        "the training images right, without augmentation, than of the validation images. From the largest gap: "
        f"{_names(ordered, among)}{loss}."
    )


def _names(found: Sequence[Group], among: Sequence[Group]) -> str:
    names = [name_of(group, among) for group in found]
    if len(names) > MAX_NAMES:
        return f"{', '.join(names[:MAX_NAMES])} and {len(names) - MAX_NAMES} more"
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _outcomes(group: Group) -> list[RunOutcome]:
    return [run.outcome for run in group.finished if run.outcome is not None]


def _stuck(group: Group) -> bool:
    return any(outcome.did_not_learn for outcome in _outcomes(group))


def sentence_of(group: Group, name: str) -> str | None:
    """What the group's runs show, in one sentence, or None where there is nothing to say."""
    outcomes = _outcomes(group)
    if not outcomes:
        return None
    stuck = sum(o.did_not_learn for o in outcomes)
    if stuck:
        who = "" if stuck == len(outcomes) else f" in {stuck} of {len(outcomes)} seeds"
        return (
            f"{name} learnt nothing{who}: the training loss did not get below the level of guessing. "
            "This is no verdict on the strategy; give it a larger budget or another learning rate."
        )
    if not _overfits(outcomes):
        return None
    train, val = fmean(o.train.accuracy for o in outcomes), fmean(o.val.accuracy for o in outcomes)
    over = f" (mean of {len(outcomes)} seeds)" if len(outcomes) > 1 else ""
    return (
        f"{name} overfits: its best checkpoint gets {percent(train)} of the training images right, without "
        f"augmentation, but {percent(val)} of the validation images: a gap of {100 * (train - val):.1f} points{over}"
        f"{_loss_clause(group)}."
    )


def _overfits(outcomes: Sequence[RunOutcome]) -> bool:
    return bool(outcomes) and _gap(outcomes) > max(
        MIN_GAP, STANDARD_ERRORS * fmean(_standard_error(o.val) for o in outcomes)
    )


def _gap(outcomes: Sequence[RunOutcome]) -> float:
    """Mean training minus validation accuracy."""
    return fmean(o.train.accuracy - o.val.accuracy for o in outcomes)


def _standard_error(part: PartMetrics) -> float:
    return math.sqrt(part.accuracy * (1 - part.accuracy) / part.num_images)


def _loss_clause(group: Group) -> str:
    epochs = [at for at in (rising_from(run.history) for run in group.finished) if at is not None]
    if len(epochs) * 2 <= len(group.finished):
        return ""
    return f"; from about epoch {round(fmean(epochs), 1):g} on the validation loss rises while the training loss falls"


def rising_from(history: Sequence[EvaluationPoint]) -> float | None:
    """The epoch of the lowest validation loss where it then rises for good while the training loss falls."""
    points = [
        (p.epoch, p.train_loss, p.val_loss) for p in history if p.train_loss is not None and p.val_loss is not None
    ]
    if len(points) < MIN_POINTS:
        return None
    lowest = min(range(len(points)), key=lambda i: points[i][2])
    after = points[lowest:]
    rose = len(after) > 1 and points[-1][2] > LOSS_RISE * points[lowest][2]
    fell = (
        len(after) > 1
        and after[-1][1] < after[0][1]
        and sum(b[1] < a[1] for a, b in pairwise(after)) * 2 > len(after) - 1
    )
    return points[lowest][0] if rose and fell else None

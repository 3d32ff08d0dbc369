"""Sentences on what the curves show: overfitting, and runs that learnt nothing."""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

from tlcore.analysis.groups import Group, groups_of, name_of, percent
from tlcore.results import ComparisonRecord, EvaluationPoint, PartMetrics, RunOutcome

MIN_GAP = 0.10  # a train–validation gap below 10 points is not called overfitting
STANDARD_ERRORS = 2.0  # nor one that the size of the validation part could explain
LOSS_RISE = 1.05  # the validation loss counts as rising from 5 % above its lowest value
MIN_POINTS = 3


def overfitting(record: ComparisonRecord) -> list[str]:
    """One sentence for each strategy whose train–validation gap shows overfitting, or that learnt nothing.

    Overfitting: mean train minus validation accuracy above 10 points and above two binomial standard errors of the
    validation part.
    """
    groups = groups_of(record)
    found = (sentence_of(group, name_of(group, groups, words=True)) for group in groups)
    return [sentence for sentence in found if sentence]


def sentence_of(group: Group, name: str) -> str | None:
    """What the group's runs show, in one sentence, or None where there is nothing to say."""
    outcomes = [run.outcome for run in group.finished if run.outcome is not None]
    if not outcomes:
        return None
    stuck = sum(o.did_not_learn for o in outcomes)
    if stuck:
        who = "" if stuck == len(outcomes) else f" in {stuck} of {len(outcomes)} seeds"
        return (
            f"{name} learnt nothing{who}: the training loss stayed at the level of guessing. "
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
    gap = fmean(o.train.accuracy - o.val.accuracy for o in outcomes)
    return gap > max(MIN_GAP, STANDARD_ERRORS * fmean(_standard_error(o.val) for o in outcomes))


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

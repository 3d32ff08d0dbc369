"""Whether strategies spent what they were given alike: without that, they cannot be compared."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from tlcore.analysis.groups import groups_of, name_of
from tlcore.results import ComparisonRecord, RunRecord

MAX_NAMES = 3


def unequal_budgets(record: ComparisonRecord) -> str | None:
    """Who met how many training images, or took how many steps, where that differs by more than a batch; else None.

    A budget in seconds is equal in seconds, so it is let alone; so is a fit, which takes no steps.
    """
    if record.spec.budget.seconds is not None:
        return None
    groups = groups_of(record)
    trained = [group for group in groups if any(_images(run) for run in group.finished)]
    batches = [run.resolved.batch_size for group in trained for run in group.finished if run.resolved]
    images = {name_of(g, groups): fmean(_images(run) for run in g.finished) for g in trained}
    if _differ(images, max(batches, default=0)):
        return f"{_said(images, 'met', 'images')}: budgets were not equal."
    steps = {name_of(g, groups): fmean(_steps(run) for run in g.finished) for g in trained}
    if _differ(steps, 1) and len(set(batches)) == 1:
        return f"{_said(steps, 'took', 'steps')}: budgets were not equal."
    return None


def _images(run: RunRecord) -> int:
    """Images met in optimiser steps: the one pass of a fit, also one before the steps, is no part of the budget."""
    fitted = max((point.images_seen for point in run.history if point.step == 0), default=0)
    return run.outcome.images_seen - fitted if run.outcome else 0


def _steps(run: RunRecord) -> int:
    return max((point.step for point in run.history), default=0)


def _differ(amounts: Mapping[str, float], allowed: float) -> bool:
    return bool(amounts) and max(amounts.values()) - min(amounts.values()) > allowed


def _said(amounts: Mapping[str, float], verb: str, what: str) -> str:
    """`Gradual unfreezing met 3,200 images, Fine-tuning and LoRA met 6,400`, the fewest first."""
    holders: dict[int, list[str]] = {}
    for name, amount in sorted(amounts.items(), key=lambda item: item[1]):
        holders.setdefault(round(amount), []).append(name)
    return ", ".join(f"{_listed(names)} {verb} {amount:,} {what}" for amount, names in holders.items())


def _listed(names: Sequence[str]) -> str:
    if len(names) > MAX_NAMES:
        return f"{', '.join(names[:MAX_NAMES])} and {len(names) - MAX_NAMES} more"
    return " and ".join([*([", ".join(names[:-1])] if names[:-1] else []), names[-1]])

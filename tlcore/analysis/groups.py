"""Runs of a comparison, put together by model, strategy and fraction: what a table row or a curve stands for."""

from collections.abc import Sequence
from dataclasses import dataclass

from tlcore.results import ComparisonRecord, RunRecord
from tlcore.strategies import STRATEGIES, Strategy

WHOLE = 1.0


@dataclass(frozen=True)
class Group:
    """All seeds of one model, strategy and fraction."""

    model: str
    strategy: str
    fraction: float
    runs: tuple[RunRecord, ...]

    @property
    def entry(self) -> Strategy:
        return STRATEGIES[self.strategy]

    @property
    def finished(self) -> tuple[RunRecord, ...]:
        """Runs with results."""
        return tuple(r for r in self.runs if r.status == "FINISHED" and r.outcome is not None)


def groups_of(record: ComparisonRecord) -> list[Group]:
    """Groups in the order asked: whole data first, then model, then strategy."""
    runs: dict[tuple[float, str, str], list[RunRecord]] = {}
    for run in record.runs:
        runs.setdefault((run.spec.fraction, run.spec.model, run.spec.strategy), []).append(run)
    models = list(dict.fromkeys(run.spec.model for run in record.runs))
    order = list(STRATEGIES)
    keys = sorted(runs, key=lambda k: (-k[0], models.index(k[1]), order.index(k[2])))
    return [
        Group(model, strategy, fraction, tuple(runs[fraction, model, strategy])) for fraction, model, strategy in keys
    ]


def several_models(groups: Sequence[Group]) -> bool:
    return len({g.model for g in groups}) > 1


def several_fractions(groups: Sequence[Group]) -> bool:
    return len({g.fraction for g in groups}) > 1


def in_words(strategy: Strategy) -> str:
    """The label for the middle of a sentence: `Fine-tuning (pretrained start, train all)`."""
    start, _, action = strategy.label.partition(": ")
    return f"{start} ({action})" if action else start


def percent(share: float, digits: int = 1) -> str:
    """`93.5 %`."""
    return f"{100 * share:.{digits}f} %"


def fraction_words(fraction: float) -> str:
    return "all training images" if fraction == WHOLE else f"{100 * fraction:g} % of the training images"


def name_of(group: Group, among: Sequence[Group], *, words: bool = False) -> str:
    """The group's name among the others: strategy, and model and fraction where they vary.

    words: the strategy by its full label, for sentences, instead of its short one.
    """
    name = in_words(group.entry) if words else group.entry.short_label
    if several_models(among):
        name = f"{group.model} / {name}"
    if several_fractions(among):
        name = f"{name}, {fraction_words(group.fraction)}"
    return name

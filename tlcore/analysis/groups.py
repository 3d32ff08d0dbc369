"""Runs of a comparison, put together by model, strategy and fraction: what a table row or a curve stands for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tlcore.results import ComparisonRecord, RunRecord
from tlcore.spec import ComparisonSpec
from tlcore.strategies import STRATEGIES, Strategy, split_reference

WHOLE = 1.0
LEAST_P = 1e-4  # of a p-value in words
OTHER_NETWORK = "a different network"


@dataclass(frozen=True)
class Group:
    """All seeds of one model, strategy and fraction. strategy: the reference; entry: what stands behind it.

    other_network: the strategy ran on a network of its own, not on those of the other strategies.
    """

    model: str
    strategy: str
    fraction: float
    runs: tuple[RunRecord, ...]
    entry: Strategy
    other_network: bool = False

    @property
    def model_name(self) -> str:
        """The model, marked where it is another network than that of the other strategies."""
        return f"{self.model} ({OTHER_NETWORK})" if self.other_network else self.model

    @property
    def finished(self) -> tuple[RunRecord, ...]:
        """Runs with results."""
        return tuple(r for r in self.runs if r.status == "FINISHED" and r.outcome is not None)


def groups_of(record: ComparisonRecord) -> list[Group]:
    """Groups in order: whole data first, then model as asked, then strategy as `order_of` says."""
    runs: dict[tuple[float, str, str], list[RunRecord]] = {}
    for run in record.runs:
        runs.setdefault((run.spec.fraction, run.spec.model, run.spec.strategy), []).append(run)
    models = list(dict.fromkeys((*record.spec.all_models, *(run.spec.model for run in record.runs))))
    order = order_of(record)
    keys = sorted(runs, key=lambda k: (-k[0], models.index(k[1]), order.index(k[2])))
    return [
        Group(
            model,
            strategy,
            fraction,
            tuple(runs[fraction, model, strategy]),
            record.spec.entry(strategy),
            is_other_network(record.spec, model, strategy),
        )
        for fraction, model, strategy in keys
    ]


def largest_fraction(groups: Sequence[Group]) -> float:
    """The largest part of the training images on which any of these groups has a finished run; 1 without one."""
    return max((group.fraction for group in groups if group.finished), default=WHOLE)


def is_other_network(spec: ComparisonSpec, model: str, strategy: str) -> bool:
    """Whether the strategy has a random start on `scratch_model`, on which no other strategy ran."""
    return model == spec.scratch_model and model not in spec.models and not spec.entry(strategy).needs_weights


def order_of(record: ComparisonRecord) -> list[str]:
    """The strategies of a comparison, as references: built-in ones as everywhere, variants and own ones as asked."""
    known = list(dict.fromkeys((*record.spec.strategies, *(run.spec.strategy for run in record.runs))))
    places = {name: place for place, name in enumerate(STRATEGIES)}
    return sorted(known, key=lambda reference: places.get(split_reference(reference)[0], len(places)))


def several_models(groups: Sequence[Group]) -> bool:
    return len({g.model for g in groups}) > 1


def several_fractions(groups: Sequence[Group]) -> bool:
    return len({g.fraction for g in groups}) > 1


def in_words(strategy: Strategy) -> str:
    """The label for the middle of a sentence: `Fine-tuning (pretrained start, train all)`."""
    start, _, action = strategy.label.partition(": ")
    if action.endswith(")"):  # a variant, with its settings in brackets
        action = ", ".join(action.removesuffix(")").rsplit(" (", 1))
    return f"{start} ({action})" if action else start


def percent(share: float, digits: int = 1) -> str:
    """`93.5 %`."""
    return f"{100 * share:.{digits}f} %"


def measured(value: float) -> str:
    """A measurement to three digits, two below 1, whole from 100: `0.044`, `4.12`, `1,204`."""
    return f"{value:,.0f}" if value > 99.5 else f"{value:.{2 if value < 1 else 3}g}"


def minus(numbers: str) -> str:
    """Numbers in words, with a true minus instead of a hyphen."""
    return numbers.replace("-", "−")


def p_words(p_value: float) -> str:
    """`0.021`; `< 0.0001` for what no test here tells apart from 0."""
    return f"{p_value:.2g}" if p_value >= LEAST_P else "< 0.0001"


def fraction_words(fraction: float) -> str:
    return "all training images" if fraction == WHOLE else f"{100 * fraction:g} % of the training images"


def name_of(group: Group, among: Sequence[Group], *, words: bool = False) -> str:
    """The group's name among the others: strategy, and model and fraction where they vary.

    words: the strategy by its full label, for sentences, instead of its short one.
    """
    name = in_words(group.entry) if words else group.entry.short_label
    if several_models(among):
        name = f"{group.model_name} / {name}"
    if several_fractions(among):
        name = f"{name}, {fraction_words(group.fraction)}"
    return name


class Panel(NamedTuple):
    """One model and part of the training images, on which strategies can be held against each other."""

    model: str
    fraction: float
    title: str


def panels(record: ComparisonRecord) -> list[Panel]:
    """Every model and fraction, the whole data first; a random start on another network belongs to all models."""
    groups = groups_of(record)
    found = {(g.model, g.fraction): g for g in groups if not g.other_network} or {
        (g.model, g.fraction): g for g in groups
    }
    models, fractions = several_models(list(found.values())), several_fractions(groups)
    return [
        Panel(model, fraction, ", ".join([model] * models + [fraction_words(fraction)] * fractions) or model)
        for model, fraction in found
    ]

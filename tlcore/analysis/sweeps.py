"""Sweeps inside a comparison: variants of one strategy that differ in one number, such as how deep it is frozen."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tlcore.analysis.anatomy import HEAD
from tlcore.analysis.groups import order_of
from tlcore.analysis.leaderboard import LeaderboardRow
from tlcore.recipes.words import words_of
from tlcore.results import ComparisonRecord, RunRecord
from tlcore.strategies import SettingValue, split_reference

LOG_FROM = 10.0  # the axis is logarithmic from this ratio of the largest to the smallest value
GROUPS = "last_groups"
Rest = tuple[tuple[str, SettingValue], ...]


@dataclass(frozen=True)
class SweepPoint:
    """A value of the setting, and the row of the leaderboard that it led to."""

    value: float
    row: LeaderboardRow


@dataclass(frozen=True)
class SweepLine:
    """All values on one model and fraction, from low to high. group_names: of the model, input to head, if known."""

    model: str
    fraction: float
    points: tuple[SweepPoint, ...]
    group_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sweep:
    """strategy: its id. setting: its field name. fixed: what else all variants have in common, in words."""

    strategy: str
    name: str
    setting: str
    fixed: str
    lines: tuple[SweepLine, ...]

    @property
    def values(self) -> list[float]:
        return sorted({point.value for line in self.lines for point in line.points})

    @property
    def is_logarithmic(self) -> bool:
        values = self.values
        spread = bool(values) and values[0] > 0 and values[-1] / values[0] >= LOG_FROM
        return spread and not words_of(self.setting).counts


# Strategies that are the ends of a sweep though they are no variants of it: how many of all layer groups they train.
# A variant at the same place goes before them: its recipe is that of the other points, transfer learning's is not.
ENDS: dict[tuple[str, str], dict[str, Callable[[int], int]]] = {
    ("partial_fine_tuning", GROUPS): {"transfer_learning": lambda groups: 0, "fine_tuning": lambda groups: groups},
}


def sweeps_of(record: ComparisonRecord, rows: Sequence[LeaderboardRow]) -> list[Sweep]:
    """Every setting that takes two values or more among variants of a strategy, with the results there are.

    The strategy itself, where it is compared too, stands at its default.
    """
    found = []
    for (strategy, setting, rest), values in _variants(order_of(record)).items():
        if len(set(values.values())) < 2:
            continue
        lines = [
            _line(record, rows, (model, fraction), (strategy, setting), values, bare=not rest)
            for model in record.spec.all_models
            for fraction in sorted(record.spec.fractions, reverse=True)
        ]
        drawn = tuple(line for line in lines if len(line.points) > 1)
        if drawn:
            name = record.spec.entry(strategy).short_label
            fixed = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in rest)
            found.append(Sweep(strategy, name, setting, fixed, drawn))
    return found


def _variants(references: Iterable[str]) -> dict[tuple[str, str, Rest], dict[str, float]]:
    """References with their value, by strategy, numeric setting, and what else they set."""
    found: dict[tuple[str, str, Rest], dict[str, float]] = {}
    for reference in references:
        name, settings = split_reference(reference)
        for key, value in settings.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                rest = tuple((k, v) for k, v in settings.items() if k != key)
                found.setdefault((name, key, rest), {})[reference] = float(value)
    return found


def _line(
    record: ComparisonRecord,
    rows: Sequence[LeaderboardRow],
    place: tuple[str, float],
    sweep: tuple[str, str],
    values: Mapping[str, float],
    bare: bool,
) -> SweepLine:
    """bare: the variants set nothing but the swept setting, so that the plain strategy and the ends belong to them."""
    mine = {r.strategy: r for r in rows if (r.model, r.fraction) == place and r.test_accuracy is not None}
    runs = [run for run in record.runs if (run.spec.model, run.spec.fraction) == place]
    names = _group_names(run for run in record.runs if run.spec.model == place[0])
    points = {value: mine[reference] for reference, value in values.items() if reference in mine}
    if bare:
        for reference, value in _further(sweep, runs, len(names) - 1).items():
            if reference in mine:
                points.setdefault(value, mine[reference])
    return SweepLine(*place, tuple(SweepPoint(value, points[value]) for value in sorted(points)), names)


def _further(sweep: tuple[str, str], runs: Sequence[RunRecord], groups: int) -> dict[str, float]:
    """The plain strategy at its default, and the ends of the sweep, by reference. groups: below 1 where not known."""
    strategy, setting = sweep
    known = {ref: float(count(groups)) for ref, count in ENDS.get(sweep, {}).items() if groups > 0 or count(9) == 0}
    default = next((d for r in runs if r.spec.strategy == strategy and (d := _default(r, setting)) is not None), None)
    return known if default is None else {strategy: default, **known}


def _default(run: RunRecord, setting: str) -> float | None:
    """What the run's recipe had for a setting, where all phases that have it agree."""
    recipe = run.resolved.recipe if run.resolved else {}
    phases, network = recipe.get("phases"), recipe.get("network")
    rows = [row for row in phases if isinstance(row, Mapping)] if isinstance(phases, list | tuple) else []
    found = [row.get(setting) for row in rows] + [network.get(setting) if isinstance(network, Mapping) else None]
    if setting == GROUPS:
        parts = [str(row.get("trainable", "")).partition(":") for row in rows]
        found = [int(number) for kind, _, number in parts if kind == "last" and number.isdigit()]
    numbers = {float(v) for v in found if isinstance(v, int | float) and not isinstance(v, bool)}
    return numbers.pop() if len(numbers) == 1 else None


def _group_names(runs: Iterable[RunRecord]) -> tuple[str, ...]:
    """The model's layer groups, head last, of the run that tells most; none where no run recorded them."""
    known = [tuple(g.name for g in run.outcome.layer_groups) for run in runs if run.outcome]
    longest = max(known, key=len, default=())
    return longest if longest and longest[-1] == HEAD else ()

"""Whether the grids of two comparisons fit together, and the grid that holds both."""

from tlcore.errors import SpecError
from tlcore.results import ComparisonRecord
from tlcore.service.plans import Plan
from tlcore.spec import ComparisonSpec, RunSpec, SharedSpec, checked


def missing(plan: Plan, existing: ComparisonRecord) -> list[RunSpec]:
    """The runs that the comparison lacks. Raises: SpecError when they would not be comparable, or none is new."""
    asked, there = plan.runs[0], existing.spec.runs()[0]
    if asked.family != there.family:
        differing = [n for n in SharedSpec.model_fields if getattr(existing.spec, n) != getattr(plan.spec, n)]
        raise SpecError(
            f"these runs cannot join comparison {existing.comparison_id}: {', '.join(differing)} differ; start another"
        )
    have = {place(run.spec) for run in existing.runs}
    new = [run for run in plan.runs if place(run) not in have]
    if not new:
        raise SpecError(f"comparison {existing.comparison_id} has all of these runs already: name another seed")
    return new


def union(old: ComparisonSpec, new: ComparisonSpec) -> ComparisonSpec:
    """The grid that holds both. Raises: SpecError where a run of one would be another run in it.

    So may be the weights of a model, the settings or the definition of a strategy, or the network that it runs on.
    """
    grown = {
        name: tuple(dict.fromkeys(getattr(old, name) + getattr(new, name)))
        for name in ("models", "strategies", "seeds", "fractions")
    }
    merged = {
        "weights": {**old.weights, **new.weights},
        "overrides": {**old.overrides, **new.overrides},
        "own_strategies": tuple({own.id: own for own in (*old.own_strategies, *new.own_strategies)}.values()),
        "scratch_model": old.scratch_model or new.scratch_model,
        "allow_partial_weights": old.allow_partial_weights or new.allow_partial_weights,
    }
    joined = checked(ComparisonSpec, **{**old.model_dump(), **grown, **merged})
    held = {place(run): run for run in joined.runs()}
    for spec in (old, new):
        for run in spec.runs():
            _require_same(run, held.get(place(run)), joined)
    return joined


def place(run: RunSpec) -> tuple[str, str, int, float]:
    """What tells a run from the others of a comparison."""
    return run.model, run.strategy, run.seed, run.fraction


def _require_same(run: RunSpec, held: RunSpec | None, joined: ComparisonSpec) -> None:
    """Raises: SpecError where a run would not be the same in the union."""
    remedy = "use the same, or start another comparison"
    if held is None:
        raise SpecError(
            f"{run.strategy} would run on {run.model} in one part and on {joined.scratch_model} in the other: {remedy}"
        )
    for name in RunSpec.model_fields:
        here, there = getattr(run, name), getattr(held, name)
        if here != there:
            said = "" if name == "own_strategy" else f": {here!r} and {there!r}"
            raise SpecError(
                f"the {name.replace('_', ' ')} of {run.strategy} on {run.model} would differ between the comparison "
                f"and these runs{said}: {remedy}"
            )

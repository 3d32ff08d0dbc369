"""The grids that a comparison is made of, where it grew by seeds for some of its strategies alone."""

from tlcore.results import ComparisonRecord
from tlcore.spec import ComparisonSpec

Cells = frozenset[tuple[str, str, float]]  # model, strategy, fraction


def parts_of(record: ComparisonRecord) -> list[ComparisonSpec] | None:
    """Grids that have the comparison's runs together and no other, in the order of its seeds; None where such do not.

    One for all seeds with the same models, strategies and fractions, or one for each of these models.
    """
    alike: dict[Cells, list[int]] = {}
    for seed in record.spec.seeds:
        cells = frozenset((r.spec.model, r.spec.strategy, r.spec.fraction) for r in record.runs if r.spec.seed == seed)
        if cells:
            alike.setdefault(cells, []).append(seed)
    parts = [_grids(record.spec, cells, tuple(seeds)) for cells, seeds in alike.items()]
    known = [grids for grids in parts if grids is not None]
    return [grid for grids in known for grid in grids] if known and len(known) == len(parts) else None


def _grids(spec: ComparisonSpec, cells: Cells, seeds: tuple[int, ...]) -> list[ComparisonSpec] | None:
    models = tuple(model for model in spec.models if any(model == m for m, _, _ in cells))
    for split in ([models], [(model,) for model in models]):
        grids = [_narrowed(spec, cells, some, seeds) for some in split if some]
        if {(r.model, r.strategy, r.fraction) for grid in grids for r in grid.runs()} == cells:
            return grids
    return None


def _narrowed(spec: ComparisonSpec, cells: Cells, models: tuple[str, ...], seeds: tuple[int, ...]) -> ComparisonSpec:
    """The grid of these models' cells; a random start on another network belongs to every model."""
    own = {(s, f) for m, s, f in cells if m in models or m not in spec.models}
    fractions = tuple(fraction for fraction in spec.fractions if any(fraction == f for _, f in own))
    weights = {model: source for model, source in spec.weights.items() if model in models}
    return spec.narrowed(
        {strategy for strategy, _ in own}, models=models, weights=weights, seeds=seeds, fractions=fractions
    )

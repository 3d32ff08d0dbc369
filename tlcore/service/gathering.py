"""Runs of several comparisons seen together, where they match: a list of run ids as a comparison of its own."""

from functools import reduce

from tlcore import tracking
from tlcore.analysis.comparison import comparable
from tlcore.errors import SpecError
from tlcore.results import ENDED, GATHERED, ComparisonRecord, RunRecord
from tlcore.service import recorded
from tlcore.service.joining import place, union
from tlcore.settings import get_settings
from tlcore.spec import ComparisonSpec, RunSpec


def id_of(run_ids: list[str]) -> str:
    """The id under which these runs are seen together."""
    return GATHERED + ",".join(run_ids)


def gather(gathered_id: str) -> ComparisonRecord:
    """The runs of `runs:ID,ID…` as one comparison, in the order given. Nothing is stored.

    Raises: NotFoundError for an unknown run; SpecError, with the reasons, where they cannot be compared.
    """
    run_ids = list(
        dict.fromkeys(part.strip() for part in gathered_id.removeprefix(GATHERED).split(",") if part.strip())
    )
    if not run_ids:
        raise SpecError("runs: names no run: give their ids, separated by commas")
    runs = [_run(run_id) for run_id in run_ids]
    _require_distinct(runs)
    reasons = comparable(runs)
    if reasons:
        raise SpecError(f"these {len(runs)} runs cannot be compared: {'; '.join(reasons)}")
    parents = [_parent(comparison_id) for comparison_id in dict.fromkeys(run.comparison_id for run in runs)]
    first = parents[0]
    spec = reduce(union, [parent.spec for parent in parents[1:]], first.spec)
    return ComparisonRecord(
        comparison_id=id_of(run_ids),
        spec=_narrowed(spec, runs, f"{first.dataset.name}: {len(runs)} run{'' if len(runs) == 1 else 's'}"),
        status="FINISHED" if all(run.status in ENDED for run in runs) else "RUNNING",
        owner="",
        created_ms=min(parent.created_ms for parent in parents),
        dataset=first.dataset,
        runs=tuple(runs),
        looks=_looks(runs, parents),
    )


def _narrowed(spec: ComparisonSpec, runs: list[RunRecord], title: str) -> ComparisonSpec:
    """The grid of these runs alone."""
    strategies = {run.spec.strategy for run in runs}
    seeds = tuple(seed for seed in spec.seeds if any(run.spec.seed == seed for run in runs))
    fractions = tuple(fraction for fraction in spec.fractions if any(run.spec.fraction == fraction for run in runs))
    models = tuple(model for model in spec.models if any(run.spec.model == model for run in runs))
    weights = {model: source for model, source in spec.weights.items() if model in models}
    networks = {"models": models, "weights": weights} if models else {}  # none: all are on `scratch_model`
    return spec.narrowed(strategies, seeds=seeds, fractions=fractions, title=title, **networks)


def _looks(runs: list[RunRecord], parents: list[ComparisonRecord]) -> int:
    """Seeds of one strategy that come from several comparisons were added after looking at the first."""
    looks = {parent.comparison_id: parent.looks for parent in parents}
    sources: dict[tuple[str, str], set[str]] = {}
    for run in runs:
        sources.setdefault((run.spec.model, run.spec.strategy), set()).add(run.comparison_id)
    return max(sum(looks.get(source, 1) for source in found) for found in sources.values())


def _run(run_id: str) -> RunRecord:
    shipped = next((run for run in recorded.runs() if run.run_id == run_id), None)
    return tracking.load_run(get_settings(), run_id) if shipped is None else shipped


def _parent(comparison_id: str) -> ComparisonRecord:
    if comparison_id == recorded.RECORDED_ID:
        return recorded.record()
    return tracking.load_comparison(get_settings(), comparison_id, with_history=False)


def _require_distinct(runs: list[RunRecord]) -> None:
    """Raises: SpecError where two runs are the same one done twice: which of them should count is not for us to say."""
    seen: dict[tuple[str, str, int, float], RunSpec] = {}
    for run in runs:
        if place(run.spec) in seen:
            raise SpecError(f"two of these runs are {run.spec.name}: leave one of them out")
        seen[place(run.spec)] = run.spec

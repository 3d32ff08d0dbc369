"""What a comparison says: the JSON contract's value. Tables, differences and findings are told in their own files."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

from tlcore.analysis.differences import comparable, differences, other_tests
from tlcore.analysis.findings import overfitting
from tlcore.analysis.floors import floor_results
from tlcore.analysis.groups import Group, in_words, percent, several_models
from tlcore.analysis.leaderboard import leaderboard, leaderboard_table
from tlcore.analysis.statistics.estimates import Predictions, estimates_of
from tlcore.analysis.statistics.intervals import Estimate
from tlcore.results import (
    AccuracyOnly,
    ComparisonRecord,
    ComparisonResult,
    PartMetrics,
    PartScore,
    RunRecord,
    RunResult,
    StrategyResult,
    Verdict,
)
from tlcore.spec import ComparisonSpec

MAX_RANKED = 3  # places that the verdict names; the table has them all
__all__ = [
    "comparable",
    "differences",
    "leaderboard",
    "leaderboard_table",
    "overfitting",
    "result_of",
]


def result_of(
    record: ComparisonRecord, predictions: Predictions, known: Sequence[tuple[Group, Estimate | None]] | None = None
) -> ComparisonResult:
    """The result of a comparison, finished or not. predictions: by run id, as far as they are at hand.

    known: what `estimates_of` says of them, where somebody has asked before.
    """
    pairs = estimates_of(record, predictions) if known is None else known
    groups, estimates = [group for group, _ in pairs], [estimate for _, estimate in pairs]
    resolved = [run.resolved for run in record.runs if run.resolved is not None]
    return ComparisonResult(
        comparison_id=record.comparison_id,
        dataset=record.dataset,
        models=record.spec.models,
        weights=weights_text(record.spec),
        device=_joined([r.device for r in resolved]),
        device_reason=_joined([r.device_reason for r in resolved]),
        budget=record.spec.budget.as_dict(),
        split=record.spec.split,
        runs=tuple(_run_result(run) for run in record.runs),
        strategies=tuple(_strategy_result(g, e) for g, e in zip(groups, estimates, strict=True)),
        floors=floor_results(record),
        verdict=ranking(record, groups, estimates),
    )


def ranking(record: ComparisonRecord, groups: Sequence[Group], estimates: Sequence[Estimate | None]) -> Verdict:
    """The first few by mean test accuracy on the most training data, in one sentence; nothing is tested.

    None is named where strategies met other test images.
    """
    largest = max((group.fraction for group in groups), default=1.0)
    ranked = [(g, e) for g, e in zip(groups, estimates, strict=True) if e is not None and g.fraction == largest]
    ranked.sort(key=lambda pair: -pair[1].mean)
    if not ranked:
        return Verdict(text="not tested: no run has finished", best=(), distinguishable=False)
    apart = other_tests([run for group, _ in ranked for run in group.finished])
    if apart is not None:
        return Verdict(text=f"not compared: {apart}", best=(), distinguishable=False)
    models = several_models(groups)
    names = [f"{g.model_name} / {in_words(g.entry)}" if models else in_words(g.entry) for g, _ in ranked]
    places = [1 + sum(other.mean > e.mean for _, other in ranked) for _, e in ranked]
    listed = [f"{p}. {n} {percent(e.mean)}" for p, n, (_, e) in zip(places, names, ranked, strict=True)]
    order = "; ".join(listed[:MAX_RANKED]) + (
        f"; and {len(listed) - MAX_RANKED} more" if len(listed) > MAX_RANKED else ""
    )
    seeds = sorted({len(g.finished) for g, _ in ranked})
    over = f"{' to '.join(str(s) for s in (seeds[0], seeds[-1])[: len(seeds)])} seed{'' if seeds[-1] == 1 else 's'}"
    over += "" if record.spec.split_plan.is_fixed else ", each with its own test images,"
    top = [g for p, (g, _) in zip(places, ranked, strict=True) if p == 1]
    return Verdict(
        text=f"not tested: order by mean test accuracy over {over} at a budget of {record.spec.budget}: {order}",
        best=tuple(f"{g.model} / {g.strategy}" if models else g.strategy for g in top),
        distinguishable=False,
    )


def weights_text(spec: ComparisonSpec) -> str:
    """Where the pretrained weights came from, as one string: the source, or `model=source` for each model."""
    if len(spec.models) == 1:
        return spec.weights_of(spec.models[0])
    return ", ".join(f"{model}={spec.weights_of(model)}" for model in spec.models)


def _strategy_result(group: Group, estimate: Estimate | None) -> StrategyResult:
    return StrategyResult(
        model=group.model,
        strategy=group.strategy,
        label=group.entry.label,
        fraction=group.fraction,
        num_seeds=len(group.finished),
        test_accuracy_mean=None if estimate is None else estimate.mean,
        test_accuracy_ci95=None if estimate is None else estimate.interval,
    )


def _run_result(run: RunRecord) -> RunResult:
    outcome = run.outcome if run.status == "FINISHED" else None
    figures = {
        name: _finite(getattr(outcome, name, None))
        for name in (
            "best_epoch", "epochs", "images_seen", "train_seconds", "total_seconds", "peak_memory_bytes",
            "num_parameters", "num_trainable_parameters", "frozen_state_unchanged", "did_not_learn", "tuning_seconds",
            "model_bytes", "latency_ms", "images_per_second",
        )
    }  # fmt: skip
    return RunResult(
        run_id=run.run_id,
        model=run.spec.model,
        strategy=run.spec.strategy,
        seed=run.spec.seed,
        fraction=run.spec.fraction,
        weights=run.spec.weights,
        status=run.status,
        error=run.error,
        test=_score(outcome.test) if outcome else PartScore(),
        val=AccuracyOnly(accuracy=_finite(outcome.val.accuracy) if outcome else None),
        train=AccuracyOnly(accuracy=_finite(outcome.train.accuracy) if outcome else None),
        num_trials=len(outcome.trials) if outcome else 0,
        chosen=next((t.settings for t in outcome.trials if t.chosen), None) if outcome else None,
        **figures,
    )


def _score(part: PartMetrics) -> PartScore:
    return PartScore(**{name: _finite(getattr(part, name)) for name in PartScore.model_fields})


def _finite(value: Any) -> Any:
    """The number, or None for one that is none: the contract has null, never NaN."""
    return None if isinstance(value, float) and not isfinite(value) else value


def _joined(values: Sequence[str]) -> str | None:
    return "; ".join(dict.fromkeys(values)) or None

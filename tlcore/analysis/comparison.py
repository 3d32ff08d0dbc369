"""What a comparison says: the JSON contract's value. Tables, differences and findings are told in their own files."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

from tlcore.analysis.differences import comparable, differences
from tlcore.analysis.findings import overfitting
from tlcore.analysis.floors import floor_results
from tlcore.analysis.groups import Group
from tlcore.analysis.leaderboard import leaderboard, leaderboard_table
from tlcore.analysis.statistics.estimates import Predictions, all_right, estimates_of
from tlcore.analysis.statistics.intervals import Estimate
from tlcore.analysis.verdict import verdict_of
from tlcore.results import (
    DEFAULT_MARGIN,
    AccuracyOnly,
    ComparisonRecord,
    ComparisonResult,
    PartMetrics,
    PartScore,
    RunRecord,
    RunResult,
    StrategyResult,
)
from tlcore.spec import ComparisonSpec

__all__ = [
    "comparable",
    "differences",
    "leaderboard",
    "leaderboard_table",
    "overfitting",
    "result_of",
]


def result_of(record: ComparisonRecord, predictions: Predictions, margin: float = DEFAULT_MARGIN) -> ComparisonResult:
    """The result of a comparison, finished or not. predictions: by run id, as far as they are at hand.

    margin: accuracy in [0, 1] below which a difference does not matter.
    """
    right = all_right(predictions)
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
        strategies=tuple(_strategy_result(group, estimate) for group, estimate in estimates_of(record, right)),
        floors=floor_results(record),
        verdict=verdict_of(record, right, margin),
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
            "model_bytes", "latency_ms", "images_per_second", "seconds_by_part",
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

"""The table of a comparison: one row per model, strategy and fraction."""

from collections.abc import Sequence
from math import isfinite
from statistics import fmean, median, stdev

import pandas as pd

from tlcore.analysis.floors import FloorRow
from tlcore.analysis.groups import Group, fraction_words
from tlcore.analysis.statistics.estimates import Predictions, all_right, estimates_of
from tlcore.analysis.statistics.intervals import Estimate, Interval
from tlcore.results import ComparisonRecord, RunOutcome, Value

TUNING = "Of it, trials not chosen (s)"


class LeaderboardRow(Value):
    """One model, strategy and fraction over its finished seeds; accuracies in [0, 1], None without a finished run.

    model_name: the model, marked where it is another network than that of the other strategies.
    interval_covers: the variation in `ci95`, in words. test_spread: sample standard deviation over seeds.
    tuning_seconds: the part of train_seconds that went into trials which were not chosen. did_not_learn: seeds whose
    training loss stayed at guessing. model_bytes, latency_ms: as of `RunOutcome`, the largest and the median over
    seeds. images_per_second: as of `RunOutcome`, the median. frozen_unchanged: None where no phase freezes.
    """

    model: str
    model_name: str
    strategy: str
    label: str
    short_label: str
    color: str
    fraction: float
    seeds_finished: int
    seeds_asked: int
    test_accuracy: float | None = None
    test_accuracies: tuple[float, ...] = ()
    ci95: Interval | None = None
    interval_covers: str = "none"
    test_spread: float | None = None
    train_accuracy: float | None = None
    val_accuracy: float | None = None
    gap: float | None = None
    train_seconds: float | None = None
    tuning_seconds: float | None = None
    total_seconds: float | None = None
    peak_memory_bytes: int | None = None
    model_bytes: int | None = None
    latency_ms: float | None = None
    images_per_second: float | None = None
    num_parameters: int | None = None
    num_trainable_parameters: int | None = None
    did_not_learn: int = 0
    frozen_unchanged: bool | None = None


def leaderboard(
    record: ComparisonRecord, predictions: Predictions, known: Sequence[tuple[Group, Estimate | None]] | None = None
) -> list[LeaderboardRow]:
    """Rows sorted by fraction, then mean test accuracy, the best first; those without a finished run last.

    predictions: by run id, as of `estimate_of`. known: the estimates where somebody has them.
    """
    pairs = estimates_of(record, all_right(predictions)) if known is None else known
    rows = [_row(group, estimate) for group, estimate in pairs]
    return sorted(rows, key=lambda r: (-r.fraction, r.test_accuracy is None, -(r.test_accuracy or 0.0)))


def leaderboard_table(rows: Sequence[LeaderboardRow], floors: Sequence[FloorRow] = ()) -> pd.DataFrame:
    """The rows as people read them: units in the headings, numbers left as numbers; constant columns left out.

    floors: come after all rows.
    """
    table = pd.DataFrame([*(_shown(row) for row in rows), *(_shown_floor(floor) for floor in floors)])
    if "Parameters trained" in table:
        table["Parameters trained"] = table["Parameters trained"].astype("Int64")  # whole also beside missing ones
    constant = [c for c in ("Model", "Training data") if c in table and table[c].nunique() < 2]
    untuned = [TUNING] if not any(row.tuning_seconds for row in rows) else []
    return table.drop(columns=[c for c in (*constant, *untuned) if c in table])


def _row(group: Group, estimate: Estimate | None) -> LeaderboardRow:
    entry = group.entry
    finished = group.finished
    known = {
        "model": group.model,
        "model_name": group.model_name,
        "strategy": group.strategy,
        "label": entry.label,
        "short_label": entry.short_label,
        "color": entry.color,
        "fraction": group.fraction,
        "seeds_finished": len(finished),
        "seeds_asked": len(group.runs),
    }
    if estimate is None:
        return LeaderboardRow.model_validate(known)
    outcomes = [run.outcome for run in finished if run.outcome is not None]
    measured = {"test_accuracy": estimate.mean, "ci95": estimate.interval, "interval_covers": estimate.basis}
    return LeaderboardRow.model_validate({**known, **measured, **_means(outcomes)})


def _means(outcomes: Sequence[RunOutcome]) -> dict[str, object]:
    accuracies = tuple(o.test.accuracy for o in outcomes)
    proofs = [o.frozen_state_unchanged for o in outcomes if o.frozen_state_unchanged is not None]
    sizes = [o.model_bytes for o in outcomes if o.model_bytes is not None]
    latencies = [o.latency_ms for o in outcomes if o.latency_ms is not None]
    paces = [o.images_per_second for o in outcomes if o.images_per_second is not None]
    memory = [o.peak_memory_bytes for o in outcomes if o.peak_memory_bytes is not None]
    return {
        "test_accuracies": accuracies,
        "test_spread": stdev(accuracies) if len(accuracies) > 1 else None,
        "train_accuracy": fmean(o.train.accuracy for o in outcomes),
        "val_accuracy": fmean(o.val.accuracy for o in outcomes),
        "gap": fmean(o.train.accuracy - o.val.accuracy for o in outcomes),
        "train_seconds": fmean(o.train_seconds for o in outcomes),
        "tuning_seconds": fmean(o.tuning_seconds for o in outcomes),
        "total_seconds": fmean(o.total_seconds for o in outcomes),
        "peak_memory_bytes": max(memory) if memory else None,
        "model_bytes": max(sizes, default=None),
        "latency_ms": median(latencies) if latencies else None,
        "images_per_second": median(paces) if paces else None,
        "num_parameters": outcomes[0].num_parameters,
        "num_trainable_parameters": max(o.num_trainable_parameters for o in outcomes),
        "did_not_learn": sum(o.did_not_learn for o in outcomes),
        "frozen_unchanged": all(proofs) if proofs else None,
    }


def _shown_floor(floor: FloorRow) -> dict[str, object]:
    """Under the same headings; what only training has is left out."""
    return {
        "Model": floor.model_name,
        "Strategy": floor.label,
        "Training data": fraction_words(floor.fraction),
        "Seeds": f"{floor.num_seeds} of {floor.seeds_asked}",
        "Test accuracy (%)": _scaled(floor.test_accuracy, 100, 1),
        "95 % interval (%)": _interval_words(floor.ci95),
        "Spread over seeds (points)": _scaled(floor.test_spread, 100, 1),
        "Validation accuracy (%)": _scaled(floor.val_accuracy, 100, 1),
        "Learned": "–",
        "Frozen part": "–",
    }


def _interval_words(interval: Interval | None) -> str:
    return "–" if interval is None else f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"


def _shown(row: LeaderboardRow) -> dict[str, object]:
    return {
        "Model": row.model_name,
        "Strategy": row.label,
        "Training data": fraction_words(row.fraction),
        "Seeds": f"{row.seeds_finished} of {row.seeds_asked}",
        "Test accuracy (%)": _scaled(row.test_accuracy, 100, 1),
        "95 % interval (%)": _interval_words(row.ci95),
        "Spread over seeds (points)": _scaled(row.test_spread, 100, 1),
        "Validation accuracy (%)": _scaled(row.val_accuracy, 100, 1),
        "Train − validation (points)": _scaled(row.gap, 100, 1),
        "Training time (s)": _scaled(row.train_seconds, 1, 1),
        TUNING: _scaled(row.tuning_seconds, 1, 1),
        "Parameters trained": row.num_trainable_parameters,
        "Learned": _learned(row),
        "Frozen part": {True: "unchanged", False: "CHANGED", None: "–"}[row.frozen_unchanged],
    }


def _learned(row: LeaderboardRow) -> str:
    if not row.seeds_finished:
        return "–"
    if not row.did_not_learn:
        return "yes"
    return "no" if row.did_not_learn == row.seeds_finished else f"not {row.did_not_learn} of {row.seeds_finished}"


def _scaled(value: float | None, factor: float, digits: int) -> float | None:
    return None if value is None or not isfinite(value) else round(factor * value, digits) + 0.0  # never −0.0

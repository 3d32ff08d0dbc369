"""The trials of tuned runs, as a table."""

from collections.abc import Mapping, Sequence

from tlcore.analysis.groups import fraction_words
from tlcore.recipes.words import words_of
from tlcore.results import ComparisonRecord, RunRecord, Trial
from tlcore.strategies import SettingValue


def trial_rows(runs: Sequence[RunRecord], record: ComparisonRecord) -> list[dict[str, object]]:
    """One row per trial of these runs: what was tried, what it gave on validation, what it cost."""
    return [
        _row(_name(run, record), trial)
        for run in runs
        if run.outcome
        for trial in sorted(run.outcome.trials, key=_number)
    ]


def tuning_words(runs: Sequence[RunRecord]) -> str:
    """What trials are; and where the recipe's own trial is no equal of the others."""
    said = (
        "Each trial is a whole run with other settings; the best on validation is the run. The training time in the "
        "leaderboard holds all trials; test images were seen by the chosen one only."
    )
    fitted = dict.fromkeys(run.spec.entry.short_label for run in runs if _sweeps(run))
    if not fitted:
        return said
    return (
        f"{said} {', '.join(fitted)}: trial 0 tries every C of its range on validation, the others one C each, so they "
        f"can hardly be better."
    )


def _sweeps(run: RunRecord) -> bool:
    """Whether trials of this run draw nothing but the C that its recipe looks for itself."""
    drawn = [trial.settings for trial in run.outcome.trials] if run.outcome else []
    return any({key.rpartition(".")[2] for key in settings} == {"c_low", "c_high"} for settings in drawn)


def settings_text(settings: Mapping[str, SettingValue]) -> str:
    """`Learning rate of the head 0.003, Weight decay 0.0001`, or what an empty one stands for."""
    said = [f"{words_of(key).label} {_value(value)}" for key, value in settings.items()]
    return ", ".join(said) or "the recipe's own"


def _row(name: str, trial: Trial) -> dict[str, object]:
    return {
        "Run": name,
        "Trial": trial.number,
        "Chosen": "chosen" if trial.chosen else f"failed: {trial.error}" if trial.error else "",
        "Settings tried": settings_text(trial.settings),
        "Validation accuracy (%)": None if trial.val_accuracy is None else round(100 * trial.val_accuracy, 1),
        "Validation loss (nats)": None if trial.val_loss is None else round(trial.val_loss, 3),
        "Training time (s)": round(trial.train_seconds, 1),
    }


def _name(run: RunRecord, record: ComparisonRecord) -> str:
    part = "" if run.spec.fraction == 1 else f" · {fraction_words(run.spec.fraction)}"
    return f"{record.spec.entry(run.spec.strategy).short_label} · {run.spec.model} · seed {run.spec.seed}{part}"


def _number(trial: Trial) -> int:
    return trial.number


def _value(value: SettingValue) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

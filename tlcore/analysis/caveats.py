"""What a reader needs besides the figures: how far to believe them, and the command that makes them again."""

import shlex

from tlcore.analysis.differences import comparable
from tlcore.results import ComparisonRecord, DatasetSummary
from tlcore.spec import ComparisonSpec, OverrideValue
from tlcore.strategies import STRATEGIES


def command_of(spec: ComparisonSpec, dataset: DatasetSummary) -> str:
    """The command that makes the same comparison, ready for a shell."""
    words = ["--dataset", dataset.id]
    for model in spec.models:
        words += ["--model", model]
    if any(STRATEGIES[s].needs_weights for s in spec.strategies):
        lone = len(spec.models) == 1
        for model in spec.models:
            source = spec.weights_of(model)
            words += ["--weights", source if lone else f"{model}={source}"]
    for strategy in spec.strategies:
        words += ["--strategy", strategy]
    words += ["--seeds", ",".join(str(seed) for seed in spec.seeds)]
    for unit, amount in spec.budget.as_dict().items():
        words += [f"--{unit}", _number(amount)]
    if spec.fractions != (1.0,):
        words += ["--fractions", ",".join(_number(fraction) for fraction in spec.fractions)]
    words += _optional(spec)
    for strategy, values in spec.overrides.items():
        for key, value in values.items():
            words += ["--set", f"{strategy}.{key}={_number(value)}"]
    return "python -m tlcore compare " + " ".join(shlex.quote(word) for word in words)


def caveats(record: ComparisonRecord) -> list[str]:
    """What a reader has to know before believing the table, one line each."""
    lines = [f"Not comparable: {reason}." for reason in comparable(record.runs)]
    undone = [run for run in record.runs if run.status != "FINISHED"]
    if undone:
        lines.append(f"{len(undone)} of {len(record.runs)} runs have no result: {_statuses(record)}.")
    if len(record.spec.seeds) == 1:
        lines.append("One seed: intervals cover the choice of test images only, so they speak of these trained models.")
    elif len(record.spec.seeds) < 6:
        lines.append(f"{len(record.spec.seeds)} seeds are few: differences within the intervals may well be chance.")
    lines.append("The order of the strategies was not tested for significance.")
    budget = record.spec.budget
    lines.append(f"It holds at a budget of {budget}; with a larger one, strategies that still rise may catch up.")
    if record.recorded_on:
        lines.append(f"Recorded on {record.recorded_on} on another machine: times differ here.")
    notes = dict.fromkeys(note for run in record.runs if run.resolved for note in run.resolved.notes)
    return lines + list(notes)


def _statuses(record: ComparisonRecord) -> str:
    counts: dict[str, int] = {}
    for run in record.runs:
        counts[run.status] = counts.get(run.status, 0) + 1
    return ", ".join(f"{count} {status.lower()}" for status, count in counts.items())


def _optional(spec: ComparisonSpec) -> list[str]:
    words: list[str] = []
    asked = (
        ("--image-size", spec.image_size),
        ("--batch-size", spec.batch_size),
        ("--num-threads", spec.num_threads),
    )
    for option, value in asked:
        words += [option, str(value)] if value is not None else []
    return [*words, "--device", spec.device]


def _number(value: OverrideValue) -> str:
    """Without a trailing `.0`, and with every digit that matters."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)

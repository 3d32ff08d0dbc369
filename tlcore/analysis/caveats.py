"""What a reader needs besides the figures: how far to believe them, and the command that makes them again."""

import re
import shlex
from collections.abc import Mapping

from tlcore.analysis.additions import parts_of
from tlcore.analysis.budgets import unequal_budgets
from tlcore.analysis.differences import comparable
from tlcore.analysis.groups import groups_of
from tlcore.results import GATHERED, STATE_WORDS, ComparisonRecord, DatasetSummary, WeightsMatch
from tlcore.spec import ComparisonSpec
from tlcore.strategies import SettingValue

_CHOSEN = re.compile(r"\bC = ([\d.e+-]+),")  # in the note of `training.features.classifiers`


def command_of(spec: ComparisonSpec, dataset: DatasetSummary) -> str:
    """The command that makes the same comparison, ready for a shell."""
    words = ["--dataset", dataset.id]
    for model in spec.models:
        words += ["--model", model]
    if any(spec.entry(s).needs_weights for s in spec.strategies):
        lone = len(spec.models) == 1
        for model in spec.models:
            source = spec.weights_of(model)
            words += ["--weights", source if lone else f"{model}={source}"]
    own = {entry.id for entry in spec.own_strategies}
    for strategy in spec.strategies:
        name, colon, rest = strategy.partition(":")
        words += ["--strategy", f"file:{name}.yaml{colon}{rest}" if name in own else strategy]
    words += [] if spec.split_plan.is_fixed else ["--split", spec.split]
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


def commands_of(record: ComparisonRecord) -> list[str]:
    """The commands that make its runs and no other, in order; the later ones join what the first one made.

    Where grids cannot have just these runs, the one that makes the whole grid.
    """
    first, *more = parts_of(record) or [record.spec]
    joined = [f"{command_of(spec, record.dataset)} --add-to COMPARISON" for spec in more]
    return [command_of(first, record.dataset), *joined]


def loud(record: ComparisonRecord) -> list[str]:
    """What changes the meaning of the table, one line each: to be said beside it, not below."""
    others: dict[str, list[str]] = {}
    for group in groups_of(record):
        if group.other_network and group.fraction == max(record.spec.fractions):
            others.setdefault(group.model, []).append(group.entry.short_label)
    lines = [f"Not comparable: {reason}." for reason in comparable(record.runs)]
    lines += [
        f"{', '.join(names)} ran on {model}, a different network: what it differs by from the other strategies is the "
        f"network as well as the start."
        for model, names in others.items()
    ]
    unequal = unequal_budgets(record)
    lines += [unequal] if unequal else []
    matches = {(run.spec.model, run.resolved.weights) for run in record.runs if run.resolved and run.resolved.weights}
    return lines + sorted(_partial(model, match) for model, match in matches if match.missing or match.other_shape)


def notes_of(record: ComparisonRecord) -> list[str]:
    """What runs noted while they ran, such as an early stop or a smaller batch, one line each, with the runs' names."""
    found: dict[str, list[str]] = {}
    for run in record.runs:
        resolved = run.resolved.notes if run.resolved else ()
        for note in dict.fromkeys((*resolved, *(run.outcome.notes if run.outcome else ()))):
            found.setdefault(note, []).append(record.spec.entry(run.spec.strategy).short_label)
    return [f"{note.rstrip('.')} ({', '.join(dict.fromkeys(names))})." for note, names in _merged(found).items()]


def _merged(notes: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Notes that differ in the chosen C alone as one, with the least and the greatest of them."""
    alike: dict[str, dict[str, list[str]]] = {}
    for note, names in notes.items():
        alike.setdefault(_CHOSEN.sub("C = …,", note), {})[note] = names
    merged = {}
    for pattern, several in alike.items():
        chosen = sorted({found[1] for note in several if (found := _CHOSEN.search(note))}, key=float)
        span = f"C = {chosen[0]} to {chosen[-1]}," if len(chosen) > 1 else f"C = {chosen[0]}," if chosen else ""
        merged[pattern.replace("C = …,", span)] = [name for names in several.values() for name in names]
    return merged


def caveats(record: ComparisonRecord) -> list[str]:
    """What a reader has to know before believing the table, one line each; those of `loud` come on top of them."""
    lines = []
    undone = [run for run in record.runs if run.status != "FINISHED"]
    if undone:
        lines.append(f"{len(undone)} of {len(record.runs)} runs have no result: {_statuses(record)}.")
    grid = len(record.spec.runs())
    if len(record.runs) < grid:
        cause = "" if record.comparison_id.startswith(GATHERED) else ", as seeds were added for some strategies alone"
        lines.append(
            f"It has {len(record.runs)} of the {grid} runs of its grid{cause}: "
            f"means are over the seeds that each has, differences over those that two share"
            f"{'' if parts_of(record) else ', and the command for making it again runs the whole grid'}."
        )
    lines += split_lines(record.spec)
    budget = record.spec.budget
    lines.append(f"It holds at a budget of {budget}; with a larger one, strategies that still rise may catch up.")
    lines.append(_tuning(record.spec.tune))
    if record.recorded_on:
        lines.append(f"Recorded on {record.recorded_on} on another machine: times differ here.")
    return lines + notes_of(record)


def split_lines(spec: ComparisonSpec) -> list[str]:
    """What a split plan does to the figures, one line each; none where all seeds are tested on the same images."""
    plan = spec.split_plan
    if plan.is_fixed:
        return []
    lines = []
    if len(spec.seeds) > 1:
        lines.append(
            f"Split {plan}: each seed has its own test images, so intervals are over seeds, and wider than those of "
            f"independent seeds, as these share images (corrected resampled t, Nadeau & Bengio 2003)."
        )
    tested = len({seed % plan.folds for seed in spec.seeds}) if plan.folds else 0
    if tested < plan.folds:
        lines.append(f"Split {plan}: the seeds test {tested} of {plan.folds} folds, so not every image was tested.")
    return lines


def _partial(model: str, match: WeightsMatch) -> str:
    missed = match.missing + match.other_shape
    such = f", such as {', '.join(match.examples[:3])}" if match.examples else ""
    return (
        f"Only {match.matched:,} of {match.matched + missed:,} tensors of {model} came from {match.source}; "
        f"{missed:,} started at random{such}. What is called pretrained here is so in part only."
    )


def _tuning(trials: int) -> str:
    if trials:
        return (
            f"Each run is the best of {trials} trials by validation accuracy, as many for every strategy; the time of "
            f"all trials counts as its training time."
        )
    return "Every strategy ran with its recipe's defaults: none was tuned for these images, which may favour some."


def _statuses(record: ComparisonRecord) -> str:
    counts: dict[str, int] = {}
    for run in record.runs:
        counts[run.status] = counts.get(run.status, 0) + 1
    return ", ".join(f"{count} {STATE_WORDS[status]}" for status, count in counts.items())


def _optional(spec: ComparisonSpec) -> list[str]:
    words: list[str] = []
    asked = (
        ("--image-size", spec.image_size),
        ("--batch-size", spec.batch_size),
        ("--num-threads", spec.num_threads),
        ("--scratch-model", spec.scratch_model),
        ("--tune", spec.tune or None),
    )
    for option, value in asked:
        words += [option, str(value)] if value is not None else []
    words += ["--allow-partial-weights"] if spec.allow_partial_weights else []
    return [*words, "--device", spec.device]


def _number(value: SettingValue) -> str:
    """Without a trailing `.0`, and with every digit that matters."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)

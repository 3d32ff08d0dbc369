"""What differs between runs besides model, strategy, seed and fraction, and what forbids to compare them."""

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import groupby

from tlcore.analysis.groups import fraction_words
from tlcore.recipes import idle_anywhere
from tlcore.recipes.words import GROUPS, NETWORK, VALUES
from tlcore.results import ComparisonRecord, RunRecord
from tlcore.spec import SharedSpec
from tlcore.strategies import CORE

MAX_NAMES = 3
# What a run resolved, and its name on screen. Split fingerprints are left out: they follow the seed.
RESOLVED = {
    "device": "Device",
    "dtype": "Number format",
    "num_threads": "CPU threads",
    "image_size": "Image size (pixels)",
    "batch_size": "Batch size",
    "total_steps": "Optimiser steps",
    "num_val": "Validation images",
    "num_test": "Test images",
    "weights_fingerprint": "Pretrained weights (fingerprint)",
}


def differences(record: ComparisonRecord) -> list[str]:
    """One line for each setting that differs between the runs, with who has which value."""
    runs = [run for run in record.runs if run.resolved is not None]
    settings: dict[str, Callable[[RunRecord], Hashable]] = {"Pretrained weights": _weights}
    settings |= {label: _resolved(name) for name, label in RESOLVED.items()}
    for title, group in GROUPS.items():
        read = _network if title == NETWORK else _recipe
        settings |= {words.label: read(name) for name, words in group.items()}
    preprocessing = sorted({name for run in runs for name in _preprocessing(run)})
    settings |= {f"Preprocessing, {name}": _preprocessed(name) for name in preprocessing if name != "size"}
    libraries = sorted({name for run in runs for name in _versions(run)})
    settings |= {f"Version of {name}": _version(name) for name in libraries}
    lines = (_line(label, runs, value) for label, value in settings.items())
    return [line for line in lines if line]


def comparable(runs: Sequence[RunRecord]) -> list[str]:
    """Reasons why these runs cannot be compared, one line each; none when family and test split agree.

    The test split has to agree per seed where the plan draws another one for each seed.
    """
    reasons = [
        f"{name.replace('_', ' ')} differs: {_values(values)}"
        for name in SharedSpec.model_fields
        if len(values := list(dict.fromkeys(str(getattr(run.spec, name)) for run in runs))) > 1
    ]
    cells: dict[tuple[str, str], list[str]] = {}
    for run in runs:
        own = f"{run.spec.weights} {json.dumps(run.spec.overrides, sort_keys=True)}"
        cells.setdefault((run.spec.model, run.spec.strategy), []).append(own)
    reasons += [
        f"{strategy} on {model} ran with different weights or settings, so its seeds are no repeats of one another"
        for (model, strategy), found in cells.items()
        if len(set(found)) > 1
    ]
    apart = other_tests(runs)
    return [*reasons, apart] if apart else reasons


def other_tests(runs: Sequence[RunRecord]) -> str | None:
    """Which test splits there are where there should be one, for all runs or for a seed; None where there is."""
    fixed = all(run.spec.split_plan.is_fixed for run in runs)
    met: dict[int | None, dict[str, None]] = {}
    for run in runs:
        if run.resolved is not None:
            met.setdefault(None if fixed else run.spec.seed, {})[run.resolved.test_fingerprint] = None
    several = {seed: list(tests) for seed, tests in met.items() if len(tests) > 1}
    if not several:
        return None
    seeds = "" if fixed else f" for seed {_values([str(seed) for seed in several])}"
    tests = next(iter(several.values()))
    return f"the test images differ{seeds}: {len(tests)} test splits ({_values([test[:12] for test in tests])})"


def _values(values: Sequence[str]) -> str:
    return " and ".join((", ".join(values[:-1]), values[-1])) if len(values) > 1 else "".join(values)


def _weights(run: RunRecord) -> Hashable:
    return run.spec.weights if run.spec.entry.needs_weights else None


def _resolved(name: str) -> Callable[[RunRecord], Hashable]:
    def value(run: RunRecord) -> Hashable:
        found: Hashable = getattr(run.resolved, name)
        return found[:12] if isinstance(found, str) and name == "weights_fingerprint" else found

    return value


def _recipe(name: str) -> Callable[[RunRecord], Hashable]:
    """The value in each phase where it does something, such as `0.01, then 0.001`; None where it does nowhere."""

    def value(run: RunRecord) -> Hashable:
        phases = run.resolved.recipe.get("phases") if run.resolved else None
        rows = [p for p in phases if isinstance(p, Mapping)] if isinstance(phases, list | tuple) else []
        shown = [_word(row[name]) for row in rows if row.get(name) is not None and not idle_anywhere(name, row)]
        return None if not shown else ", then ".join(said for said, _ in groupby(shown))

    return value


def _network(name: str) -> Callable[[RunRecord], Hashable]:
    """How the network differs from the library's own; None where it does not say."""

    def value(run: RunRecord) -> Hashable:
        found = run.resolved.recipe.get("network") if run.resolved else None
        given = found.get(name) if isinstance(found, Mapping) else None
        return None if given is None else _word(given)

    return value


def _preprocessing(run: RunRecord) -> Mapping[str, object]:
    found = run.resolved.recipe.get("preprocessing") if run.resolved else None
    return found if isinstance(found, Mapping) else {}


def _preprocessed(name: str) -> Callable[[RunRecord], Hashable]:
    return lambda run: str(_preprocessing(run).get(name))


def _versions(run: RunRecord) -> Mapping[str, str]:
    return run.resolved.library_versions if run.resolved else {}


def _version(name: str) -> Callable[[RunRecord], Hashable]:
    return lambda run: _versions(run).get(name)


def _word(value: object) -> str:
    if isinstance(value, bool | str):
        return VALUES.get(value, str(value))
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _line(label: str, runs: Sequence[RunRecord], value_of: Callable[[RunRecord], Hashable]) -> str | None:
    """`Batch size: 32 (From scratch, Fine-tuning); 64 (Feature extraction)`, or None where all agree."""
    holders: dict[Hashable, list[RunRecord]] = {}
    for run in runs:
        value = value_of(run)
        if value is not None:
            holders.setdefault(value, []).append(run)
    if len(holders) < 2:
        return None
    name = _naming(holders)
    said = (f"{_word(value)} ({_listed([name(run) for run in own])})" for value, own in holders.items())
    return f"{label}: {'; '.join(said)}"


def _listed(names: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(names))
    if len(distinct) <= max(MAX_NAMES, len(CORE)):
        return ", ".join(distinct)
    return f"{', '.join(distinct[:MAX_NAMES])} and {len(distinct) - MAX_NAMES} more"


def _naming(holders: Mapping[Hashable, Sequence[RunRecord]]) -> Callable[[RunRecord], str]:
    """The shortest way to say which runs have which value: by strategy, model, data or seed alone, else by run."""
    ways: tuple[Callable[[RunRecord], str], ...] = (
        lambda run: run.spec.entry.short_label,
        lambda run: run.spec.model,
        lambda run: fraction_words(run.spec.fraction),
        lambda run: f"seed {run.spec.seed}",
        lambda run: f"{run.spec.model} / {run.spec.entry.short_label}",
    )
    for way in ways:
        groups = [{way(run) for run in own} for own in holders.values()]
        if sum(len(g) for g in groups) == len(set().union(*groups)):
            return way
    return lambda run: run.spec.name

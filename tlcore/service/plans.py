"""From what a person asked to a checked plan: everything that can fail is found before anything is launched."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlcore import tracking
from tlcore.datasets import splits, store
from tlcore.datasets.dataset import DatasetInfo
from tlcore.errors import SpecError
from tlcore.recipes import DataFacts, ModelFacts, Recipe, default_budget, require_steps, resolve
from tlcore.results import DatasetSummary
from tlcore.service import leaks, models
from tlcore.service import strategies as strategy_files
from tlcore.settings import get_settings
from tlcore.spec import FIXED, Budget, ComparisonSpec, RunSpec, checked
from tlcore.strategies import SettingValue, literal

_USUAL = DataFacts(num_train=1_000, short_side=224)  # where no dataset is known yet


@dataclass(frozen=True)
class Plan:
    """A comparison that can be launched. device: the one that `spec.device` leads to, with the reason for it."""

    spec: ComparisonSpec
    dataset: DatasetSummary
    device: str
    device_reason: str
    facts: Mapping[str, ModelFacts]
    recipes: Mapping[tuple[str, str], Recipe]

    @property
    def runs(self) -> list[RunSpec]:
        return self.spec.runs()


def make_spec(
    dataset: DatasetInfo,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    **wishes: Any,
) -> ComparisonSpec:
    """A comparison's spec from loose values.

    epochs, steps, seconds: at most one; with none the recipes' default for the dataset and device. wishes: as of
    `_fields`. Raises: SpecError; DeviceError and SplitError where no budget is given.
    """
    budget = {k: v for k, v in {"epochs": epochs, "steps": steps, "seconds": seconds}.items() if v is not None}
    fields = _fields(**wishes)
    return checked(
        ComparisonSpec,
        dataset_id=dataset.id,
        dataset_fingerprint=dataset.fingerprint,
        budget=budget or default_budget_of(dataset, fields.get("device", "auto"), fields.get("split", FIXED)),
        **fields,
    )


def require_sensible(**asked: Any) -> None:
    """Refuse what makes no sense on any dataset, before one is read. asked: as of `make_spec`.

    Settings are tried on the networks that were looked at before, whose facts are kept. Raises: SpecError.
    """
    budget = {name: asked.pop(name) for name in Budget.model_fields if asked.get(name) is not None}
    nowhere = {"dataset_id": "", "dataset_fingerprint": "", "budget": budget or {"epochs": 1}}
    spec = checked(ComparisonSpec, **nowhere, **_fields(**asked))
    for run in {(run.model, run.strategy): run for run in spec.runs()}.values():
        facts = models.known_facts(run.model)
        if facts is not None:
            recipe_of(run, _USUAL, facts)


def _fields(
    models: Iterable[str],
    strategies: Iterable[str],
    weights: Iterable[str] = (),
    overrides: Mapping[str, Mapping[str, SettingValue]] | None = None,
    **shared: Any,
) -> dict[str, Any]:
    """Fields of ComparisonSpec from loose values.

    strategies: references, names of saved strategies, or `file:PATH`; also those of the overrides. weights: items
    `[MODEL=]SOURCE`; one without a model is for all. shared: other fields, of which None means "not given".
    Raises: SpecError.
    """
    wanted = tuple(_absolute(model) for model in models)
    references, own = strategy_files.resolve_names(strategies)
    return {
        "models": wanted,
        "weights": parse_weights(weights, wanted),
        "own_strategies": own,
        "strategies": references,
        "overrides": strategy_files.resolve_keys(overrides or {}, own),
        **{k: v for k, v in shared.items() if v is not None},
    }


def default_budget_of(dataset: DatasetInfo, device: str, plan: str = FIXED) -> Budget:
    """The recipes' budget for a dataset on a device as asked. Raises: DeviceError, SplitError, SpecError."""
    picked, _ = models.check_device(device)
    split = splits.make_split(store.load_dataset(dataset.id, get_settings()), 0, plan=plan)
    return default_budget(split.num_train_full, picked != "cpu")


def parse_weights(items: Iterable[str], models: tuple[str, ...]) -> dict[str, str]:
    """`[MODEL=]SOURCE` items as one source per model, with file paths made absolute. Raises: SpecError."""
    given: dict[str, str] = {}
    for item in items:
        model, found, source = item.partition("=")
        model = _absolute(model)
        named = found and not model.startswith(("file:", "run:"))
        if named and model not in models:
            raise SpecError(f"weights are given for {model!r}, which is not among the models {', '.join(models)}")
        for target in (model,) if named else models:
            given[target] = _absolute(source if named else item)
    return given


def parse_overrides(items: Iterable[str], strategies: Iterable[str] = ()) -> dict[str, dict[str, SettingValue]]:
    """`STRATEGY[.PHASE].KEY=VALUE` items by strategy and key, with numbers and true/false read as such.

    strategies: as they were asked for; where an item can be read in two ways, as `x:layer_decay=0.5.momentum=0`,
    the one that names one of these counts. Raises: SpecError.
    """
    known = set(strategies)
    overrides: dict[str, dict[str, SettingValue]] = {}
    for item in items:
        readings = list(_readings(item))
        if not readings:
            raise SpecError(
                f"--set {item!r} is not of the form STRATEGY.KEY=VALUE, such as fine_tuning.weight_decay=0, or "
                f"STRATEGY.2.KEY=VALUE for its second phase"
            )
        strategy, key, value = next((reading for reading in readings if reading[0] in known), readings[0])
        overrides.setdefault(strategy, {})[key] = literal(value)
    return overrides


def _readings(item: str) -> Iterator[tuple[str, str, str]]:
    """Every way to read an item as strategy, key and value, the shortest name of a strategy first."""
    for dot in re.finditer(r"\.", item):
        rest = re.fullmatch(r"((?:[0-9]+\.)?[A-Za-z_]+)=([^=]+)", item[dot.end() :])
        if rest is not None and item[: dot.start()]:
            yield item[: dot.start()], rest[1], rest[2]


def make_plan(spec: ComparisonSpec) -> Plan:
    """Check dataset, splits, models, weights, device and settings. Raises: the TlcoreError of the first that fails."""
    dataset = store.load_dataset(spec.dataset_id, get_settings())
    drawn = [splits.make_split(dataset, seed, plan=spec.split) for seed in spec.seeds]
    first = drawn[0]
    facts = {model: models.model_facts(model) for model in spec.all_models}
    data = DataFacts(num_train=first.num_train_full, short_side=dataset.info.short_side)
    runs = {(run.model, run.strategy): run for run in spec.runs()}
    recipes = {cell: recipe_of(run, data, facts[run.model]) for cell, run in runs.items()}
    for recipe in recipes.values():
        require_steps(recipe, spec.budget, min(split.num_train_full for split in drawn))
    for run in spec.runs():
        tracking.require_storable(run)
    sources = {run.model: run.weights for run in runs.values() if run.entry.needs_weights}
    _require_used(spec, sources)
    asked = [(run, recipes[cell]) for cell, run in runs.items()]
    device, reason = models.preflight(spec.device, sources, spec.allow_partial_weights, asked)
    leaks.require_no_leaks(dataset, drawn, sources)
    parts = {"train": first.num_train_full, "val": len(first.val), "test": len(first.test)}
    return Plan(spec, summarise(dataset.info, parts), device, reason, facts, recipes)


def _require_used(spec: ComparisonSpec, sources: Mapping[str, str]) -> None:
    """Weights that a person named are for some run. `imagenet` is what stands where nobody did. Raises: SpecError."""
    idle = [item for item in spec.weights.items() if item[0] not in sources and item[1] not in {"imagenet", "none"}]
    for model, source in idle:
        strategies = list(dict.fromkeys(spec.entry(reference).short_label for reference in spec.strategies))
        start = "starts" if len(strategies) == 1 else "start"
        raise SpecError(
            f"nothing in this comparison uses the weights {source!r} of {model}: {', '.join(strategies)} {start} at "
            f"random; add a "
            f"strategy that starts from pretrained weights, such as fine_tuning, or leave --weights out"
        )


def recipe_of(run: RunSpec, data: DataFacts, facts: ModelFacts) -> Recipe:
    """The recipe of a run, with the person's own values on top. Raises: SpecError."""
    return resolve(run.entry, data, facts, image_size=run.image_size, batch_size=run.batch_size, overrides=run.settings)


def summarise(info: DatasetInfo, parts: dict[str, int]) -> DatasetSummary:
    """The part of a dataset that a comparison's result repeats."""
    return DatasetSummary(
        id=info.id,
        name=info.name,
        fingerprint=info.fingerprint,
        num_images=info.num_images,
        num_classes=len(info.classes),
        classes=info.classes,
        splits=parts,
    )


def _absolute(source: str) -> str:
    kind, colon, rest = source.partition(":")
    return f"{kind}:{Path(rest).expanduser().resolve()}" if colon and kind in {"file", "onnx"} else source

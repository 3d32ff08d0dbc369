"""From what a person asked to a checked plan: everything that can fail is found before anything is launched."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlcore.datasets import splits, store
from tlcore.datasets.dataset import DatasetInfo
from tlcore.errors import SpecError
from tlcore.recipes import DataFacts, ModelFacts, Recipe, default_budget, resolve
from tlcore.results import DatasetSummary
from tlcore.service import models
from tlcore.settings import get_settings
from tlcore.spec import Budget, ComparisonSpec, OverrideValue, RunSpec, checked
from tlcore.strategies import STRATEGIES


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
    models: Iterable[str],
    strategies: Iterable[str],
    weights: Iterable[str] = (),
    epochs: int | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    overrides: Mapping[str, Mapping[str, OverrideValue]] | None = None,
    **shared: Any,
) -> ComparisonSpec:
    """A comparison's spec from loose values.

    weights: items `[MODEL=]SOURCE`; one without a model is for all. epochs, steps, seconds: at most one; with none
    the recipes' default for the dataset and device. shared: other fields of ComparisonSpec, of which None means
    "not given". Raises: SpecError.
    """
    wanted = tuple(models)
    budget = {k: v for k, v in {"epochs": epochs, "steps": steps, "seconds": seconds}.items() if v is not None}
    return checked(
        ComparisonSpec,
        dataset_id=dataset.id,
        dataset_fingerprint=dataset.fingerprint,
        models=wanted,
        weights=parse_weights(weights, wanted),
        strategies=tuple(strategies),
        budget=budget or default_budget_of(dataset, shared.get("device") or "auto"),
        overrides={k: dict(v) for k, v in (overrides or {}).items()},
        **{k: v for k, v in shared.items() if v is not None},
    )


def default_budget_of(dataset: DatasetInfo, device: str) -> Budget:
    """The recipes' budget for a dataset on a device as asked. Raises: DeviceError, SplitError."""
    picked, _ = models.check_device(device)
    split = splits.make_split(store.load_dataset(dataset.id, get_settings()), 0)
    return default_budget(split.num_train_full, picked != "cpu")


def parse_weights(items: Iterable[str], models: tuple[str, ...]) -> dict[str, str]:
    """`[MODEL=]SOURCE` items as one source per model, with file paths made absolute. Raises: SpecError."""
    given: dict[str, str] = {}
    for item in items:
        model, found, source = item.partition("=")
        named = found and not model.startswith(("file:", "run:"))
        if named and model not in models:
            raise SpecError(f"weights are given for {model!r}, which is not among the models {', '.join(models)}")
        for target in (model,) if named else models:
            given[target] = _absolute(source if named else item)
    return given


def parse_overrides(items: Iterable[str]) -> dict[str, dict[str, OverrideValue]]:
    """`STRATEGY.KEY=VALUE` items, with numbers and true/false read as such. Raises: SpecError."""
    overrides: dict[str, dict[str, OverrideValue]] = {}
    for item in items:
        name, equals, value = item.partition("=")
        strategy, dot, key = name.partition(".")
        if not (equals and dot and key and value):
            raise SpecError(f"--set {item!r} is not of the form STRATEGY.KEY=VALUE, such as fine_tuning.weight_decay=0")
        overrides.setdefault(strategy, {})[key] = _literal(value)
    return overrides


def make_plan(spec: ComparisonSpec) -> Plan:
    """Check dataset, splits, models, weights, device and settings. Raises: the TlcoreError of the first that fails."""
    dataset = store.load_dataset(spec.dataset_id, get_settings())
    drawn = [splits.make_split(dataset, seed, part) for seed in spec.seeds for part in spec.fractions]
    first = drawn[0]
    facts = {model: models.model_facts(model) for model in spec.models}
    data = DataFacts(num_train=first.num_train_full, short_side=dataset.info.short_side)
    recipes = {(m, s): recipe_of(spec, m, s, data, facts[m]) for m in spec.models for s in spec.strategies}
    pretrained = any(STRATEGIES[s].needs_weights for s in spec.strategies)
    device, reason = models.preflight(spec.device, {m: spec.weights_of(m) for m in spec.models if pretrained})
    parts = {"train": first.num_train_full, "val": len(first.val), "test": len(first.test)}
    return Plan(spec, summarise(dataset.info, parts), device, reason, facts, recipes)


def recipe_of(spec: ComparisonSpec, model: str, strategy: str, data: DataFacts, facts: ModelFacts) -> Recipe:
    """The recipe of one cell of the grid, with the person's own values on top. Raises: SpecError."""
    return resolve(
        STRATEGIES[strategy],
        data,
        facts,
        image_size=spec.image_size,
        batch_size=spec.batch_size,
        overrides=spec.overrides.get(strategy, {}),
    )


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
    return f"file:{Path(rest).expanduser().resolve()}" if colon and kind == "file" else source


def _literal(text: str) -> OverrideValue:
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text

"""A comparison: the grid that its runs come from, and what makes no sense in it."""

from collections.abc import Collection
from dataclasses import replace
from itertools import product
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator, model_validator

from tlcore.spec.runs import MAX_SEED, RunSpec, SharedSpec
from tlcore.spec.splitting import split_plan
from tlcore.strategies import SettingValue, Strategy, canonical, entry_of, merged, own_color, split_reference

MAX_RUNS = 2_000
WEIGHTS_FORMS = "imagenet, a timm tag, file:PATH, run:RUN_ID or none"
NonEmpty = Annotated[tuple[str, ...], Field(min_length=1)]


def _default_seeds(known: dict[str, Any]) -> tuple[int, ...]:
    return split_plan(known["split"]).seeds


class ComparisonSpec(SharedSpec):
    """A grid of models × strategies × seeds × fractions that share everything else.

    own_strategies: definitions of a person's own strategies among `strategies`. seeds: 0 where none is given, or as
    many as a k-fold split has folds. scratch_model: another, usually smaller, network for the strategies with a random
    start.
    """

    models: NonEmpty
    weights: dict[str, str] = Field(default_factory=dict)
    own_strategies: tuple[Strategy, ...] = ()
    strategies: NonEmpty
    seeds: tuple[Annotated[int, Field(ge=0, le=MAX_SEED)], ...] = Field(default_factory=_default_seeds, min_length=1)
    fractions: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(default=(1.0,), min_length=1)
    overrides: dict[str, dict[str, SettingValue]] = Field(default_factory=dict)
    title: str = ""
    scratch_model: str | None = None
    allow_partial_weights: bool = False

    @field_validator("strategies", mode="before")
    @classmethod
    def _canonical(cls, value: Any, info: ValidationInfo) -> Any:
        own = info.data.get("own_strategies", ())
        return tuple(canonical(name, own) for name in value) if isinstance(value, list | tuple) else value

    @field_validator("overrides", mode="before")
    @classmethod
    def _canonical_keys(cls, value: Any, info: ValidationInfo) -> Any:
        own = info.data.get("own_strategies", ())
        readable = isinstance(value, dict) and all(isinstance(given, dict) for given in value.values())
        return merged(value.items(), own) if readable else value

    @field_validator("models", "strategies", "seeds", "fractions")
    @classmethod
    def _distinct(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        repeated = {str(v) for v in value if value.count(v) > 1}
        if repeated:
            raise ValueError(f"{', '.join(sorted(repeated))} is given twice: name each value once")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> "ComparisonSpec":
        stray = sorted(set(self.weights) - set(self.models))
        if stray:
            raise ValueError(f"weights are given for {', '.join(stray)}, which is not among the models")
        needing = [s for s in self.strategies if self.entry(s).needs_weights]
        for model in self.models:
            if needing and self.weights_of(model) == "none":
                raise ValueError(f"{needing[0]} starts from pretrained weights, but {model} has none: {WEIGHTS_FORMS}")
        if self.scratch_model is not None and len(needing) == len(self.strategies):
            raise ValueError(f"scratch_model {self.scratch_model!r} is given, but no strategy has a random start")
        idle = [model for model in self.models if model not in self.all_models]
        if idle:
            raise ValueError(
                f"nothing would run on {', '.join(idle)}: every strategy has a random start and runs on scratch_model "
                f"{self.scratch_model}; leave scratch_model out, or add a strategy that starts from pretrained weights"
            )
        count = len(self.models) * len(self.strategies) * len(self.seeds) * len(self.fractions)
        if count > MAX_RUNS:
            raise ValueError(f"{count:,} runs are more than the limit of {MAX_RUNS:,}: ask for fewer")
        return self

    @model_validator(mode="after")
    def _settings_reach_a_strategy(self) -> "ComparisonSpec":
        known = {*self.strategies, *(split_reference(reference)[0] for reference in self.strategies)}
        stray = sorted(set(self.overrides) - known)
        if stray:
            raise ValueError(f"settings are given for {', '.join(stray)}, which is not among the strategies")
        for reference in self.strategies:
            name, said = split_reference(reference)
            for key in (*self.overrides.get(name, {}), *self.overrides.get(reference, {})):
                bare = key.rpartition(".")[2]
                if key in said or bare in said:
                    raise ValueError(
                        f"{reference} sets {bare} itself, so the setting {key} for {name} cannot hold too: leave it "
                        f"out, or say it in the references"
                    )
        return self

    @model_validator(mode="after")
    def _own_are_told_apart(self) -> "ComparisonSpec":
        seen: dict[str, str] = {}
        for own in self.own_strategies:
            for label in dict.fromkeys((own.label, own.short_label)):
                other = seen.setdefault(label, own.id)
                if other != own.id:
                    raise ValueError(f"{other} and {own.id} are both called {label!r}: give one of them another label")
        return self

    def entry(self, reference: str) -> Strategy:
        """The strategy behind one of `strategies`; each has a colour, and variants of one have shades of it."""
        own = (replace(entry, color=own_color(place)) for place, entry in enumerate(self.own_strategies))
        return entry_of(reference, own, self.strategies)

    def weights_of(self, model: str) -> str:
        """Where this model's pretrained weights come from."""
        return self.weights.get(model, "imagenet")

    def models_of(self, reference: str) -> tuple[str, ...]:
        """The networks that a strategy runs on: `scratch_model` alone for a random start, where it is given."""
        if self.scratch_model is not None and not self.entry(reference).needs_weights:
            return (self.scratch_model,)
        return self.models

    @property
    def all_models(self) -> tuple[str, ...]:
        """Every network of the grid, `scratch_model` included."""
        known = dict.fromkeys((*self.models, *((self.scratch_model,) if self.scratch_model else ())))
        return tuple(model for model in known if any(model in self.models_of(s) for s in self.strategies))

    def narrowed(self, strategies: Collection[str], **changes: Any) -> "ComparisonSpec":
        """The same for some of its strategies alone, without what only the others need. changes: of other fields.

        Raises: ValidationError where the changes make no sense.
        """
        kept = tuple(reference for reference in self.strategies if reference in strategies)
        names = {name for reference in kept for name in (reference, split_reference(reference)[0])}
        at_random = [reference for reference in kept if not self.entry(reference).needs_weights]
        alone = self.scratch_model is not None and len(at_random) == len(kept)
        mine = {
            "models": (self.scratch_model,) if alone else self.models,
            "weights": {} if alone else self.weights,
            "strategies": kept,
            "overrides": {name: given for name, given in self.overrides.items() if name in names},
            "own_strategies": tuple(own for own in self.own_strategies if own.id in names),
            "scratch_model": self.scratch_model if at_random and not alone else None,
        }
        return ComparisonSpec.model_validate({**self.model_dump(), **mine, **changes})

    def cells(self) -> list[tuple[str, str]]:
        """Every pair of model and strategy, model by model in the order asked."""
        return [(m, s) for m in self.all_models for s in self.strategies if m in self.models_of(s)]

    def runs(self) -> list[RunSpec]:
        """Every run of the grid; the same seed of all strategies comes together, so that a stopped grid is matched."""
        shared = {name: getattr(self, name) for name in SharedSpec.model_fields}
        grid = product(self.fractions, self.seeds, self.cells())
        return [
            RunSpec(
                **shared,
                model=model,
                strategy=strategy,
                seed=seed,
                fraction=fraction,
                **self._strategy_fields(model, strategy),
            )
            for fraction, seed, (model, strategy) in grid
        ]

    def _strategy_fields(self, model: str, reference: str) -> dict[str, Any]:
        """What a run has because of its strategy."""
        name = split_reference(reference)[0]
        pretrained = self.entry(reference).needs_weights
        return {
            "weights": self.weights_of(model) if pretrained else "none",
            "overrides": {**self.overrides.get(name, {}), **self.overrides.get(reference, {})},
            "own_strategy": next((own for own in self.own_strategies if own.id == name), None),
            "allow_partial_weights": self.allow_partial_weights and pretrained,
        }

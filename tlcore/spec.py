"""What a person asks for: a comparison, and the runs that it expands to. Frozen, and unknown keys are refused."""

import hashlib
import json
import re
from itertools import product
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from tlcore.errors import SpecError
from tlcore.strategies import SettingValue, Strategy, canonical, entry_of, split_reference

MAX_SEED = 2**31 - 1
MAX_RUNS = 2_000
MAX_TRIALS = 100
WEIGHTS_FORMS = "imagenet, a timm tag, file:PATH, run:RUN_ID or none"
BatchSize = Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] | None


S = TypeVar("S", bound=BaseModel)


class Frozen(BaseModel):
    """A value: never changed after it was made, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Budget(Frozen):
    """What every run may spend: exactly one of epochs, optimiser steps or training seconds."""

    epochs: int | None = Field(default=None, ge=1, le=10_000)
    steps: int | None = Field(default=None, ge=1, le=10_000_000)
    seconds: float | None = Field(default=None, gt=0, le=30 * 24 * 3600)

    @model_validator(mode="after")
    def _exactly_one(self) -> "Budget":
        given = [name for name in ("epochs", "steps", "seconds") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a budget is one of epochs, steps or seconds, not {' and '.join(given) or 'none'}")
        return self

    def as_dict(self) -> dict[str, int | float]:
        """Only what was set, such as `{"epochs": 3}`."""
        return self.model_dump(exclude_none=True)

    def __str__(self) -> str:
        ((unit, amount),) = self.as_dict().items()
        return f"{amount:g} {unit if amount != 1 else unit.rstrip('s')}"


class SharedSpec(Frozen):
    """What all runs of a comparison have in common: its family.

    batch_size: `auto` for the largest that the device's memory holds. tune: trials per run, of which the best on
    validation is the run; 0 for the recipe's own values alone.
    """

    dataset_id: str
    dataset_fingerprint: str
    budget: Budget
    image_size: int | None = Field(default=None, ge=16, le=1024)
    batch_size: BatchSize = None
    device: str = "auto"
    num_threads: int | None = Field(default=None, ge=1, le=512)
    tune: int = Field(default=0, ge=0, le=MAX_TRIALS)

    @field_validator("device")
    @classmethod
    def _known_device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
            raise ValueError(f"unknown device {value!r}: use auto, cpu, cuda or cuda:INDEX")
        return value


class RunSpec(SharedSpec):
    """One run as asked: the family, and its place in the grid.

    weights: `imagenet`, a timm tag, `file:PATH`, `run:RUN_ID` or `none`; always `none` for a random start.
    strategy: a reference, see `strategies.references`. own_strategy: its definition where it is a person's own.
    fraction: the part of the training images that is used, in (0, 1].
    overrides: recipe values for this run's strategy, by field name of `tlcore.recipes`.
    allow_partial_weights: take a weights file of which only a part fits.
    """

    model: str
    weights: str
    strategy: str
    seed: int = Field(ge=0, le=MAX_SEED)
    fraction: float = Field(default=1.0, gt=0, le=1)
    overrides: dict[str, SettingValue] = {}
    own_strategy: Strategy | None = None
    allow_partial_weights: bool = False

    @property
    def entry(self) -> Strategy:
        """The strategy that the run follows."""
        return entry_of(self.strategy, (self.own_strategy,) if self.own_strategy else ())

    @property
    def settings(self) -> dict[str, SettingValue]:
        """Recipe values as asked: the overrides, and those in the reference itself on top."""
        return {**self.overrides, **split_reference(self.strategy)[1]}

    @property
    def name(self) -> str:
        """A short name for lists, such as `fine_tuning · mobilenetv2_100 · seed 0`."""
        part = "" if self.fraction == 1 else f" · {self.fraction:.0%} of the data"
        return f"{self.strategy} · {self.model} · seed {self.seed}{part}"

    @property
    def family(self) -> str:
        """Fingerprint of what a comparable run shares with this one."""
        shared = self.model_dump(mode="json", include=set(SharedSpec.model_fields))
        return content_fingerprint(shared)


NonEmpty = Annotated[tuple[str, ...], Field(min_length=1)]


class ComparisonSpec(SharedSpec):
    """A grid of models × strategies × seeds × fractions that share everything else.

    own_strategies: definitions of a person's own strategies among `strategies`. scratch_model: another, usually
    smaller, network for the strategies with a random start.
    """

    models: NonEmpty
    weights: dict[str, str] = {}
    own_strategies: tuple[Strategy, ...] = ()
    strategies: NonEmpty
    seeds: tuple[Annotated[int, Field(ge=0, le=MAX_SEED)], ...] = Field(default=(0,), min_length=1)
    fractions: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(default=(1.0,), min_length=1)
    overrides: dict[str, dict[str, SettingValue]] = {}
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
        return {canonical(k, own): v for k, v in value.items()} if isinstance(value, dict) else value

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
        known = {*self.strategies, *(split_reference(reference)[0] for reference in self.strategies)}
        stray = sorted(set(self.overrides) - known)
        if stray:
            raise ValueError(f"settings are given for {', '.join(stray)}, which is not among the strategies")
        needing = [s for s in self.strategies if self.entry(s).needs_weights]
        for model in self.models:
            if needing and self.weights_of(model) == "none":
                raise ValueError(f"{needing[0]} starts from pretrained weights, but {model} has none: {WEIGHTS_FORMS}")
        if self.scratch_model is not None and len(needing) == len(self.strategies):
            raise ValueError(f"scratch_model {self.scratch_model!r} is given, but no strategy has a random start")
        count = len(self.models) * len(self.strategies) * len(self.seeds) * len(self.fractions)
        if count > MAX_RUNS:
            raise ValueError(f"{count:,} runs are more than the limit of {MAX_RUNS:,}: ask for fewer")
        return self

    def entry(self, reference: str) -> Strategy:
        """The strategy behind one of `strategies`; variants of the same one get different shades of its colour."""
        return entry_of(reference, self.own_strategies, self.strategies)

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


def content_fingerprint(value: Any) -> str:
    """SHA-256 of a JSON value with sorted keys, in hexadecimal."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def checked(kind: type[S], **values: Any) -> S:
    """Build a spec, with pydantic's complaints turned into one clear line. Raises: SpecError."""
    try:
        return kind(**values)
    except ValidationError as error:
        wrong = {str(e["loc"][0]) if e["loc"] else "": e for e in reversed(error.errors())}  # the first of each field
        raise SpecError("; ".join(_one_line(e) for e in reversed(wrong.values()))) from error


# What pydantic's complaints are called here; its own words serve for the others.
_LIMITS = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "too_short": "needs at least one value",
    "extra_forbidden": "is no setting of a comparison",
}


def _one_line(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "value_error":
        return message
    names = [part for part in error["loc"] if isinstance(part, str) and part.isidentifier()]  # no member of a union
    said = _LIMITS.get(error["type"], message[0].lower() + message[1:]).format(**error.get("ctx", {}))
    return f"{names[-1]}: {error['input']!r} {said}"

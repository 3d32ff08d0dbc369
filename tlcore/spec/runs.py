"""One run as asked, and what it shares with all runs of its comparison."""

import hashlib
import json
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tlcore.spec.splitting import FIXED, SplitPlan, split_plan
from tlcore.strategies import SettingValue, Strategy, entry_of, split_reference

MAX_SEED = 2**31 - 1
MAX_TRIALS = 100
BatchSize = Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] | None


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

    split: the plan, see `SplitPlan`. batch_size: `auto` for the largest that the device's memory holds. tune: trials
    per run, of which the best on validation is the run; 0 for the recipe's own values alone, which are also the first
    of the trials.
    """

    dataset_id: str
    dataset_fingerprint: str
    budget: Budget
    split: str = FIXED
    image_size: int | None = Field(default=None, ge=16, le=1024)
    batch_size: BatchSize = None
    device: str = "auto"
    num_threads: int | None = Field(default=None, ge=1, le=512)
    tune: int = Field(default=0, ge=0, le=MAX_TRIALS)

    @field_validator("split")
    @classmethod
    def _known_split(cls, value: str) -> str:
        return str(split_plan(value))

    @field_validator("tune")
    @classmethod
    def _worth_it(cls, value: int) -> int:
        if value == 1:
            raise ValueError("tune: 1 trial is the recipe as it is: use 0, or 2 and more to look for better values")
        return value

    @field_validator("device")
    @classmethod
    def _known_device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
            raise ValueError(f"unknown device {value!r}: use auto, cpu, cuda or cuda:INDEX")
        return value

    @property
    def split_plan(self) -> SplitPlan:
        """How the test images follow from the seed."""
        return split_plan(self.split)


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


def content_fingerprint(value: Any) -> str:
    """SHA-256 of a JSON value with sorted keys, in hexadecimal."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

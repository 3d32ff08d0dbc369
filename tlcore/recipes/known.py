"""What is wrong with a strategy's phases whatever the model: rows and settings that do not exist or do nothing."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from tlcore.errors import StrategyError
from tlcore.recipes.applicable import why_idle
from tlcore.recipes.rows import RECIPES, SWEEPS
from tlcore.recipes.values import FitRecipe, ModelFacts, NetworkRecipe, Preprocessing, TrainRecipe, complaint
from tlcore.strategies import LAST_GROUPS, Fit, Phase, Strategy, Train

_RGB = (0.5, 0.5, 0.5)
_ANY_MODEL = ModelFacts(  # for which every setting means something
    model="any model",
    library="timm",
    family="cnn",
    preprocessing=Preprocessing(size=224, resize=256, interpolation="bilinear", mean=_RGB, std=_RGB),
    crop_pct=0.875,
    fixed_input_size=False,
    num_parameters=1,
    num_features=1,
    num_groups=500,
    has_batch_norm=True,
)


def require_known(strategy: Strategy, source: str) -> None:
    """Refuse recipe rows and settings that no model could use, before one is chosen.

    source: the strategy's name, for messages, which add the phase's number. Raises: StrategyError.
    """
    for number, phase in enumerate(strategy.phases, 1):
        _require_phase(phase, f"{source}, phase {number}")


def idle_anywhere(name: str, phase: Mapping[str, Any]) -> bool:
    """Whether a setting does nothing in a phase, whatever the model. phase: as a run resolved it."""
    kind = FitRecipe if "classifier" in phase else TrainRecipe
    return why_idle(name, kind.model_construct(**phase), _ANY_MODEL) is not None


def _require_phase(phase: Phase, where: str) -> None:
    settings = dict(phase.settings)
    kind: type[BaseModel] = FitRecipe if isinstance(phase, Fit) else TrainRecipe
    row: dict[str, Any] = {}
    if isinstance(phase, Fit):
        row = {"classifier": phase.classifier, **SWEEPS.get(phase.classifier, {})}
    elif phase.recipe not in RECIPES:
        raise StrategyError(f"{where}: unknown recipe {phase.recipe!r}: use {', '.join(RECIPES)}")
    else:
        part = phase.trainable if isinstance(phase, Train) else "all"
        row = {"trainable": part, "share": phase.share, **RECIPES[phase.recipe]["cnn"]}
        if part == "last":
            row["trainable"] = f"last:{_count(settings.pop('last_groups', LAST_GROUPS), where)}"
    usable = sorted(set(kind.model_fields) - {"trainable", "share"})
    for name in settings:
        if name in NetworkRecipe.model_fields:
            raise StrategyError(f"{where}: {name} changes the network of all phases: leave it out, and set it with "
                                f"--set NAME.{name}=VALUE or on the Launch page")  # fmt: skip
        if name not in usable:
            raise StrategyError(f"{where}: unknown setting {name}: use {', '.join(usable)}")
    try:
        recipe = kind.model_validate({**row, **settings})
    except ValidationError as error:
        raise StrategyError(f"{where}: {complaint(error)}") from error
    _require_effect(recipe, settings, where)


def _require_effect(recipe: Any, settings: dict[str, Any], where: str) -> None:
    reasons = {name: why_idle(name, recipe, _ANY_MODEL) for name in settings}
    for name, reason in reasons.items():
        if reason is not None:
            raise StrategyError(f"{where}: {name} would do nothing, as {reason}: leave it out")


def _count(count: Any, where: str) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise StrategyError(f"{where}: last_groups {count!r} must be a whole number of 1 or more")
    return count

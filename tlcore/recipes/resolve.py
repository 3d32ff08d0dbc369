"""Every default of every strategy, from dataset size and model facts: the same for the form and for the worker.

Sources: RECIPES.md's table in `rows`; batch from BiT HyperRule (Kolesnikov et al. 2020).
"""

from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice
from typing import Literal, TypeVar

from pydantic import BaseModel, ValidationError

from tlcore.errors import SpecError
from tlcore.recipes.applicable import (
    MAX_EVALUATIONS,
    network_settings,
    require_fit,
    require_head,
    require_network,
    why_idle,
)
from tlcore.recipes.rows import DECAYED_GROUPS, RECIPES, SWEEPS, WITHOUT_BATCH_NORM, Row
from tlcore.recipes.values import (
    DataFacts,
    FitRecipe,
    ModelFacts,
    NetworkRecipe,
    Preprocessing,
    Recipe,
    TrainRecipe,
    complaint,
)
from tlcore.strategies import LAST_GROUPS, Fit, Phase, SettingValue, Strategy, Train, Unfreeze

R = TypeVar("R", bound=BaseModel)

LARGE_SET = 2_000  # training images from which the batch is 64
FEW_IMAGES = 1_000  # below this, BatchNorm statistics of a pretrained network are kept (SimCLR B.8)
SMALL_BATCH = 16  # below this, batch statistics are too noisy to train with
SMALL_SIDE = 96  # BiT HyperRule: smaller images are trained at SMALL_IMAGE_SIZE
SMALL_IMAGE_SIZE = 128
REFERENCE_BATCH = 64  # learning rates are given per batch of 64, and not scaled down below it
MAX_STAGES = 24  # of gradual unfreezing: a deeper network unfreezes several groups at a time
MAX_RECIPE_PHASES = MAX_EVALUATIONS - 1  # a run is evaluated at the end of each phase


def resolve(
    strategy: Strategy,
    data: DataFacts,
    model: ModelFacts,
    *,
    image_size: int | None = None,
    batch_size: int | Literal["auto"] | None = None,
    overrides: dict[str, SettingValue] | None = None,
) -> Recipe:
    """The recipe of a run: the rows of its phases, scaled to the batch, with the person's own values on top.

    overrides: by field name of the recipes; `N.NAME` sets it in the strategy's phase N alone, counted from 1.
    Raises: SpecError for a strategy that does not suit the model or has too many phases on it, and for an override
    that no phase has, that would do nothing, or that is out of range.
    """
    require_fit(strategy, model)
    own = dict(overrides or {})
    network = _network(strategy, model, own)
    usual = 32 if data.num_train < LARGE_SET else 64
    batch = batch_size if isinstance(batch_size, int) else usual
    few = strategy.start == "pretrained" and (data.num_train < FEW_IMAGES or batch < SMALL_BATCH)
    left = model.model_copy(update={"num_groups": groups_left(network, model)})
    made: list[tuple[int, FitRecipe | TrainRecipe]] = []
    for number, phase in enumerate(strategy.phases, 1):
        mine = _of_phase(own, number)
        parts = _expanded(strategy.id, phase, mine, left)
        made += [(number, _phase(strategy.id, part, left, batch, few, mine)) for part in parts]
    _require_few(strategy, model, len(made))
    asked = {f"{number}.{name}" for number, phase in enumerate(strategy.phases, 1) for name in phase.settings}
    _require_used(strategy, left, made, asked | set(own) - set(NetworkRecipe.model_fields))
    require_head(strategy, tuple(recipe for _, recipe in made))
    size = image_size or default_image_size(data, model)
    return Recipe(
        strategy=strategy.id,
        batch_size=batch,
        preprocessing=sized(model, size),
        phases=tuple(recipe for _, recipe in made),
        network=network,
        auto_batch=batch_size == "auto",
    )


def default_image_size(data: DataFacts, model: ModelFacts) -> int:
    """The model's own input size, or a smaller one for small images (BiT HyperRule), in pixels."""
    native = model.preprocessing.size
    return min(native, SMALL_IMAGE_SIZE) if data.short_side < SMALL_SIDE and not model.fixed_input_size else native


def sized(model: ModelFacts, size: int) -> Preprocessing:
    """The model's preprocessing at another input size, with its own crop percentage (timm's rule: floor)."""
    own = model.preprocessing
    if size == own.size:
        return own
    if model.fixed_input_size:
        raise SpecError(f"{model.model} takes images of {own.size} px only, not {size}: leave the image size out")
    resize = None if own.resize is None else int(size / model.crop_pct)
    return own.model_copy(update={"size": size, "resize": resize})


def groups_left(network: NetworkRecipe, model: ModelFacts) -> int:
    """Layer groups that are left of the backbone, as far as the settings tell."""
    if network.cut_at is not None:
        return network.cut_at
    chosen = [int(part) for part in network.layers.split("+") if part.isdecimal()]
    return max(chosen, default=model.num_groups)


def by_phase(strategy: Strategy, recipe: Recipe) -> list[list[FitRecipe | TrainRecipe]]:
    """A recipe's phases under the strategy's own ones: each `Unfreeze` stands for equally many, its stages."""
    several = [isinstance(phase, Unfreeze) for phase in strategy.phases]
    stages = (len(recipe.phases) - several.count(False)) // max(1, several.count(True))
    rest = iter(recipe.phases)
    return [list(islice(rest, stages if unfreezes else 1)) for unfreezes in several]


def asked_of(strategy: Strategy, recipe: Recipe, overrides: dict[str, SettingValue]) -> dict[str, list[int]]:
    """The settings of phases that a person asked for, `N.NAME` in a phase of the strategy, and the recipe's phases
    that each is for, counted from 0. overrides: as of `resolve`.
    """
    numbers = iter(range(len(recipe.phases)))
    places = {str(n): [next(numbers) for _ in made] for n, made in enumerate(by_phase(strategy, recipe), 1)}
    keys = {*overrides, *(f"{n}.{name}" for n, phase in enumerate(strategy.phases, 1) for name in phase.settings)}
    named = [key for key in sorted(keys - set(NetworkRecipe.model_fields)) if key.rpartition(".")[2] != "last_groups"]
    return {key: places.get(key.rpartition(".")[0], list(range(len(recipe.phases)))) for key in named}


def _network(strategy: Strategy, model: ModelFacts, own: Row) -> NetworkRecipe:
    mine = {name: value for name, value in own.items() if name in NetworkRecipe.model_fields}
    if "layers" in mine:
        mine["layers"] = str(mine["layers"])
    require_network(strategy, model, mine)
    return _build(strategy.id, NetworkRecipe, {}, mine)


def _of_phase(own: Row, number: int) -> Row:
    """The overrides of all phases, then those of this one."""
    prefix = f"{number}."
    particular = {name.removeprefix(prefix): value for name, value in own.items() if name.startswith(prefix)}
    return {**{name: value for name, value in own.items() if "." not in name}, **particular}


def _expanded(who: str, phase: Phase, own: Row, model: ModelFacts) -> Iterator[Fit | Train]:
    """The phases that one entry stands for in this model: stages of unfreezing, and the number behind `last`."""
    groups = model.num_groups
    if isinstance(phase, Unfreeze):
        stages = min(groups, MAX_STAGES)
        opened = [round(groups * stage / stages) for stage in range(stages)]  # 0 for the head alone
        parts = ["head" if count == 0 else f"last:{count}" for count in opened] + ["all"]
        yield from (Train(part, phase.share / len(parts), phase.recipe, phase.settings) for part in parts)
    elif isinstance(phase, Train) and phase.trainable.partition(":")[0] == "last":
        _, given, count = phase.trainable.partition(":")
        wanted = count if given else own.get("last_groups", phase.settings.get("last_groups", LAST_GROUPS))
        if not str(wanted).isdecimal() or not 0 <= int(wanted) <= groups:
            raise SpecError(
                f"{who}: last_groups={wanted} cannot be used: {model.model} has {groups} layer groups below its head, "
                f"so it is 0 (the head alone) to {groups}"
            )
        yield Train(f"last:{wanted}" if int(wanted) else "head", phase.share, phase.recipe, phase.settings)
    else:
        yield phase


def _require_few(strategy: Strategy, model: ModelFacts, count: int) -> None:
    if count > MAX_RECIPE_PHASES:
        raise SpecError(
            f"{strategy.id} has {count} phases on {model.model}, {MAX_RECIPE_PHASES} at most: unfreeze once, or leave "
            f"phases out"
        )


def _phase(who: str, phase: Fit | Train, model: ModelFacts, batch: int, few: bool, own: Row) -> FitRecipe | TrainRecipe:
    own = {**phase.settings, **own}
    if isinstance(phase, Fit):
        classifier = own.get("classifier", phase.classifier)
        return _build(who, FitRecipe, {"classifier": classifier, **SWEEPS.get(str(classifier), {})}, own)
    if phase.recipe not in RECIPES:
        raise SpecError(f"unknown recipe {phase.recipe!r}: use {', '.join(RECIPES)}")
    row = dict(RECIPES[phase.recipe][model.family])
    if model.family == "cnn" and not model.has_batch_norm:
        row |= WITHOUT_BATCH_NORM.get(phase.recipe, {})
    scale = max(1.0, batch / REFERENCE_BATCH)
    for rate in ("learning_rate", "backbone_learning_rate"):
        if rate in row:
            row[rate] = float(row[rate]) * scale
    if "layer_decay" in row and model.num_groups > DECAYED_GROUPS:  # else rates would fall to what float32 rounds off
        row["layer_decay"] = float(row["layer_decay"]) ** ((DECAYED_GROUPS - 1) / (model.num_groups - 1))
    if few:
        row["normalization"] = "eval"
    return _build(who, TrainRecipe, {"trainable": phase.trainable, "share": phase.share, **row}, own)


def _require_used(
    strategy: Strategy, model: ModelFacts, made: list[tuple[int, FitRecipe | TrainRecipe]], asked: set[str]
) -> None:
    """Each override must do something in one phase at least, or in the phase that it names. Raises: SpecError."""
    lasts = {str(n) for n, p in enumerate(strategy.phases, 1) if isinstance(p, Train) and p.trainable == "last"}
    for key in sorted(asked):
        place, dot, name = key.rpartition(".")
        if name == "last_groups" and (place in lasts if dot else lasts):
            continue
        phases = [recipe for number, recipe in made if not dot or place == str(number)]
        if not phases:
            raise SpecError(
                f"{strategy.id} has no setting {key}, as it has {len(strategy.phases)} phase(s): say 1.{name}"
            )
        reasons = [why_idle(name, recipe, model) for recipe in phases]
        if None in reasons:
            continue
        known = sorted({n for _, r in made for n in type(r).model_fields if why_idle(n, r, model) is None})
        if all(name not in type(recipe).model_fields for recipe in phases) or name in ("trainable", "share"):
            more = [] if dot else [*network_settings(strategy, model), *(["last_groups"] if lasts else [])]
            raise SpecError(f"{strategy.id} has no setting {key}: {_offer(name, [*known, *more])}")
        reason = next(r for p, r in zip(phases, reasons, strict=True) if name in type(p).model_fields)
        raise SpecError(f"{strategy.id}: {key} would do nothing, as {reason}: leave it out")


def _offer(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"{f'did you mean {near[0]}? ' if near else ''}it has {', '.join(sorted(known))}"


def _build(who: str, kind: type[R], row: Row, own: Row) -> R:
    mine = {k: v for k, v in own.items() if k in kind.model_fields and k not in {"trainable", "share"}}
    try:
        return kind.model_validate({**row, **mine})
    except ValidationError as error:
        raise SpecError(f"{who}: {complaint(error)}") from error

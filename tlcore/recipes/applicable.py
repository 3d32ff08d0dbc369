"""Which settings do something for a phase, a strategy and a model: what would be ignored is refused instead."""

from collections.abc import Callable
from typing import Any, NamedTuple

from tlcore.errors import SpecError
from tlcore.recipes.values import FitRecipe, ModelFacts, TrainRecipe
from tlcore.strategies import Fit, Strategy, Train, Unfreeze

LINEAR_MODELS = ("vit_tiny_patch16_224", "convnext_tiny")  # examples of models for adapters
LORA_SHARE = 0.5  # of the backbone's parameters that linear layers must hold for adapters in them to mean much

MAX_EVALUATIONS = 50  # of a run


class Rule(NamedTuple):
    """Settings, whether they do something for a phase's recipe and model, and why not where they do not."""

    names: tuple[str, ...]
    applies: Callable[[Any, ModelFacts], bool]
    reason: str


_FIT_RULES = (
    Rule(("c_low", "c_high"), lambda p, _: p.classifier != "knn", "k-NN has no C"),
    Rule(("neighbors",), lambda p, _: p.classifier == "knn", "only the classifier knn has neighbours"),
)
_TRAIN_RULES = (
    Rule(("backbone_learning_rate",), lambda p, _: p.trainable != "head", "only the head trains"),
    Rule(("layer_decay",), lambda p, _: p.trainable != "head", "no layer group trains as a whole"),
    Rule(("layer_decay",), lambda p, m: p.trainable != "last:1" and m.num_groups > 1, "only one layer group trains"),
    Rule(("normalization",), lambda p, m: m.has_batch_norm, "the model has no BatchNorm"),
    Rule(("normalization",), lambda p, _: p.trainable not in ("head", "lora"), "a frozen backbone keeps them"),
    Rule(("momentum", "nesterov"), lambda p, _: p.optimizer == "sgd", "only the optimizer sgd has momentum"),
    Rule(("nesterov",), lambda p, _: p.momentum > 0, "the momentum is 0"),
    Rule(("decay_norms",), lambda p, _: p.weight_decay > 0, "the weight decay is 0"),
    Rule(
        ("patience",), lambda p, _: p.patience < MAX_EVALUATIONS, f"a run is evaluated {MAX_EVALUATIONS} times at most"
    ),
    Rule(("lora_rank", "lora_alpha"), lambda p, _: p.trainable == "lora", "no adapters train"),
)


def why_idle(name: str, phase: FitRecipe | TrainRecipe, model: ModelFacts) -> str | None:
    """Why a setting would do nothing in a phase, or None where it does something."""
    if name not in type(phase).model_fields or name in ("trainable", "share"):
        return "the phase has no such setting"
    rules = _FIT_RULES if isinstance(phase, FitRecipe) else _TRAIN_RULES
    return next((r.reason for r in rules if name in r.names and not r.applies(phase, model)), None)


def require_fit(strategy: Strategy, model: ModelFacts) -> None:
    """Refuse a strategy that makes no sense for a model, with the reason. Raises: SpecError."""
    for phase in strategy.phases:
        part = phase.trainable if isinstance(phase, Train) else ""
        if part == "lora" and model.linear_share < LORA_SHARE:
            raise SpecError(
                f"{strategy.id} puts adapters into linear layers, but they hold only {model.linear_share:.0%} of the "
                f"parameters of {model.model}: choose a model whose blocks have linear layers, such as "
                f"{' or '.join(LINEAR_MODELS)}, or another strategy"
            )
        if model.frozen_only and (isinstance(phase, Unfreeze) or part not in ("", "head")):
            raise SpecError(
                f"{strategy.id} trains the backbone, but {model.model} can only be used frozen: choose "
                f"feature_extraction or transfer_learning"
            )
    if model.frozen_only and strategy.start == "random":
        raise SpecError(f"{strategy.id} starts from random weights, but {model.model} comes with its own")


def require_head(strategy: Strategy, phases: tuple[FitRecipe | TrainRecipe, ...]) -> None:
    """Refuse a classifier that leaves no head for the phases after it to train. Raises: SpecError."""
    first = phases[0]
    if len(phases) > 1 and isinstance(first, FitRecipe) and first.classifier == "knn":
        raise SpecError(
            f"{strategy.id} goes on to train the head that its first phase fitted, and k-NN has none: use "
            f"logistic_regression or linear_svm"
        )


def require_network(strategy: Strategy, model: ModelFacts, values: dict[str, Any]) -> None:
    """Refuse changes to the network that a strategy or a model has no use for. Raises: SpecError."""
    fits = any(isinstance(phase, Fit) for phase in strategy.phases)
    if fits and (values.get("hidden_units") or values.get("head_dropout")):
        raise SpecError(f"{strategy.id} fits its head to stored features, so it takes no hidden_units or head_dropout")
    if model.frozen_only and (values.get("hidden_units") or values.get("head_dropout")):
        raise SpecError(f"{model.model} takes a linear head only: leave hidden_units and head_dropout out")
    if values.get("cut_at") is not None and values.get("layers", "penultimate") != "penultimate":
        raise SpecError(f"{strategy.id}: give cut_at or layers, not both: cut_at=K is the same as layers=K")
    if values.get("grayscale") and not model.supports_grayscale:
        raise SpecError(f"{model.model} takes colour images only: the library cannot adapt it to grayscale")
    asked = _groups_kept(strategy, model, values.get("cut_at"))
    asked += [int(part) for part in str(values.get("layers", "")).split("+") if part.isdecimal()]
    if (asked or values.get("layers") == "last_conv") and model.frozen_only:
        raise SpecError(f"{model.model} gives one output only: leave cut_at and layers out")
    wrong = [number for number in asked if not 1 <= number <= model.num_groups]
    if wrong:
        named = ", ".join(f"{i} {name}" for i, name in enumerate(model.group_names, 1))
        raise SpecError(
            f"layer group {wrong[0]} does not exist: {model.model} has {model.num_groups}"
            + (f", from input to head: {named}" if named else "")
        )


def network_settings(strategy: Strategy, model: ModelFacts) -> list[str]:
    """The fields of NetworkRecipe that may be changed for a strategy on a model."""
    tried = {"cut_at": 1, "layers": "last_conv", "hidden_units": 1, "head_dropout": 0.5, "grayscale": True}
    return [name for name, value in tried.items() if _takes(strategy, model, {name: value})]


def _takes(strategy: Strategy, model: ModelFacts, values: dict[str, Any]) -> bool:
    try:
        require_network(strategy, model, values)
    except SpecError:
        return False
    return True


def _groups_kept(strategy: Strategy, model: ModelFacts, cut_at: Any) -> list[int]:
    """The number in cut_at, if any. Raises: SpecError."""
    if cut_at is None:
        return []
    if isinstance(cut_at, int) and not isinstance(cut_at, bool):
        return [cut_at]
    raise SpecError(
        f"{strategy.id}: cut_at={cut_at} cannot be used: it is how many layer groups are kept, 1 to "
        f"{model.num_groups}; several groups side by side, or last_conv, are given as layers"
    )

"""Whether a recipe can be carried out on a model, found without allocating weights: before anything is launched."""

from collections.abc import Collection, Mapping, Sequence

from tlcore.errors import SpecError
from tlcore.recipes import FitRecipe, Recipe, TrainRecipe, why_idle
from tlcore.training.networks.adapters import adaptable, adapted_weights, require_peft
from tlcore.training.networks.construction import without_memory
from tlcore.training.networks.freezing import learns_statistics, trained_names
from tlcore.training.networks.groups import group_name
from tlcore.training.networks.models import Network, build_network


def check_recipe(model: str, recipe: Recipe, asked: Mapping[str, Sequence[int]] | None = None) -> None:
    """Build the network as the recipe changes it, and find what each of its phases trains.

    asked: as of `recipes.asked_of`. Raises: ModelError for layers that cannot be cut or adapted; SpecError for a
    pattern that matches no parameter, for phases that leave the new head as it was drawn, and for settings that would
    do nothing.
    """
    with without_memory(model):
        network = build_network(model, 2, recipe.preprocessing.size, recipe.network)
    trained: dict[str, frozenset[str]] = {}
    for phase in recipe.phases:
        if not isinstance(phase, TrainRecipe):
            continue
        if phase.trainable == "lora":
            require_peft()
            adaptable(network)
        trained[phase.trainable] = trained_names(network, phase.trainable)
    if not any(isinstance(phase, FitRecipe) for phase in recipe.phases):
        _require_head(network, trained)
    _require_effect(network, recipe, asked or {})


def idle_settings(network: Network, phase: TrainRecipe) -> dict[str, str]:
    """Settings that do nothing in a phase, as the names of what it trains tell, each with the reason."""
    names = trained_names(network, phase.trainable)
    if phase.trainable == "lora":
        names |= adapted_weights(network)
    groups = [place for place, group in enumerate(network.groups) if not names.isdisjoint(group)]
    head = any(name.startswith(f"{network.head_name}.") for name in names)
    rules = (
        ("learning_rate", head, "the head does not train"),
        ("backbone_learning_rate", groups, "only the head trains"),
        ("layer_decay", groups and groups[0] < len(network.groups) - 1, "no layer group below the last one trains"),
        ("normalization", learns_statistics(network, names), "no whole BatchNorm trains"),
    )
    return {name: reason for name, applies, reason in rules if not applies}


def _require_head(network: Network, trained: dict[str, frozenset[str]]) -> None:
    """Every layer of the new head is trained by some phase. trained: parameter names by what a phase trains."""
    head = f"{network.head_name}."
    layers = {name for name, p in network.module.named_parameters() if name.startswith(head) and p.dim() > 1}
    left = sorted(layers.difference(*trained.values()))
    if left:
        matched = "; ".join(f"{trainable!r} {_in_words(network, names)}" for trainable, names in trained.items())
        raise SpecError(
            f"no phase trains {left[0]} of {network.facts.model}, so its new head would stay random: {matched}. A "
            f"pattern is a regular expression that is searched anywhere in a parameter's name. Add a phase with "
            f"train: head, or match the head too: {list(trained)[-1]}|{head.replace('.', '[.]')}"
        )


def _require_effect(network: Network, recipe: Recipe, asked: Mapping[str, Sequence[int]]) -> None:
    """Each setting that was asked for does something in one of its phases. Raises: SpecError."""
    for key, places in asked.items():
        name = key.rpartition(".")[2]
        phases = [recipe.phases[place] for place in places]
        reasons = [
            (idle_settings(network, phase).get(name) if isinstance(phase, TrainRecipe) else None)
            or why_idle(name, phase, network.facts)
            for phase in phases
        ]
        if None not in reasons:
            raise SpecError(f"{recipe.strategy}: {key} would do nothing, as {reasons[-1]}: leave it out")


def _in_words(network: Network, names: Collection[str]) -> str:
    """How many parameters a phase trains, and of which layer groups."""
    total = sum(1 for _ in network.module.named_parameters())
    groups = [group_name(network.module, group) for group in network.groups if not set(names).isdisjoint(group)]
    return f"trains {len(names)} of {total} parameters, in the layer groups {', '.join(groups) or 'none'}"

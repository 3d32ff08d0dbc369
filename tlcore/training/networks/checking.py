"""Whether a recipe can be carried out on a model, found without allocating weights: before anything is launched."""

from collections.abc import Collection

from tlcore.errors import SpecError
from tlcore.recipes import FitRecipe, Recipe, TrainRecipe
from tlcore.training.networks.adapters import adaptable, require_peft
from tlcore.training.networks.construction import without_memory
from tlcore.training.networks.freezing import trained_names
from tlcore.training.networks.groups import group_name
from tlcore.training.networks.models import Network, build_network


def check_recipe(model: str, recipe: Recipe) -> None:
    """Build the network as the recipe changes it, and find what each of its phases trains.

    Raises: ModelError for layers that cannot be cut or adapted; SpecError for a pattern that matches no parameter, and
    for phases that leave the new head as it was drawn.
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


def _in_words(network: Network, names: Collection[str]) -> str:
    """How many parameters a phase trains, and of which layer groups."""
    total = sum(1 for _ in network.module.named_parameters())
    groups = [group_name(network.module, group) for group in network.groups if not set(names).isdisjoint(group)]
    return f"trains {len(names)} of {total} parameters, in the layer groups {', '.join(groups) or 'none'}"

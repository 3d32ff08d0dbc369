"""Whether a recipe can be carried out on a model, found without allocating weights: before anything is launched."""

from tlcore.recipes import Recipe, TrainRecipe
from tlcore.training.networks.adapters import adaptable, require_peft
from tlcore.training.networks.construction import without_memory
from tlcore.training.networks.freezing import trained_names
from tlcore.training.networks.models import build_network


def check_recipe(model: str, recipe: Recipe) -> None:
    """Build the network as the recipe changes it, and find what each of its phases trains.

    Raises: ModelError for layers that cannot be cut or adapted, SpecError for a pattern that matches no parameter.
    """
    with without_memory(model):
        network = build_network(model, 2, recipe.preprocessing.size, recipe.network)
    for phase in recipe.phases:
        if isinstance(phase, TrainRecipe) and phase.trainable == "lora":
            require_peft()
            adaptable(network)
        elif isinstance(phase, TrainRecipe):
            trained_names(network, phase.trainable)

"""Parameter groups: rates, decay, and nothing left out."""

import pytest
import torch

from tlcore.recipes import TrainRecipe
from tlcore.training.freezing import apply_trainable
from tlcore.training.models import build_network
from tlcore.training.optimizers import learning_rates, make_optimizer, parameter_groups, set_learning_rates


def values(**changes) -> TrainRecipe:
    return TrainRecipe(
        **{"trainable": "all", "share": 1.0, "learning_rate": 0.1, "backbone_learning_rate": 0.01, **changes}
    )


@pytest.mark.parametrize("trainable", ["head", "all", "last:1"])
@pytest.mark.parametrize("decay_norms", [True, False])
def test_every_trained_tensor_is_in_one_group_with_its_rate_and_decay(trainable, decay_norms):
    network = build_network("test_resnet", 3, 32)
    recipe = values(trainable=trainable, decay_norms=decay_norms, weight_decay=0.3)
    apply_trainable(network, trainable, "eval")
    placed = {}
    for group in parameter_groups(network, recipe):
        for parameter in group["params"]:
            assert id(parameter) not in placed
            placed[id(parameter)] = (group["lr"], group["weight_decay"])
    for name, parameter in network.module.named_parameters():
        if not parameter.requires_grad:
            assert id(parameter) not in placed
            continue
        rate = 0.1 if name.startswith(network.head_name) else 0.01
        decays = decay_norms or parameter.dim() > 1
        assert placed[id(parameter)] == (rate, 0.3 if decays else 0.0), name


def test_rates_follow_the_schedule_by_group():
    network = build_network("test_resnet", 3, 32)
    apply_trainable(network, "all", "eval")
    recipe = values()
    optimizer = make_optimizer(network, recipe)
    set_learning_rates(optimizer, recipe, 0.5)
    assert learning_rates(optimizer) == pytest.approx({"backbone": 0.005, "head": 0.05})


@pytest.mark.parametrize(("name", "kind"), [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)])
def test_the_recipe_names_the_optimiser(name, kind):
    network = build_network("test_resnet", 3, 32)
    apply_trainable(network, "head", "eval")
    assert isinstance(make_optimizer(network, values(optimizer=name)), kind)

"""The optimiser of a phase: parameters grouped by learning rate and weight decay."""

from typing import Any

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from tlcore.recipes import TrainRecipe
from tlcore.training.models import Network
from tlcore.training.plan import learning_rate_factor


def make_optimizer(network: Network, recipe: TrainRecipe) -> Optimizer:
    """SGD or AdamW over what trains, in groups named `head` and `backbone`.

    With `decay_norms` off, tensors of one dimension (norms and biases) form groups of their own without decay.
    """
    groups = parameter_groups(network, recipe)
    fused = all(p.is_floating_point() for group in groups for p in group["params"])
    if recipe.optimizer == "sgd":
        return SGD(groups, momentum=recipe.momentum, nesterov=recipe.nesterov and recipe.momentum > 0, fused=fused)
    return AdamW(groups, fused=fused)


def parameter_groups(network: Network, recipe: TrainRecipe) -> list[dict[str, Any]]:
    """Groups for torch's optimisers, with `name` and `base_lr` beside torch's own keys; empty ones left out."""
    head = {id(p) for p in network.head.parameters()}
    trained = [p for p in network.module.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = []
    for name, rate in (("backbone", recipe.backbone_learning_rate), ("head", recipe.learning_rate)):
        mine = [p for p in trained if (id(p) in head) == (name == "head")]
        for decayed in (True, False):
            chosen = [p for p in mine if _decays(p, recipe) == decayed]
            if chosen:
                decay = recipe.weight_decay if decayed else 0.0
                groups.append({"params": chosen, "name": name, "lr": rate, "base_lr": rate, "weight_decay": decay})
    return groups


def set_learning_rates(optimizer: Optimizer, recipe: TrainRecipe, progress: float) -> None:
    """Move every group's rate to where the schedule is. progress: part of the phase that is done, 0…1."""
    factor = learning_rate_factor(recipe, progress)
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


def learning_rates(optimizer: Optimizer) -> dict[str, float]:
    """The rate of each named group now."""
    return {group["name"]: float(group["lr"]) for group in optimizer.param_groups}


def _decays(parameter: nn.Parameter, recipe: TrainRecipe) -> bool:
    return recipe.decay_norms or parameter.dim() > 1


def synchronize(device: torch.device) -> None:
    """Wait for a GPU to finish what it was given, so that time can be measured."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)

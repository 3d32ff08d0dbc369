"""The optimiser of a phase: parameters grouped by learning rate and weight decay."""

from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from tlcore.recipes import TrainRecipe, learning_rate_factor
from tlcore.training.networks.adapters import plain_name
from tlcore.training.networks.decay import decayed_names
from tlcore.training.networks.models import Network


def make_optimizer(network: Network, recipe: TrainRecipe) -> Optimizer:
    """SGD, AdamW or Adam over what trains, in groups as of `parameter_groups`."""
    groups = parameter_groups(network, recipe)
    fused = all(p.is_floating_point() for group in groups for p in group["params"])
    if recipe.optimizer == "sgd":
        return SGD(groups, momentum=recipe.momentum, nesterov=recipe.nesterov and recipe.momentum > 0, fused=fused)
    return AdamW(groups, fused=fused) if recipe.optimizer == "adamw" else Adam(groups, fused=fused)


def parameter_groups(network: Network, recipe: TrainRecipe) -> list[dict[str, Any]]:
    """Groups for torch's optimisers, with `name` and `base_lr` beside torch's own keys, from input to head.

    Named `backbone` and `head`; with a layer decay, each layer group that trains has its own rate and is named
    `NN name`, its number from the input and what the library calls it. With `decay_norms` off, what is no
    kernel or matrix (norms, biases, tokens, positions) forms groups of its own without weight decay.
    """
    found: dict[tuple[int, bool], list[nn.Parameter]] = {}
    rates, kernels = group_rates(network, recipe), decayed_names(network.module)
    places = {name: place for place, group in enumerate(network.groups) for name in group}
    for name, parameter in network.module.named_parameters():
        if not parameter.requires_grad:
            continue
        backbone = places.get(plain_name(name), 0) if recipe.layer_decay != 1 else 0
        place = len(rates) - 1 if name.startswith(f"{network.head_name}.") else backbone
        found.setdefault((place, recipe.decay_norms or name in kernels), []).append(parameter)
    return [
        {
            "params": found[place, decays],
            "name": rates[place][0],
            "lr": rates[place][1],
            "base_lr": rates[place][1],
            "weight_decay": recipe.weight_decay if decays else 0.0,
        }
        for place, decays in sorted(found, key=lambda key: (key[0], not key[1]))
    ]


def group_rates(network: Network, recipe: TrainRecipe) -> list[tuple[str, float]]:
    """Names and rates from input to head. The last layer group has the backbone's rate, each lower one a part of it."""
    head = ("head", recipe.learning_rate)
    last = len(network.groups) - 1
    if recipe.layer_decay == 1:
        return [("backbone", recipe.backbone_learning_rate), head]
    decayed = [recipe.backbone_learning_rate * recipe.layer_decay ** (last - place) for place in range(last + 1)]
    names = [f"{number:02d} {name}" for number, name in enumerate(network.group_names, 1)]
    return [*zip(names, decayed, strict=True), head]


def set_learning_rates(optimizer: Optimizer, recipe: TrainRecipe, progress: float) -> None:
    """Move every group's rate to where the schedule is. progress: part of the phase that is done, 0…1."""
    factor = learning_rate_factor(recipe, progress)
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


def learning_rates(optimizer: Optimizer) -> dict[str, float]:
    """The rate of each named group now."""
    return {group["name"]: float(group["lr"]) for group in optimizer.param_groups}


def synchronize(device: torch.device) -> None:
    """Wait for a GPU to finish what it was given, so that time can be measured."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)

"""What a run really did to its network: what trained in each phase, and how far each layer group moved."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from tlcore.recipes import FitRecipe, TrainRecipe
from tlcore.results import LayerGroup, PhaseReport
from tlcore.training.networks.adapters import plain_name
from tlcore.training.networks.models import Network

HEAD = "head"
_STATISTICS = ("running_mean", "running_var")
_BATCH_NORM = nn.modules.batchnorm._BatchNorm


def tensors_at_start(network: Network) -> dict[str, Tensor]:
    """A copy on the CPU of all tensors, to be made before anything trains or a checkpoint is loaded."""
    return {name: tensor.detach().cpu().clone() for name, tensor in network.module.state_dict().items()}


def phase_report(
    network: Network, phase: int, recipe: FitRecipe | TrainRecipe, first_step: int, last_step: int
) -> PhaseReport:
    """What the phase did that ends now, from the network as the phase has it: adapters in it, modes and all."""
    trained = sum(trained_by_group(network, recipe))
    norms = [module for module in network.module.modules() if isinstance(module, _BATCH_NORM)]
    return PhaseReport(
        phase=phase,
        trainable=recipe.classifier if isinstance(recipe, FitRecipe) else recipe.trainable,
        first_step=first_step,
        last_step=last_step,
        normalization=("train" if any(norm.training for norm in norms) else "eval") if norms else None,
        num_trainable=trained,
        num_frozen=sum(p.numel() for p in network.module.parameters()) - trained,
    )


def trained_by_group(network: Network, recipe: FitRecipe | TrainRecipe) -> tuple[int, ...]:
    """How many parameters of each layer group train in the phase under way, the head's last; adapters count too."""
    counts = [0] * (len(network.groups) + 1)
    if isinstance(recipe, FitRecipe) and recipe.classifier == "knn":
        return tuple(counts)
    place_of = _places(network)
    for name, parameter in network.module.named_parameters():
        if parameter.requires_grad:
            counts[place_of[plain_name(name)]] += parameter.numel()
    return tuple(counts)


def layer_groups(
    network: Network,
    start: Mapping[str, Tensor],
    best: Mapping[str, Tensor],
    trained: Sequence[tuple[int, ...]],
) -> tuple[LayerGroup, ...]:
    """All layer groups from input to head. start, best: tensors of the network before any training, and as it is kept.

    trained: per phase, as of `trained_by_group`.
    """
    places = _places(network)
    statistics = {name: _place_of_buffer(name, places) for name in start if name.endswith(_STATISTICS)}
    found = []
    for place, called in enumerate((*network.group_names, HEAD)):
        names = [name for name, mine in places.items() if mine == place]
        buffers = [name for name, mine in statistics.items() if mine == place]
        found.append(
            LayerGroup(
                name=called,
                num_parameters=sum(start[name].numel() for name in names),
                num_trainable=tuple(counts[place] for counts in trained),
                moved=_moved(names, start, best),
                statistics_moved=_moved(buffers, start, best),
            )
        )
    return tuple(found)


def _places(network: Network) -> dict[str, int]:
    """The layer group of each parameter, under the library's own names; the head comes after all groups."""
    found = {name: place for place, group in enumerate(network.groups) for name in group}
    for name, _ in network.module.named_parameters():
        if name.startswith(f"{network.head_name}."):
            found[name] = len(network.groups)
    return found


def _place_of_buffer(name: str, places: Mapping[str, int]) -> int:
    """The group of the parameters beside a buffer, or of those around it where it has none beside it."""
    path = name
    while "." in path:
        path = path.rpartition(".")[0]
        beside = [place for other, place in places.items() if other.startswith(f"{path}.")]
        if beside:
            return beside[0]
    return 0


def _moved(names: Sequence[str], start: Mapping[str, Tensor], now: Mapping[str, Tensor]) -> float | None:
    """‖now − start‖₂ / ‖start‖₂ over all these tensors; None where they are nothing."""
    before = math.sqrt(sum(float(torch.sum(start[name].double() ** 2)) for name in names))
    if before == 0:
        return None
    change = sum(float(torch.sum((now[name].cpu().double() - start[name].double()) ** 2)) for name in names)
    return math.sqrt(change) / before

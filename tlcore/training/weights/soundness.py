"""Whether tensors that fit by name and shape can be a trained network: their values, and what network they are of."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tlcore.errors import WeightsError
from tlcore.training.networks.models import Network
from tlcore.training.weights.matching import DERIVED, Match

OURS, ABOUT = "weights.safetensors", "model.json"  # what a run leaves: its network, and beside it what it is


def require_sound(network: Network, match: Match, given: Mapping[str, Tensor], origin: str) -> None:
    """What would be loaded is floating point where the network is, finite, and not zero throughout.

    given: the source's tensors as they are. Raises: WeightsError.
    """
    own = network.module.state_dict()
    named = [n for n in given if n in match.fitting and not n.endswith(DERIVED)]  # a mask of attention is of infinities
    loaded = {name: given[name] for name in named}
    for name, tensor in loaded.items():
        if own[name].is_floating_point():
            _require_numbers(name, tensor, origin)
    weights = [tensor for tensor in loaded.values() if tensor.ndim > 1]
    if weights and not any(bool(tensor.float().any()) for tensor in weights):
        raise WeightsError(
            f"{origin} cannot be used: its {len(weights)} tensors of weights are 0 throughout, as of a file that was "
            f"made but never filled; save the weights of a trained network"
        )


def require_same_network(network: Network, file: Path) -> None:
    """A file that a run left is of this architecture, and wants its input normalised as this model gives it.

    Some architectures agree in every name and shape, so only `model.json` beside the file tells them apart.
    Raises: WeightsError.
    """
    about = _about(file)
    if about is None:
        return
    architecture, given = about["architecture"], about["preprocessing"]
    if architecture != network.architecture:
        raise WeightsError(
            f"{file} is a network {architecture}, as {ABOUT} beside it says, not {network.architecture}: use it for "
            f"--model {about['model']}, or choose weights made for {network.facts.model}"
        )
    mean, std = tuple(given["mean"]), tuple(given["std"])
    own = network.facts.preprocessing
    if (mean, std) != (own.mean, own.std):
        raise WeightsError(
            f"{file} wants its input normalised by mean {mean}, std {std}, not as {network.facts.model} gives it: use "
            f"it for --model {about['model']}"
        )


def _require_numbers(name: str, tensor: Tensor, origin: str) -> None:
    if not tensor.is_floating_point():
        kind = str(tensor.dtype).removeprefix("torch.")
        raise WeightsError(
            f"{origin} cannot be used: its tensor {name} holds {kind}, not floating-point numbers, as after a "
            f"quantisation; save the network's weights as float32"
        )
    wrong = int((~torch.isfinite(tensor.float())).sum())
    if wrong:
        raise WeightsError(
            f"{origin} cannot be used: {wrong:,} of the {tensor.numel():,} values of its tensor {name} are NaN or "
            f"infinite, as after a training that diverged; save the weights of an earlier epoch"
        )


def _about(file: Path) -> dict[str, Any] | None:
    """The description beside a file that a run left; None for other files."""
    try:
        found = json.loads(file.with_name(ABOUT).read_text(encoding="utf-8")) if file.name == OURS else None
    except (OSError, ValueError):
        return None
    told = isinstance(found, dict) and {"architecture", "model", "preprocessing"} <= found.keys()
    return found if told else None

"""LoRA (Hu et al. 2022): small matrices beside the linear layers of a frozen backbone, added to them in the end.

While its phase runs, a layer `blocks.0.attn.qkv` is `blocks.0.attn.qkv.base_layer` with `lora_A` and `lora_B` beside
it: peft's names. Before and after, and in every file but the checkpoint, the network has the library's own names.
"""

import importlib.util
import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tlcore.errors import ModelError
from tlcore.recipes import TrainRecipe
from tlcore.training.networks.groups import linear_layers
from tlcore.training.networks.layers import passed_modules
from tlcore.training.networks.models import Network

_ADAPTER = "default"  # peft's own name of the one set of adapters
_PART = re.compile(r"\.(lora_[A-Z]\w*|base_layer)\.")


def adaptable(network: Network) -> list[str]:
    """Paths of the linear layers that get adapters, from the input: those of the blocks through which images pass.

    A layer that the library never calls, as it reads the weights itself (the projections inside torch's attention),
    cannot have one. Raises: ModelError where there is none.
    """
    passed = passed_modules(network.facts)
    found = [path for path in linear_layers(network.module, network.head_name) if path in passed]
    if not found:
        raise ModelError(f"{network.facts.model} has no linear layer in its blocks, so it can have no adapters")
    return found


def adapted_weights(network: Network) -> frozenset[str]:
    """The library's names of the weights to which adapters will be added, whether these are in the network or not."""
    return frozenset(f"{path}.weight" for path in _adapted(network.module) or adaptable(network))


def require_peft() -> None:
    """Raises: ModelError where the package that makes adapters is missing."""
    if importlib.util.find_spec("peft") is None:
        raise ModelError("LoRA needs the package peft, which is not installed: pip install peft, then try again")


def attach_adapters(network: Network, recipe: TrainRecipe, seed: int) -> None:
    """Put adapters into the network, unless they are there. It computes the same as before, as lora_B starts as 0.

    seed: of the run, from which lora_A follows. Raises: ModelError.
    """
    if has_adapters(network):
        return
    require_peft()
    from peft import LoraConfig, inject_adapter_in_model

    targets = "|".join(re.escape(path) for path in adaptable(network))
    config = LoraConfig(r=recipe.lora_rank, lora_alpha=recipe.lora_alpha, target_modules=targets, lora_dropout=0.0)
    with torch.random.fork_rng(devices=[]):
        inject_adapter_in_model(config, network.module)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in _adapted(network.module).values():
            first = layer.lora_A[_ADAPTER].weight
            start = torch.empty(first.shape)
            nn.init.kaiming_uniform_(start, a=math.sqrt(5), generator=generator)
            first.copy_(start)


def merge_adapters(network: Network) -> None:
    """Add the adapters to the layers that they stand beside, and take them out: an ordinary network is left."""
    with torch.no_grad():
        for path, layer in _adapted(network.module).items():
            layer.base_layer.weight.add_(layer.get_delta_weight(_ADAPTER))
            network.module.set_submodule(path, layer.base_layer)


def has_adapters(network: Network) -> bool:
    """Whether adapters are in the network now."""
    return bool(_adapted(network.module))


def holds_adapters(tensors: Mapping[str, Tensor]) -> bool:
    """Whether tensors are those of a network with adapters in it."""
    return any(_PART.search(name) for name in tensors)


def network_tensors(network: Network) -> dict[str, Tensor]:
    """The state dict of the network as it will be, under the library's own names: adapters are added in a copy."""
    adapted = _adapted(network.module)
    tensors = {plain_name(n): t for n, t in network.module.state_dict().items() if ".lora_" not in n}
    with torch.no_grad():
        for path, layer in adapted.items():
            tensors[f"{path}.weight"] = layer.base_layer.weight + layer.get_delta_weight(_ADAPTER)
    return tensors


def plain_name(name: str) -> str:
    """The library's name of a parameter; for a part of an adapter, that of the weight to which it will be added."""
    part = _PART.search(name)
    if part is None:
        return name
    return f"{name[: part.start()]}.{'weight' if part[1].startswith('lora_') else name[part.end() :]}"


def _adapted(module: nn.Module) -> dict[str, Any]:
    return {path: layer for path, layer in module.named_modules() if hasattr(layer, "lora_A")}

"""Image classifiers of timm (by name) and torchvision (`torchvision:NAME`), as one kind of network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import timm
import torch
from torch import nn

from tlcore.errors import ModelError
from tlcore.recipes import Family, ModelFacts, NetworkRecipe
from tlcore.training.networks.activations import spare_copies
from tlcore.training.networks.construction import (
    SECOND_HEADS,
    construct,
    own_arguments,
    takes_image_size,
    without_memory,
)
from tlcore.training.networks.grayscale import first_convolutions
from tlcore.training.networks.groups import group_name, layer_groups, linear_share
from tlcore.training.networks.layers import NEW_HEAD, plan_changes
from tlcore.training.networks.names import architecture_of, library_of, weight_tags
from tlcore.training.networks.onnx_network import onnx_classifier, onnx_facts
from tlcore.training.networks.rewiring import rewire
from tlcore.training.networks.transforms import published_preprocessing

PUBLISHED_CLASSES = 1000  # ImageNet-1k
_BATCH_NORM = nn.modules.batchnorm._BatchNorm
_LAYER_NORMS = nn.LayerNorm | nn.RMSNorm | timm.layers.RmsNorm
UNCHANGED = NetworkRecipe()
_FIXED_SIZE = ("vit_", "maxvit_")  # torchvision's networks that take one image size


@dataclass(frozen=True)
class Network:
    """A classifier, with its parts named.

    module: the library's own network, its state_dict names unchanged. head: the last linear layer, which gives the
    scores; head_name: the path below which everything new lies, the head and a hidden layer before it.
    groups: parameter names of the backbone by layer group, bottom to top; group_names: what the library calls them.
    image_size: pixels it was built for.
    architecture: what the library calls it, without tag. build_arguments: what the library's constructor got besides
    the number of classes. head_surgery: the statement that followed, with `{num_classes}`; "" where none did.
    replaced: name prefixes of tensors in weights files that belong to no backbone, or to a part of it that is dropped.
    changes: how it differs from the library's own; rewiring: the same as plain data, {} for no change.
    """

    module: nn.Module
    head: nn.Linear
    head_name: str
    groups: tuple[tuple[str, ...], ...]
    facts: ModelFacts
    image_size: int
    architecture: str
    build_arguments: Mapping[str, Any]
    head_surgery: str
    replaced: tuple[str, ...]
    group_names: tuple[str, ...] = ()
    changes: NetworkRecipe = UNCHANGED
    rewiring: Mapping[str, Any] = field(default_factory=dict)


def model_facts(name: str) -> ModelFacts:
    """What the recipes need to know of an architecture, found without allocating its weights.

    num_parameters counts it as published, with its own head. Raises: ModelError.
    """
    return onnx_facts(name) if library_of(name) == "onnx" else _library_facts(name)


@lru_cache(maxsize=256)
def _library_facts(name: str) -> ModelFacts:
    with without_memory(name):
        module, head, head_name, surgery = construct(name, PUBLISHED_CLASSES, own_arguments(name))
    preprocessing, crop_pct = published_preprocessing(name, module)
    groups = layer_groups(module, head_name)
    added = PUBLISHED_CLASSES if surgery and surgery.new_bias else 0
    return ModelFacts(
        model=name,
        library=library_of(name),
        family=_family(module),
        preprocessing=preprocessing,
        crop_pct=crop_pct,
        fixed_input_size=_fixed_size(name, module),
        num_parameters=sum(p.numel() for p in module.parameters()) - added,
        num_features=head.in_features,
        num_groups=len(groups),
        has_batch_norm=_has_batch_norm(module),
        weight_tags=weight_tags(name),
        group_names=tuple(group_name(module, group) for group in groups),
        linear_share=linear_share(module, head_name),
        supports_grayscale=library_of(name) == "timm" and bool(first_convolutions(module)),
        parameter_names=(*groups, tuple(n for n, _ in module.named_parameters() if n.startswith(f"{head_name}."))),
    )


def build_network(
    name: str, num_classes: int, image_size: int | None = None, changes: NetworkRecipe = UNCHANGED
) -> Network:
    """A randomly initialised network on the CPU: the same for the same torch seed.

    image_size: input side in pixels, the model's own where None. changes: what to cut off, to put in its place, and
    how many channels it reads; it takes normalised RGB in any case. The head starts as `nn.Linear` does by default,
    whatever the architecture's own rule, so that all models' heads start alike. Raises: ModelError.
    """
    if library_of(name) == "onnx":
        return _onnx_network(name, num_classes, image_size, changes)
    facts = model_facts(name)
    size = image_size or facts.preprocessing.size
    arguments = {**own_arguments(name), **_size_arguments(facts, size), **_channel_arguments(facts, changes)}
    module, head, head_name, surgery = construct(name, num_classes, arguments)
    head.reset_parameters()
    groups = zip(facts.group_names, layer_groups(module, head_name), strict=True)
    rewiring = plan_changes(facts, changes, head_name)
    rewire(module, rewiring, num_classes)
    spare_copies(module)
    left = {parameter for parameter, _ in module.named_parameters()}
    kept = [(called, tuple(n for n in group if n in left)) for called, group in groups]
    new_name = rewiring.get("head", {}).get("name", head_name)
    replaced = (surgery.replaced if surgery else head_name, NEW_HEAD, *rewiring.get("dropped", ()))
    return Network(
        module=module,
        head=_last_linear(module.get_submodule(new_name)),
        head_name=new_name,
        groups=tuple(group for _, group in kept if group),
        facts=facts,
        image_size=size,
        architecture=architecture_of(name),
        build_arguments=arguments,
        head_surgery=surgery.statement if surgery else "",
        replaced=(*(f"{path}." for path in replaced), *SECOND_HEADS),
        group_names=tuple(called for called, group in kept if group),
        changes=changes,
        rewiring=rewiring,
    )


def _onnx_network(name: str, num_classes: int, image_size: int | None, changes: NetworkRecipe) -> Network:
    """A frozen network from a file with a linear head; it can only be used as it is."""
    if changes != UNCHANGED:
        raise ModelError(f"{name} takes a linear head and no other change: leave the network's settings out")
    module, plan, facts = onnx_classifier(name, num_classes)
    size = image_size or facts.preprocessing.size
    if facts.fixed_input_size and size != facts.preprocessing.size:
        raise ModelError(f"{name} takes images of {facts.preprocessing.size} px only, not {size}")
    return Network(
        module=module,
        head=module.head,
        head_name="head",
        groups=(),
        facts=facts,
        image_size=size,
        architecture=architecture_of(name),
        build_arguments={},
        head_surgery="",
        replaced=("head.",),
        rewiring=plan,
    )


@lru_cache(maxsize=64)
def outline(name: str) -> Network:
    """A network of 2 classes whose tensors have shapes and no values, for comparing. Raises: ModelError."""
    with without_memory(name):
        return build_network(name, 2)


def features(network: Network, images: torch.Tensor) -> torch.Tensor:
    """What the head receives: [N,3,H,W] normalised images to [N,D]; dropout before the head included in train mode."""
    return _run(network, images)[0]


def logits(network: Network, images: torch.Tensor) -> torch.Tensor:
    """Class scores before softmax: [N,3,H,W] normalised images to [N,K]."""
    return _run(network, images)[1]


def _run(network: Network, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    seen: list[torch.Tensor] = []
    handle = network.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        scores: torch.Tensor = network.module(images)
    finally:
        handle.remove()
    return seen[0], scores


def _last_linear(head: nn.Module) -> nn.Linear:
    return next(layer for layer in reversed(list(head.modules())) if isinstance(layer, nn.Linear))


def _channel_arguments(facts: ModelFacts, changes: NetworkRecipe) -> dict[str, Any]:
    if changes.grayscale and not facts.supports_grayscale:
        raise ModelError(f"{facts.model} takes colour images only: leave grayscale out, or choose a model of timm")
    return {"in_chans": 1} if changes.grayscale else {}


def _fixed_size(name: str, module: nn.Module) -> bool:
    if library_of(name) == "torchvision":
        return architecture_of(name).startswith(_FIXED_SIZE)
    config: Any = module.pretrained_cfg
    wants_one = bool(config.get("fixed_input_size", False))
    return wants_one and not (takes_image_size(module) and hasattr(module, "set_input_size"))


def _size_arguments(facts: ModelFacts, size: int) -> dict[str, Any]:
    """What the constructor needs for another image size than the model's own."""
    if size == facts.preprocessing.size:
        return {}
    if facts.fixed_input_size:
        raise ModelError(f"{facts.model} takes images of {facts.preprocessing.size} px only, not {size}")
    if facts.library == "torchvision":
        return {}
    return {"img_size": size} if _takes_other_sizes(facts.model) else {}


@lru_cache(maxsize=256)
def _takes_other_sizes(name: str) -> bool:
    """Whether timm's constructor has to be told of another image size."""
    with without_memory(name):
        return takes_image_size(timm.create_model(name))


def _family(module: nn.Module) -> Family:
    """`transformer` where layer normalisation outnumbers BatchNorm (ViT, Swin, ConvNeXt), else `cnn`."""
    norms = [m for m in module.modules() if isinstance(m, _LAYER_NORMS | _BATCH_NORM)]
    batch = sum(isinstance(m, _BATCH_NORM) for m in norms)
    return "transformer" if len(norms) > 2 * batch else "cnn"


def _has_batch_norm(module: nn.Module) -> bool:
    return any(isinstance(m, _BATCH_NORM) for m in module.modules())

"""Image classifiers of timm (by name) and torchvision (`torchvision:NAME`), as one kind of network."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import timm
import torch
from torch import nn
from torchvision.models import get_model

from tlcore.errors import ModelError
from tlcore.recipes import Family, ModelFacts
from tlcore.training.groups import layer_groups
from tlcore.training.heads import Surgery, apply_surgery, find_surgery, linear_head
from tlcore.training.names import (
    TORCHVISION,
    architecture_of,
    library_of,
    require_known,
    weight_tags,
)
from tlcore.training.transforms import published_preprocessing

PUBLISHED_CLASSES = 1000  # ImageNet-1k
# What a constructor needs so that one linear layer makes the logits, by how the architecture's name begins.
# transform_input lets GoogLeNet and Inception v3 turn ImageNet's normalisation into their own.
_ONE_HEAD: dict[str, dict[str, Any]] = {
    "torchvision:googlenet": {"aux_logits": False, "transform_input": True, "init_weights": True},
    "torchvision:inception_v3": {"aux_logits": False, "transform_input": True, "init_weights": True},
    "volo_": {"use_aux_head": False},
}
# Second heads that published weights hold all the same.
_SECOND_HEADS = ("aux1.", "aux2.", "AuxLogits.", "aux_head.")
_BATCH_NORM = nn.modules.batchnorm._BatchNorm
_LAYER_NORMS = nn.LayerNorm | nn.RMSNorm | timm.layers.RmsNorm
_FIXED_SIZE = ("vit_", "maxvit_")  # torchvision's networks that take one image size


@dataclass(frozen=True)
class Network:
    """A classifier, with its parts named.

    module: the library's own network, its state_dict names unchanged. head: the linear classifier inside it.
    groups: parameter names of the backbone by layer group, bottom to top. image_size: pixels it was built for.
    architecture: what the library calls it, without tag. build_arguments: what the library's constructor got besides
    the number of classes. head_surgery: the statement that followed, with `{num_classes}`; "" where none did.
    replaced: name prefixes of tensors in published weights that belong to no backbone.
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


@lru_cache(maxsize=256)
def model_facts(name: str) -> ModelFacts:
    """What the recipes need to know of an architecture, found without allocating its weights.

    num_parameters counts it as published, with its own head. Raises: ModelError.
    """
    with _without_memory(name):
        module, head, head_name, _ = _construct(name, PUBLISHED_CLASSES, _own_arguments(name))
    preprocessing, crop_pct = published_preprocessing(name, module)
    return ModelFacts(
        model=name,
        library=library_of(name),
        family=_family(module),
        preprocessing=preprocessing,
        crop_pct=crop_pct,
        fixed_input_size=_fixed_size(name, module),
        num_parameters=sum(p.numel() for p in module.parameters()),
        num_features=head.in_features,
        num_groups=len(layer_groups(module, head_name)),
        has_batch_norm=_has_batch_norm(module),
        weight_tags=weight_tags(name),
    )


def build_network(name: str, num_classes: int, image_size: int | None = None) -> Network:
    """A randomly initialised network on the CPU: the same for the same torch seed.

    image_size: input side in pixels, the model's own where None. The head starts as `nn.Linear` does by default,
    whatever the architecture's own rule, so that all models' heads start alike. Raises: ModelError.
    """
    facts = model_facts(name)
    size = image_size or facts.preprocessing.size
    arguments = {**_own_arguments(name), **_size_arguments(facts, size)}
    module, head, head_name, surgery = _construct(name, num_classes, arguments)
    head.reset_parameters()
    return Network(
        module=module,
        head=head,
        head_name=head_name,
        groups=layer_groups(module, head_name),
        facts=facts,
        image_size=size,
        architecture=architecture_of(name),
        build_arguments=arguments,
        head_surgery=surgery.statement if surgery else "",
        replaced=(f"{surgery.replaced if surgery else head_name}.", *_SECOND_HEADS),
    )


@lru_cache(maxsize=64)
def outline(name: str) -> Network:
    """A network of 2 classes whose tensors have shapes and no values, for comparing. Raises: ModelError."""
    with _without_memory(name):
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


def _construct(
    name: str, num_classes: int, arguments: dict[str, Any]
) -> tuple[nn.Module, nn.Linear, str, Surgery | None]:
    require_known(name)
    library, architecture = library_of(name), architecture_of(name)
    try:
        if library == "timm":
            module = timm.create_model(name, num_classes=num_classes, **arguments)
        else:
            module = get_model(architecture, weights=None, num_classes=num_classes, **arguments)
        classifier = _classifier_name(name, module)
        surgery = find_surgery(module, classifier, library)
        if surgery:
            apply_surgery(module, surgery, num_classes)
        head, head_name = linear_head(module, surgery.head_name if surgery else classifier)
    except (ModelError, RuntimeError, ValueError, TypeError, AssertionError, AttributeError) as error:
        asked = f" with {arguments}" if arguments else ""
        raise ModelError(f"model {name!r} cannot be built{asked}: {error}") from error
    return module, head, head_name, surgery


def _classifier_name(name: str, module: nn.Module) -> str:
    """Path of the classifier module: timm says it, in torchvision it is the last linear or 1×1 convolution layer."""
    if library_of(name) == "timm":
        classifier = cast(Any, module).get_classifier()
        path: str | None = next((path for path, child in module.named_modules() if child is classifier), None)
        if path is None:
            raise ModelError("it has several classifiers side by side: choose a model with one")
        return path
    layers: list[str] = [path for path, child in module.named_modules() if isinstance(child, nn.Linear | nn.Conv2d)]
    return layers[-1]


def _fixed_size(name: str, module: nn.Module) -> bool:
    if library_of(name) == "torchvision":
        return architecture_of(name).startswith(_FIXED_SIZE)
    config: Any = module.pretrained_cfg
    wants_one = bool(config.get("fixed_input_size", False))
    return wants_one and not (_takes_image_size(module) and hasattr(module, "set_input_size"))


def _takes_image_size(module: nn.Module) -> bool:
    return "img_size" in inspect.signature(type(module)).parameters


@contextmanager
def _without_memory(name: str) -> Iterator[None]:
    """Networks made inside have shapes but no values, and the random generator is left as it was.

    torchvision's RegNets read tensor values while they are built, so they do get memory.
    """
    device = "cpu" if name.startswith(f"{TORCHVISION}regnet_") else "meta"
    with torch.random.fork_rng(devices=[]), torch.device(device):
        yield


def _own_arguments(name: str) -> dict[str, Any]:
    return next((dict(row) for start, row in _ONE_HEAD.items() if name.startswith(start)), {})


def _size_arguments(facts: ModelFacts, size: int) -> dict[str, Any]:
    """What the constructor needs for another image size than the model's own."""
    if size == facts.preprocessing.size:
        return {}
    if facts.fixed_input_size:
        raise ModelError(f"{facts.model} takes images of {facts.preprocessing.size} px only, not {size}")
    if facts.library == "torchvision":
        return {}
    with _without_memory(facts.model):
        module = timm.create_model(facts.model)
    return {"img_size": size} if _takes_image_size(module) else {}


def _family(module: nn.Module) -> Family:
    """`transformer` where layer normalisation outnumbers BatchNorm (ViT, Swin, ConvNeXt), else `cnn`."""
    norms = [m for m in module.modules() if isinstance(m, _LAYER_NORMS | _BATCH_NORM)]
    batch = sum(isinstance(m, _BATCH_NORM) for m in norms)
    return "transformer" if len(norms) > 2 * batch else "cnn"


def _has_batch_norm(module: nn.Module) -> bool:
    return any(isinstance(m, _BATCH_NORM) for m in module.modules())

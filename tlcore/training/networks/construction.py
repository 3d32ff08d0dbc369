"""A network as its library builds it, with one linear head."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import timm
import torch
from torch import nn
from torchvision.models import get_model

from tlcore.errors import ModelError
from tlcore.training.networks.heads import Surgery, apply_surgery, find_surgery, linear_head
from tlcore.training.networks.names import TORCHVISION, architecture_of, library_of, require_known

# What a constructor needs so that one linear layer makes the logits, by how the architecture's name begins.
# transform_input lets GoogLeNet and Inception v3 turn ImageNet's normalisation into their own.
_ONE_HEAD: dict[str, dict[str, Any]] = {
    "torchvision:googlenet": {"aux_logits": False, "transform_input": True, "init_weights": True},
    "torchvision:inception_v3": {"aux_logits": False, "transform_input": True, "init_weights": True},
    "torchvision:vit_h_14": {"image_size": 518},  # as its only weights want it
    "volo_": {"use_aux_head": False},
}
_SECOND_HEADED = ("torchvision:googlenet", "torchvision:inception_v3", "inception_v3", "volo_")
# Second heads, which serve only while a network trains from scratch: never built, and ignored in published weights.
SECOND_HEADS = ("aux1.", "aux2.", "AuxLogits.", "aux_head.")


def construct(
    name: str, num_classes: int, arguments: dict[str, Any]
) -> tuple[nn.Module, nn.Linear, str, Surgery | None]:
    """The library's network, its linear head, the head's name, and the change that made it linear, if any.

    Raises: ModelError.
    """
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


def second_heads_note(name: str) -> tuple[str, ...]:
    """Said of a network that was published with second heads, of which training adds up the losses."""
    if not name.startswith(_SECOND_HEADED):
        return ()
    return (
        f"{name} is trained by the loss of its one head: the second heads, whose losses its authors added while they "
        f"trained it from scratch, are not built",
    )


def own_arguments(name: str) -> dict[str, Any]:
    """What this architecture's constructor always gets."""
    return next((dict(row) for start, row in _ONE_HEAD.items() if name.startswith(start)), {})


def takes_image_size(module: nn.Module) -> bool:
    """Whether the constructor wants to know the image size."""
    return "img_size" in inspect.signature(type(module)).parameters


@contextmanager
def without_memory(name: str) -> Iterator[None]:
    """Networks made inside have shapes but no values, and the random generator is left as it was.

    torchvision's RegNets read tensor values while they are built, so they do get memory.
    """
    device = "cpu" if name.startswith(f"{TORCHVISION}regnet_") else "meta"
    with torch.random.fork_rng(devices=[]), torch.device(device):
        yield


def _classifier_name(name: str, module: nn.Module) -> str:
    """Path of the classifier module: timm says it, in torchvision it is the last linear or 1×1 convolution layer."""
    if library_of(name) == "timm":
        if not hasattr(module, "get_classifier"):
            raise ModelError("it is an encoder without a classifier: choose another model")
        classifier = cast(Any, module).get_classifier()
        path: str | None = next((path for path, child in module.named_modules() if child is classifier), None)
        if path is None:
            raise ModelError("it has several classifiers side by side: choose a model with one")
        return path
    layers: list[str] = [path for path, child in module.named_modules() if isinstance(child, nn.Linear | nn.Conv2d)]
    return layers[-1]

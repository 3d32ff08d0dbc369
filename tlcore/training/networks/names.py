"""Names of models, and the weights they come with.

`NAME` or `NAME.TAG` of timm, `torchvision:NAME` of torchvision, `onnx:PATH` for a network of another framework.
"""

from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import timm
import torchvision
from torchvision.models import get_model_weights, list_models

from tlcore.errors import ModelError

TORCHVISION = "torchvision:"
ONNX = "onnx:"


def library_of(name: str) -> Literal["timm", "torchvision", "onnx"]:
    """The library that a model name belongs to."""
    if name.startswith(ONNX):
        return "onnx"
    return "torchvision" if name.startswith(TORCHVISION) else "timm"


def architecture_of(name: str) -> str:
    """The library's own name of the architecture, without the tag of its weights."""
    if library_of(name) == "onnx":
        return Path(name.removeprefix(ONNX)).name
    return name.removeprefix(TORCHVISION) if library_of(name) == "torchvision" else name.partition(".")[0]


def weight_tags(name: str) -> tuple[str, ...]:
    """The published weights of an architecture, its default first (torchvision: the plain first recipe).

    A timm name with a tag (`resnet50.tv_in1k`) has that tag as its default.
    """
    if library_of(name) == "torchvision":
        entries = [w.name for w in get_model_weights(architecture_of(name))]
        return tuple(sorted(entries, key=lambda tag: (tag != "IMAGENET1K_V1", tag)))
    architecture, _, own = name.partition(".")
    listed = [
        n.partition(".")[2] for n in timm.list_pretrained(f"{architecture}.*") + timm.list_pretrained(architecture)
    ]
    config = timm.get_pretrained_cfg(architecture)
    default = own or (config.tag if config else "")
    return tuple(dict.fromkeys(tag for tag in (default, *listed) if tag in listed))


def torchvision_weights(name: str, tag: str | None = None) -> Any:
    """torchvision's entry for the weights `tag`, or for the default of `weight_tags`; None where it has none."""
    entries = {w.name: w for w in get_model_weights(architecture_of(name))}
    tags = weight_tags(name)
    return entries.get(tag or tags[0]) if tags else None


def known_models() -> list[str]:
    """Every name that can be asked for, without tags."""
    return [*timm.list_models(), *(TORCHVISION + n for n in list_models(module=torchvision.models))]


def require_known(name: str) -> None:
    """Refuse a name that no library knows, with the nearest names. Raises: ModelError."""
    library, architecture = library_of(name), architecture_of(name)
    if library == "torchvision":
        if architecture in list_models(module=torchvision.models):
            return
    elif timm.is_model(architecture):
        tag = name.partition(".")[2]
        if not tag or tag in weight_tags(architecture):
            return
        raise ModelError(
            f"{architecture!r} has no weights tagged {tag!r}: choose from {', '.join(weight_tags(architecture))}"
        )
    near = get_close_matches(name, known_models(), n=3, cutoff=0.6)
    if library == "timm" and name in list_models(module=torchvision.models):
        near = [TORCHVISION + name, *near][:3]
    hint = f"did you mean {', '.join(near)}? " if near else ""
    raise ModelError(f"unknown model {name!r}: {hint}`python -m tlcore models` lists all")

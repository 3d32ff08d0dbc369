"""Pretrained weights into a network: the backbone whole, or an error; never the old head, never random instead."""

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from tlcore.errors import WeightsError
from tlcore.training.catalogue import SHORT_LIST
from tlcore.training.freezing import update_digest
from tlcore.training.models import Network, build_network, outline
from tlcore.training.names import library_of
from tlcore.training.published import (
    fetch,
    find_published,
    is_reachable,
    published_tensors,
    refuse_other_normalisation,
)

_WRAPPERS = ("state_dict", "model")  # keys under which training scripts keep the tensors
# Buffers that follow from the architecture: some versions of the libraries store them, others do not.
_DERIVED = ("num_batches_tracked", "relative_position_index", "relative_coords_table", "attn_mask")


@dataclass(frozen=True)
class WeightsReport:
    """What was loaded. fingerprint: SHA-256 over the backbone's tensors by name, None for the source `none`."""

    fingerprint: str | None
    num_tensors: int
    source: str


@dataclass(frozen=True)
class WeightsCheck:
    """Whether a source would do. usable: here and fitting. needs_download: not here, but its server answers."""

    fingerprint: str | None
    usable: bool
    needs_download: bool
    message: str


def load_backbone(network: Network, source: str, path: Path | None = None) -> WeightsReport:
    """Put pretrained weights into a network's backbone; its head stays as it is.

    source: `imagenet`, a tag, `file:PATH`, `run:RUN_ID` (then `path` is its model/weights.safetensors) or `none`.
    path: the file for `file:` and `run:` where it is not the one in `source`. Published weights that are not on this
    machine are downloaded. Raises: WeightsError.
    """
    if source == "none":
        return WeightsReport(None, 0, source)
    tensors, origin = _tensors_of(network, source, path)
    backbone = _loadable(network, tensors, origin)
    state = network.module.state_dict()
    network.module.load_state_dict({**state, **backbone})
    return WeightsReport(fingerprint_of(_native(network, tensors)), len(backbone), source)


def check_weights(model: str, source: str, path: Path | None = None) -> WeightsCheck:
    """Whether `load_backbone` would succeed at the model's own image size, without downloading anything.

    Raises: ModelError for an unknown model.
    """
    network = outline(model)
    if source == "none":
        return WeightsCheck(None, True, False, "a random start needs no weights")
    try:
        if not source.startswith(("file:", "run:")):
            published = find_published(model, source)
            refuse_other_normalisation(network.facts, published)
            if published.local is None and is_reachable(published):
                return WeightsCheck(None, False, True, f"will be downloaded from {published.url}")
        tensors, origin = _tensors_of(network, source, path)
        backbone = _loadable(network, tensors, origin)
    except WeightsError as error:
        return WeightsCheck(None, False, False, str(error))
    return WeightsCheck(fingerprint_of(backbone), True, False, f"all {len(backbone)} tensors of the backbone fit")


def fingerprint_of(backbone: Mapping[str, Tensor]) -> str:
    """SHA-256 over tensors by name, without buffers that follow from the architecture or only count batches."""
    digest = hashlib.sha256()
    for name in sorted(backbone):
        if not name.endswith(_DERIVED):
            update_digest(digest, name, backbone[name])
    return digest.hexdigest()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name: safetensors, or a state dict of torch, also inside `state_dict` or `model`.

    Nothing but tensors is ever unpickled. Raises: WeightsError.
    """
    if not path.is_file():
        raise WeightsError(f"the weights file {path} does not exist: check the path after file:")
    try:
        if path.suffix == ".safetensors":
            return dict(safetensors.torch.load_file(path))
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (safetensors.SafetensorError, pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        raise WeightsError(
            f"{path} cannot be read as weights: {first}; give a .safetensors file, or a state dict saved by torch.save "
            f"that holds tensors only"
        ) from error
    for key in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    named = content.items() if isinstance(content, dict) else []
    tensors = {name: value for name, value in named if isinstance(name, str) and isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f"{path} holds no tensors by name: save the network's state_dict()")
    return tensors


def _tensors_of(network: Network, source: str, path: Path | None) -> tuple[dict[str, Tensor], str]:
    """Everything in the source, named as the network names it, and where it came from, for messages."""
    kind, _, rest = source.partition(":")
    if kind in {"file", "run"} and rest:
        if path is None and kind == "run":
            raise WeightsError(f"the weights of run {rest} were not fetched: is the run finished, and is its id right?")
        file = path or Path(rest).expanduser()
        return _plain_names(read_tensors(file)), str(file)
    published = find_published(network.facts.model, source)
    refuse_other_normalisation(network.facts, published)
    file = fetch(published)
    if library_of(published.model) == "torchvision":
        return read_tensors(file), str(file)
    return published_tensors(published, file), str(file)


def _plain_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without the `module.` that parallel training puts before all of them."""
    if all(name.startswith("module.") for name in tensors):
        return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return tensors


def _backbone_shapes(network: Network) -> dict[str, tuple[int, ...]]:
    state = network.module.state_dict()
    return {n: tuple(t.shape) for n, t in state.items() if not n.startswith(f"{network.head_name}.")}


def _native(network: Network, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(network.replaced)}


def _loadable(network: Network, tensors: dict[str, Tensor], origin: str) -> dict[str, Tensor]:
    """The backbone's tensors for this network, resampled where it was built for another image size."""
    backbone = _native(network, tensors)
    problem = misfit(_backbone_shapes(network), backbone)
    if problem is None:
        return {name: tensor for name, tensor in backbone.items() if name in _backbone_shapes(network)}
    if network.image_size != network.facts.preprocessing.size:
        resampled = _resampled(network, backbone)
        if resampled is not None:
            return resampled
    like = _looks_like(tensors, network.facts.model)
    hint = f"; it looks like {like}" if like else ""
    raise WeightsError(f"{origin} does not fit {network.facts.model}: {problem}{hint}: choose weights made for it")


def misfit(expected: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor]) -> str | None:
    """What keeps these tensors from being this backbone, in words, or None where they are."""
    required = {name for name in expected if not name.endswith(_DERIVED)}
    missing = sorted(required - set(tensors))
    extra = sorted(name for name in set(tensors) - set(expected) if not name.endswith(_DERIVED))
    other = sorted(n for n in required & set(tensors) if tuple(tensors[n].shape) != expected[n])
    if not (missing or extra or other):
        return None
    matched = len(required) - len(missing) - len(other)
    parts = [f"{matched} of {len(required)} tensors of the backbone match"]
    if missing:
        parts.append(f"{len(missing)} are missing (such as {missing[0]})")
    if other:
        shapes = f"{list(tensors[other[0]].shape)} instead of {list(expected[other[0]])}"
        parts.append(f"{len(other)} have another shape (such as {other[0]}: {shapes})")
    if extra:
        parts.append(f"{len(extra)} are unknown to it (such as {extra[0]})")
    return ", ".join(parts)


def _resampled(network: Network, backbone: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """The tensors as timm resamples position embeddings from the model's own image size to the network's."""
    with torch.random.fork_rng(devices=[]):
        twin = build_network(network.facts.model, 2)
    module: Any = twin.module
    if misfit(_backbone_shapes(twin), backbone) is not None or not hasattr(module, "set_input_size"):
        return None
    module.load_state_dict({**module.state_dict(), **backbone})
    module.set_input_size(img_size=(network.image_size, network.image_size))
    found = {n: t for n, t in module.state_dict().items() if not n.startswith(f"{twin.head_name}.")}
    return found if misfit(_backbone_shapes(network), found) is None else None


def _looks_like(tensors: dict[str, Tensor], asked: str) -> str | None:
    """A common architecture whose backbone these tensors are."""
    for name in SHORT_LIST:
        candidate = outline(name) if name != asked else None
        if candidate and misfit(_backbone_shapes(candidate), _native(candidate, tensors)) is None:
            return name
    return None

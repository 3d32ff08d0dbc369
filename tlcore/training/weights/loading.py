"""Pretrained weights into a network: the backbone whole, or an error; never the old head, never random instead.

Only where a person allows it, a part of the backbone is enough; the rest then stays random, which is said.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from timm.models import adapt_input_conv
from torch import Tensor

from tlcore.errors import WeightsError
from tlcore.results import WeightsMatch
from tlcore.spec import content_fingerprint
from tlcore.training.networks.freezing import update_digest
from tlcore.training.networks.models import Network, build_network, outline
from tlcore.training.networks.names import library_of
from tlcore.training.networks.onnx_network import onnx_path, weights_fingerprint
from tlcore.training.networks.onnx_sidecar import about_preprocessing
from tlcore.training.weights.files import read_tensors
from tlcore.training.weights.matching import (
    DERIVED,
    Match,
    Shapes,
    backbone_shapes,
    looks_like,
    match_tensors,
    without_head,
)
from tlcore.training.weights.published import (
    fetch,
    find_published,
    is_reachable,
    published_tensors,
    refuse_other_normalisation,
)
from tlcore.training.weights.soundness import require_same_network, require_sound

_SIZES = range(32, 1025, 16)  # px: at which a network may have been trained whose tensors depend on its image size


@dataclass(frozen=True)
class WeightsReport:
    """What was loaded. fingerprint: SHA-256 over the backbone's tensors by name, None for the source `none`.

    notes: what a person must know of it: that only a part was loaded.
    """

    fingerprint: str | None
    num_tensors: int
    source: str
    match: WeightsMatch | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class WeightsCheck:
    """Whether a source would do. usable: here and fitting. needs_download: not here, but its server answers."""

    fingerprint: str | None
    usable: bool
    needs_download: bool
    message: str
    match: WeightsMatch | None = None


def load_backbone(
    network: Network, source: str, path: Path | None = None, allow_partial: bool = False
) -> WeightsReport:
    """Put pretrained weights into a network's backbone; its head stays as it is.

    source: `imagenet`, a tag, `file:PATH`, `run:RUN_ID` (then `path` is its model/weights.safetensors) or `none`.
    path: the file for `file:` and `run:` where it is not the one in `source`. allow_partial: load what matches, and
    leave the rest random. Published weights that are not on this machine are downloaded. Raises: WeightsError.
    """
    if source == "none":
        return WeightsReport(None, 0, source)
    if library_of(network.facts.model) == "onnx":
        _require_own(network.facts.model, source)
        said = about_preprocessing(onnx_path(network.facts.model))
        return WeightsReport(content_fingerprint(dict(network.rewiring)), 0, network.facts.model, notes=(said,))
    tensors, origin = _tensors_of(network, source, path)
    native = without_head(network, tensors)
    match = _matched(network, native, tensors, origin, allow_partial)
    module = network.module
    module.load_state_dict({**module.state_dict(), **match.fitting})
    # What stays random depends on the seed, so the fingerprint of a partly loaded backbone is that of all of it.
    names = backbone_shapes(network)
    whole = native if match.complete else {n: t for n, t in module.state_dict().items() if n in names}
    notes = () if match.complete else (_warning(match, origin),)
    return WeightsReport(fingerprint_of(whole), len(match.fitting), source, match.summary(source), notes)


def check_weights(model: str, source: str, path: Path | None = None, allow_partial: bool = False) -> WeightsCheck:
    """Whether `load_backbone` would succeed at the model's own image size, without downloading anything.

    Raises: ModelError for an unknown model.
    """
    if library_of(model) == "onnx":
        return _check_onnx(model, source)
    network = outline(model)
    if source == "none":
        return WeightsCheck(None, True, False, "a random start needs no weights")
    try:
        if not source.startswith(("file:", "run:", "onnx:")):
            published = find_published(model, source)
            refuse_other_normalisation(network.facts, published)
            if published.local is None and is_reachable(published):
                return WeightsCheck(None, False, True, f"will be downloaded from {published.url}")
        tensors, origin = _tensors_of(network, source, path)
        native = without_head(network, tensors)
        match = _matched(network, native, tensors, origin, allow_partial)
    except WeightsError as error:
        return WeightsCheck(None, False, False, str(error))
    said = f"all {match.num_expected} tensors of the backbone fit" if match.complete else _warning(match, origin)
    return WeightsCheck(fingerprint_of(native), True, False, said, match.summary(source))


def _check_onnx(model: str, source: str) -> WeightsCheck:
    found = weights_fingerprint(model)
    try:
        _require_own(model, source)
    except WeightsError as error:
        return WeightsCheck(None, False, False, str(error))
    return WeightsCheck(found, True, False, f"in the file; {about_preprocessing(onnx_path(model))}")


def _require_own(model: str, source: str) -> None:
    """A network from ONNX comes with its weights; `imagenet` is what stands where nobody said anything."""
    if source not in ("imagenet", model):
        raise WeightsError(
            f"{model} comes with its own weights, so {source} cannot be put into it: leave --weights out"
        )


def fingerprint_of(backbone: Mapping[str, Tensor]) -> str:
    """SHA-256 over tensors by name, without buffers that follow from the architecture or only count batches."""
    digest = hashlib.sha256()
    for name in sorted(backbone):
        if not name.endswith(DERIVED):
            update_digest(digest, name, backbone[name])
    return digest.hexdigest()


def _tensors_of(network: Network, source: str, path: Path | None) -> tuple[dict[str, Tensor], str]:
    """Everything in the source, and where it came from, for messages."""
    kind, _, rest = source.partition(":")
    if kind == "onnx":
        raise WeightsError(
            f"{source} is a network of its own, not weights for {network.facts.model}: use it as --model {source}"
        )
    if kind in {"file", "run"} and rest:
        if path is None and kind == "run":
            raise WeightsError(f"the weights of run {rest} were not fetched: is the run finished, and is its id right?")
        file = path or Path(rest).expanduser()
        require_same_network(network, file)
        return read_tensors(file, network.module.state_dict()), str(file)
    published = find_published(network.facts.model, source)
    refuse_other_normalisation(network.facts, published)
    file = fetch(published)
    return published_tensors(published, file), str(file)


def _matched(
    network: Network, native: dict[str, Tensor], tensors: dict[str, Tensor], origin: str, allow_partial: bool
) -> Match:
    """What can be loaded, resampled where the network is of another image size. Raises: WeightsError."""
    match = _match(network, native)
    if match.other_shape and not match.missing:
        match = _resampled(network, tensors) or match
    if match.complete or (allow_partial and match.matched):
        require_sound(network, match, native, origin)
        return match
    like = looks_like(tensors, network.facts.model)
    hint = f"; it looks like {like}" if like else ""
    remedy = "choose weights made for it"
    if match.matched and not allow_partial:
        remedy += ", or allow a partial match (--allow-partial-weights): the rest then stays random"
    raise WeightsError(f"{origin} does not fit {network.facts.model}: {match.in_words()}{hint}: {remedy}")


def _match(network: Network, native: Mapping[str, Tensor]) -> Match:
    """Held against the network; what only the library's whole network has is no stranger to a cut one."""
    expected = backbone_shapes(network)
    adapted = _one_channel(native, expected) if network.changes.grayscale else native
    return match_tensors(expected, adapted, backbone_shapes(outline(network.facts.model)))


def _one_channel(native: Mapping[str, Tensor], expected: Shapes) -> dict[str, Tensor]:
    """With the kernels of the first layer summed over the three colours, as timm does it."""
    return {
        name: adapt_input_conv(1, tensor) if _is_colour(tensor, expected.get(name, ())) else tensor
        for name, tensor in native.items()
    }


def _is_colour(tensor: Tensor, wanted: tuple[int, ...]) -> bool:
    return len(wanted) == 4 and tuple(tensor.shape) == (wanted[0], 3 * wanted[1], *wanted[2:])


def _resampled(network: Network, tensors: dict[str, Tensor]) -> Match | None:
    """The tensors as timm resamples position embeddings from the image size that they were made for.

    None where no image size fits, or where the library cannot do it.
    """
    model = network.facts.model
    if not hasattr(network.module, "set_input_size"):
        return None
    for size in dict.fromkeys((network.facts.preprocessing.size, *_SIZES)):
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            sketch = build_network(model, 2, size)
        native = without_head(sketch, tensors)
        if match_tensors(backbone_shapes(sketch), native).complete:
            break
    else:
        return None
    with torch.random.fork_rng(devices=[]):
        twin = build_network(model, 2, size)
    module: Any = twin.module
    module.load_state_dict({**module.state_dict(), **native})
    module.set_input_size(img_size=(network.image_size, network.image_size))
    return _match(network, without_head(network, module.state_dict()))


def _warning(match: Match, origin: str) -> str:
    return (
        f"PARTIAL WEIGHTS: of {origin}, {match.in_words()}; what does not match is random, so this is not the "
        f"pretrained network"
    )

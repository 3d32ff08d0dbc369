"""Weights that timm and torchvision publish: which file holds them, whether it is on this machine, and fetching it."""

import re
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import timm
import torch
from huggingface_hub import hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError
from torch import Tensor

from tlcore.errors import WeightsError
from tlcore.recipes import ModelFacts
from tlcore.spec import WEIGHTS_FORMS
from tlcore.training.networks.names import architecture_of, library_of, torchvision_weights, weight_tags
from tlcore.training.weights.files import MALFORMED, read_tensors

_HUB_FILES = ("model.safetensors", "pytorch_model.bin")  # in the order in which timm looks for them
_ANSWER_SECONDS = 5.0  # an open network answers in a fraction; without one, huggingface_hub alone retries for 23 s


@dataclass(frozen=True)
class PublishedWeights:
    """One file of weights. local: where it lies on this machine, or None. folder: where it is looked for."""

    model: str
    tag: str
    url: str
    repository: str | None
    local: Path | None
    folder: Path

    @property
    def remedy(self) -> str:
        return f"download {self.url} on a machine with network and give it as file:PATH"

    @property
    def place(self) -> Path:
        """The folder, or the file, that a complete download would fill."""
        if self.repository is None:
            return self.folder / self.url.rpartition("/")[2]
        return self.folder / f"models--{self.repository.replace('/', '--')}"


def find_published(model: str, source: str) -> PublishedWeights:
    """The file for `imagenet` (the model's default) or a tag. Raises: WeightsError where there is no such one."""
    tags = weight_tags(model)
    if not tags:
        raise WeightsError(f"nobody publishes weights for {model}: give file:PATH, or train it from scratch")
    tag = tags[0] if source == "imagenet" else source
    if tag not in tags:
        raise WeightsError(
            f"unknown weights {source!r} for {model}: use {WEIGHTS_FORMS}; its tags are {', '.join(tags)}"
        )
    if library_of(model) == "torchvision":
        return _of_url(model, tag, torchvision_weights(model, tag).url)
    config = timm.get_pretrained_cfg(f"{architecture_of(model)}.{tag}")
    if not config.hf_hub_id:
        return _of_url(model, tag, config.url)
    names = [config.hf_hub_filename] if config.hf_hub_filename else list(_HUB_FILES)
    repository, _, revision = config.hf_hub_id.partition("@")
    found = [try_to_load_from_cache(repository, name, revision=revision or None) for name in names]
    return PublishedWeights(
        model=model,
        tag=tag,
        url=hf_hub_url(repository, names[0], revision=revision or None),
        repository=repository,
        local=next((Path(path) for path in found if isinstance(path, str)), None),
        folder=_hub_cache(),
    )


def refuse_other_normalisation(facts: ModelFacts, published: PublishedWeights) -> None:
    """A tag whose weights want other mean and std than the model's preprocessing gives. Raises: WeightsError."""
    mean, std = _normalisation(published)
    own = facts.preprocessing
    if (mean, std) != (own.mean, own.std):
        named = f"{architecture_of(facts.model)}.{published.tag}"
        raise WeightsError(
            f"the weights {published.tag} want their input normalised by mean {mean}, std {std}, not as {facts.model} "
            f"gives it: ask for the model {named} with the weights imagenet"
        )


def is_reachable(published: PublishedWeights) -> bool:
    """Whether the server that holds the file answers."""
    try:
        request = urllib.request.Request(published.url, method="HEAD")
        with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS):
            return True
    except (URLError, OSError, ValueError):
        return False


def fetch(published: PublishedWeights) -> Path:
    """The file on this machine, downloaded if it is not here yet. Raises: WeightsError."""
    if published.local is not None:
        return published.local
    if not is_reachable(published):
        file = published.url.rpartition("/")[2]
        raise WeightsError(
            f"the weights {published.tag} of {published.model} ({file}) are not in {published.folder}"
            f"{_half_downloaded(published)}, and cannot be downloaded, because {published.url} does not answer: "
            f"{published.remedy}"
        )
    try:
        if published.repository is not None:
            return Path(hf_hub_download(published.repository, published.url.rpartition("/")[2]))
        target = published.folder / published.url.rpartition("/")[2]
        published.folder.mkdir(parents=True, exist_ok=True)
        hashed = re.search(
            r"-([0-9a-f]{8,})\.", target.name
        )  # torch's names end in the beginning of the content's hash
        torch.hub.download_url_to_file(published.url, str(target), hashed and hashed[1], progress=False)
    except (OSError, ValueError, RuntimeError, HfHubHTTPError) as error:
        raise WeightsError(f"{published.url} could not be downloaded: {error}: {published.remedy}") from error
    return target


def published_tensors(published: PublishedWeights, path: Path) -> dict[str, Tensor]:
    """The tensors of a file, named as the network names them: timm translates older formats while it loads.

    Raises: WeightsError.
    """
    name = f"{architecture_of(published.model)}.{published.tag}"
    try:
        if library_of(published.model) == "torchvision":
            return read_tensors(path)
        with torch.random.fork_rng(devices=[]):
            network: Any = timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"file": str(path)})
    except (WeightsError, *MALFORMED) as error:
        said = str(error).strip().partition("\n")[0]
        what = "file" if published.repository is None else "folder"
        raise WeightsError(
            f"{path} cannot be loaded into {name}: {said or type(error).__name__}. If the download was cut short, "
            f"delete the {what} {published.place} and ask again: it comes from {published.url}. Without a network, "
            f"{published.remedy}"
        ) from error
    return dict(network.state_dict())


def _half_downloaded(published: PublishedWeights) -> str:
    """What an unfinished download left in the cache, in words; empty where it left nothing."""
    place = published.place
    if published.repository is None:
        left = [*place.parent.glob(f"{place.name}*.partial")]
    else:
        links = [link for link in place.glob("snapshots/*/*") if link.is_symlink() and not link.exists()]
        left = [*place.glob("blobs/*.incomplete"), *links]
    if not left:
        return ""
    return f" (an earlier download was not finished: {left[0]} is no whole file; delete {place.name} to start anew)"


def _of_url(model: str, tag: str, url: str) -> PublishedWeights:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    file = folder / url.rpartition("/")[2]
    return PublishedWeights(model, tag, url, None, file if file.exists() else None, folder)


def _hub_cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _normalisation(published: PublishedWeights) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if library_of(published.model) == "torchvision":
        preset = torchvision_weights(published.model, published.tag).transforms()
        return tuple(preset.mean), tuple(preset.std)
    config = timm.get_pretrained_cfg(f"{architecture_of(published.model)}.{published.tag}")
    return tuple(config.mean), tuple(config.std)

"""Every model that can be asked for, with its published weights: read from tables, none is built.

Parameters and multiply-adds come from the table that `tlcore.training.catalogue.table` makes, licences of timm's
weights from timm, and sizes of files and ImageNet accuracies from torchvision, which alone carry them.
"""

from collections.abc import Iterator
from typing import Any

import timm
import torch
import torchvision
from huggingface_hub import constants
from torchvision.models import get_model_weights, list_models

from tlcore.training.catalogue.table import Row, read_table
from tlcore.training.networks.names import TORCHVISION, weight_tags

# Good first choices, which come first, and what to say of them.
SHORT_LIST: dict[str, str] = {
    "mobilenetv2_100": "small and fast on a CPU",
    "resnet18": "the usual first network",
    "resnet50": "the usual reference",
    "efficientnet_b0": "accurate for its size",
    "mobilenetv3_large_100": "small and fast on a CPU",
    "convnext_tiny": "a modern convolutional network",
    "vit_tiny_patch16_224": "a small transformer",
    "vit_small_patch16_224": "a transformer",
    "swin_tiny_patch4_window7_224": "a transformer with windows",
    "torchvision:mobilenet_v2": "small and fast on a CPU",
    "torchvision:resnet18": "the usual first network",
    "torchvision:resnet50": "the usual reference",
    "torchvision:squeezenet1_1": "tiny, without BatchNorm",
    "torchvision:efficientnet_b0": "accurate for its size",
}
# Trained without label smoothing and MixUp, which make weights worse as fixed features (Kornblith et al. 2021): by
# torchvision's first recipe. With them: "ResNet strikes back" (Wightman et al. 2021). Of other tags timm says nothing.
_PLAIN_TIMM = {"tv_in1k": True, "a1_in1k": False, "a1h_in1k": False, "a2_in1k": False, "a3_in1k": False}
_PLAIN_TORCHVISION = ("alexnet", "densenet", "googlenet", "inception", "mobilenet_v2", "resnet", "squeezenet", "vgg")
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")


def catalogue() -> list[dict[str, Any]]:
    """All models, the short list first. Each has `weights`, its default first.

    num_parameters, gmacs (10⁹ multiply-adds) and input_size (px) are null where unknown; problem: why a model cannot be
    used, else "". Of weights: license, accuracy (ImageNet-1k top-1, 0…1) and file_mb (10⁶ bytes) where the libraries
    carry them; plain: trained by a plain recipe, which suits fixed features best, null where unknown; cache and files:
    where the file lies once it was downloaded, see `caches`.
    """
    table = read_table()
    entries = {entry["model"]: entry for entry in (*_timm_entries(table), *_torchvision_entries(table))}
    first = [entries.pop(name) for name in SHORT_LIST if name in entries]
    return first + list(entries.values())


def caches() -> dict[str, str]:
    """The folders in which the libraries keep what they downloaded, by the names that `catalogue` uses for them."""
    return {"hub": str(constants.HF_HUB_CACHE), "torch": f"{torch.hub.get_dir()}/checkpoints"}


def _entry(model: str, row: Row | None, input_size: int | None, weights: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "model": model,
        "library": "torchvision" if model.startswith(TORCHVISION) else "timm",
        "num_parameters": row.num_parameters if row else None,
        "gmacs": row.gmacs if row else None,
        "input_size": (row.input_size if row else None) or input_size,
        "problem": row.problem if row else "",
        "note": SHORT_LIST.get(model),
        "weight_tags": [w["tag"] for w in weights],
        "weights": weights,
    }


def _timm_entries(table: dict[str, Row]) -> Iterator[dict[str, Any]]:
    published: dict[str, list[str]] = {}
    for name in timm.list_pretrained():
        architecture, _, tag = name.partition(".")
        published.setdefault(architecture, []).append(tag)
    for architecture in timm.list_models():
        config = timm.get_pretrained_cfg(architecture)
        default = config.tag if config else ""
        tags = published.get(architecture, [])
        tags = [tag for tag in tags if tag == default] + sorted(tag for tag in tags if tag != default)
        weights = [_timm_weights(architecture, tag) for tag in tags]
        yield _entry(architecture, table.get(architecture), config.input_size[-1] if config else None, weights)


def _timm_weights(architecture: str, tag: str) -> dict[str, Any]:
    own = timm.get_pretrained_cfg(f"{architecture}.{tag}")
    if own.hf_hub_id:
        folder = "models--" + own.hf_hub_id.partition("@")[0].replace("/", "--")
        names = [own.hf_hub_filename] if own.hf_hub_filename else list(_HUB_FILES)
        place = {"cache": "hub", "files": [f"{folder}/snapshots/*/{name}" for name in names]}
    else:
        place = {"cache": "torch", "files": [(own.url or "").rpartition("/")[2]]}
    return {
        "tag": tag,
        "plain": _PLAIN_TIMM.get(tag),
        "license": own.license,
        "accuracy": None,
        "file_mb": None,
        **place,
    }


def _torchvision_entries(table: dict[str, Row]) -> Iterator[dict[str, Any]]:
    for architecture in list_models(module=torchvision.models):
        name = TORCHVISION + architecture
        entries = {w.name: w for w in get_model_weights(architecture)}
        plain = architecture.startswith(_PLAIN_TORCHVISION)
        weights = [_torchvision_weights(entries[tag], plain and tag == "IMAGENET1K_V1") for tag in weight_tags(name)]
        size = next(iter(entries.values())).transforms().crop_size[0] if entries else None
        yield _entry(name, table.get(name), size, weights)


def _torchvision_weights(entry: Any, plain: bool) -> dict[str, Any]:
    accuracy = entry.meta.get("_metrics", {}).get("ImageNet-1K", {}).get("acc@1")
    return {
        "tag": entry.name,
        "plain": plain,
        "license": entry.meta.get("license"),
        "accuracy": None if accuracy is None else round(accuracy / 100, 5),
        "file_mb": entry.meta.get("_file_size"),
        "cache": "torch",
        "files": [entry.url.rpartition("/")[2]],
    }

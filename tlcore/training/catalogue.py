"""Every model that can be asked for, with its published weights: read from the libraries' tables, none is built."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from huggingface_hub import constants
from torchvision.models import get_model_weights, list_models

from tlcore.training.names import TORCHVISION, torchvision_weights, weight_tags

# Good first choices, which come first: number of parameters as published, and what to say of them.
SHORT_LIST: dict[str, tuple[int, str]] = {
    "mobilenetv2_100": (3_504_872, "small and fast on a CPU"),
    "resnet18": (11_689_512, "the usual first network"),
    "resnet50": (25_557_032, "the usual reference"),
    "efficientnet_b0": (5_288_548, "accurate for its size"),
    "mobilenetv3_large_100": (5_483_032, "small and fast on a CPU"),
    "convnext_tiny": (28_589_128, "a modern convolutional network"),
    "vit_tiny_patch16_224": (5_717_416, "a small transformer"),
    "vit_small_patch16_224": (22_050_664, "a transformer"),
    "swin_tiny_patch4_window7_224": (28_288_354, "a transformer with windows"),
    "torchvision:mobilenet_v2": (3_504_872, "small and fast on a CPU"),
    "torchvision:resnet18": (11_689_512, "the usual first network"),
    "torchvision:resnet50": (25_557_032, "the usual reference"),
    "torchvision:squeezenet1_1": (1_235_496, "tiny, without BatchNorm"),
    "torchvision:efficientnet_b0": (5_288_548, "accurate for its size"),
}
# Trained without label smoothing and MixUp, which make weights worse as fixed features (Kornblith et al. 2021).
_PLAIN_TIMM = frozenset({"tv_in1k", "gluon_in1k"})
_PLAIN_TORCHVISION = ("alexnet", "densenet", "googlenet", "inception", "mobilenet_v2", "resnet", "squeezenet", "vgg")


def catalogue() -> list[dict[str, Any]]:
    """All models, the short list first. Each has `weights`, its default first, and whether that file is `local`.

    num_parameters and note are null outside the short list; input_size is in pixels. `plain`: trained by a plain
    recipe, which suits fixed features best.
    """
    entries = {entry["model"]: entry for entry in (*_timm_entries(), *_torchvision_entries())}
    first = [entries.pop(name) for name in SHORT_LIST if name in entries]
    return first + list(entries.values())


def _entry(model: str, input_size: int | None, weights: list[dict[str, Any]]) -> dict[str, Any]:
    count, note = SHORT_LIST.get(model, (None, None))
    return {
        "model": model,
        "library": "torchvision" if model.startswith(TORCHVISION) else "timm",
        "num_parameters": count,
        "note": note,
        "input_size": input_size,
        "weight_tags": [w["tag"] for w in weights],
        "weights": weights,
        "usable_now": bool(weights) and weights[0]["local"],
    }


def _timm_entries() -> Iterator[dict[str, Any]]:
    published: dict[str, list[str]] = {}
    for name in timm.list_pretrained():
        architecture, _, tag = name.partition(".")
        published.setdefault(architecture, []).append(tag)
    downloaded, checkpoints = _folder_names(Path(constants.HF_HUB_CACHE)), _folder_names(_checkpoints())
    for architecture in timm.list_models():
        config = timm.get_pretrained_cfg(architecture)
        default = config.tag if config else ""
        tags = published.get(architecture, [])
        tags = [tag for tag in tags if tag == default] + sorted(tag for tag in tags if tag != default)
        weights = []
        for tag in tags:
            own = timm.get_pretrained_cfg(f"{architecture}.{tag}")
            folder = "models--" + (own.hf_hub_id or "").partition("@")[0].replace("/", "--")
            file = (own.url or "").rpartition("/")[2]
            local = folder in downloaded if own.hf_hub_id else file in checkpoints
            weights.append({"tag": tag, "local": local, "plain": tag in _PLAIN_TIMM})
        yield _entry(architecture, config.input_size[-1] if config else None, weights)


def _torchvision_entries() -> Iterator[dict[str, Any]]:
    checkpoints = _folder_names(_checkpoints())
    for architecture in list_models(module=torchvision.models):
        name = TORCHVISION + architecture
        entries = {w.name: w for w in get_model_weights(architecture)}
        plain = architecture.startswith(_PLAIN_TORCHVISION)
        weights = [
            {
                "tag": tag,
                "local": entries[tag].url.rpartition("/")[2] in checkpoints,
                "plain": plain and tag == "IMAGENET1K_V1",
            }
            for tag in weight_tags(name)
        ]
        yield _entry(name, torchvision_weights(name).transforms().crop_size[0], weights)


def _checkpoints() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _folder_names(folder: Path) -> set[str]:
    return {child.name for child in folder.iterdir()} if folder.is_dir() else set()

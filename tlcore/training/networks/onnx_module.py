"""A network read from ONNX, frozen, with a linear head of torch on its features.

A model folder holds a copy of this file as network.py, so it needs torch, numpy and onnxruntime, and nothing else. The
plan is the `rewiring` of model.json, with these keys:

input, output: names in the graph. layout: NCHW or NHWC, of the input. output_layout: the same of the output, null where
it is no feature map. channel_order: RGB or BGR, in which the graph wants its channels. batch: the number of images that
it takes at a time, null for any. width: features after pooling. fingerprint: SHA-256 of the ONNX file.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class OnnxClassifier(nn.Module):
    """Class scores [N,K] of normalised RGB images [N,3,H,W]: onnxruntime computes the features, torch the head."""

    def __init__(self, plan: dict[str, Any], file: Path, num_classes: int) -> None:
        super().__init__()
        self.backbone = OnnxBackbone(plan, file)
        self.head = nn.Linear(plan["width"], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.head(self.backbone(images))
        return scores


class OnnxBackbone(nn.Module):
    """Pooled features [N,D], float32, without gradients. The file's hash stands for its tensors in every state dict."""

    def __init__(self, plan: dict[str, Any], file: Path) -> None:
        super().__init__()
        self.plan, self.file, self.session, self.place = plan, file, None, torch.device("cpu")
        content = torch.tensor(list(bytes.fromhex(plan["fingerprint"])), dtype=torch.float32)
        self.content = nn.Parameter(content, requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        """[N,3,H,W] to [N,D]."""
        if self.session is None or self.place != images.device:
            self.session, self.place = open_session(self.file, images.device), images.device
        plan = self.plan
        given = images.detach().float()
        given = given.flip(1) if plan["channel_order"] == "BGR" else given
        given = given.permute(0, 2, 3, 1) if plan["layout"] == "NHWC" else given
        found = run(self.session, plan, np.ascontiguousarray(given.cpu().numpy()))
        return torch.from_numpy(pooled(found, plan["output_layout"])).to(images.device)


def provider(device: torch.device) -> str:
    """What onnxruntime computes with for images on this device: CUDA only where they and onnxruntime have it."""
    import onnxruntime

    on_cuda = device.type == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    return "CUDAExecutionProvider" if on_cuda else "CPUExecutionProvider"


def open_session(file: Path, device: torch.device) -> Any:
    """onnxruntime on the file, on this device where it can, with as many threads as torch uses."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors alone
    chosen = provider(device)
    place = {"device_id": str(device.index or 0)} if chosen.startswith("CUDA") else {}
    providers = {chosen: place, "CPUExecutionProvider": {}}
    return onnxruntime.InferenceSession(str(file), options, providers=list(providers.items()))


def run(session: Any, plan: dict[str, Any], images: np.ndarray) -> np.ndarray:
    """The chosen output for all images; in parts of the graph's own batch, the last filled up, where it has one."""
    size = plan["batch"] or len(images)
    parts = []
    for first in range(0, len(images), size):
        part = images[first : first + size]
        missing = size - len(part)
        filled = np.concatenate([part, np.zeros((missing, *part.shape[1:]), part.dtype)]) if missing else part
        (found,) = session.run([plan["output"]], {plan["input"]: filled})
        parts.append(found[: len(part)])
    return np.concatenate(parts)


def pooled(found: np.ndarray, layout: str | None) -> np.ndarray:
    """One vector per image: the mean over space of a feature map, over tokens of [N,L,D], or [N,D] as it is."""
    if found.ndim == 4:
        found = found.mean((2, 3) if layout == "NCHW" else (1, 2))
    elif found.ndim == 3:
        found = found.mean(1)
    return np.ascontiguousarray(found, dtype=np.float32)


def build(plan: dict[str, Any], file: Path, num_classes: int) -> OnnxClassifier:
    """The network with an empty head: the part of a model folder that its scripts call."""
    return OnnxClassifier(plan, file, num_classes)

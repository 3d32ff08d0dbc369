"""A quick measurement of how many images a model handles per second on a device, for estimates before a launch."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

from tlcore.errors import DeviceError
from tlcore.training.device import Device, pick_device
from tlcore.training.networks.folding import fold_all
from tlcore.training.networks.forward import logits
from tlcore.training.networks.freezing import evaluating
from tlcore.training.networks.models import build_network

_SECONDS = 0.8  # for each of the two measurements, after one unmeasured pass
_CLASSES = 10


def measure_speed(model: str, image_size: int | None, batch_size: int, device: str) -> dict[str, Any]:
    """Images per second: `forward` of a pass as evaluations do it, `step` of a whole training step, in the device's
    number format.

    Decoding and augmentation are not in it. Raises: ModelError, DeviceError (also when its memory is too small).
    """
    chosen = pick_device(device)
    try:
        return _measure(model, image_size, batch_size, chosen)
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"{chosen.id} has too little memory for batches of {batch_size} with {model}: ask for a smaller batch"
        ) from error


def _measure(model: str, image_size: int | None, batch_size: int, chosen: Device) -> dict[str, Any]:
    with torch.random.fork_rng(devices=[]):
        network = build_network(model, _CLASSES, image_size)
        side = network.image_size
        images = torch.rand(batch_size, 3, side, side)
    network.module.to(chosen.device).to(memory_format=torch.channels_last)
    images = images.to(chosen.device, memory_format=torch.channels_last)
    labels = torch.arange(batch_size, device=chosen.device) % _CLASSES
    optimizer = torch.optim.SGD(network.module.parameters(), lr=1e-4)

    folded = fold_all(network, chosen)

    def forward() -> None:
        with evaluating(network), folded.applied(), torch.inference_mode():
            logits(network, chosen, images)

    def step() -> None:
        loss = F.cross_entropy(logits(network, chosen, images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()

    return {
        "device": chosen.id,
        "dtype": str(chosen.dtype).removeprefix("torch."),
        "image_size": side,
        "batch_size": batch_size,
        "num_threads": torch.get_num_threads(),
        "forward": batch_size * _rate(forward, chosen.device),
        "step": batch_size * _rate(step, chosen.device),
    }


def _rate(work: Callable[[], None], device: torch.device) -> float:
    """Calls per second."""
    work()
    _finish(device)
    started, calls = time.perf_counter(), 0
    while (spent := time.perf_counter() - started) < _SECONDS or calls == 0:
        work()
        _finish(device)
        calls += 1
    return calls / spent


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

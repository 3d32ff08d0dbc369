"""Batch size `auto`: the largest power of two of which a training step of the whole network fits the GPU's memory."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch.nn.functional import cross_entropy

from tlcore.recipes import ModelFacts, NetworkRecipe, Recipe
from tlcore.spec import content_fingerprint
from tlcore.training.device import Device, device_name, reset_peak_memory
from tlcore.training.loop.checkpoints import write_text
from tlcore.training.networks.forward import logits
from tlcore.training.networks.models import UNCHANGED, build_network

AUTO_BATCH_LIMIT = 512
STEPS_PER_EPOCH = 8  # at least: a batch that is a larger part of the images learns too rarely
MEMORY_SHARE = 0.5  # of the free memory, as decoded images may take the rest (`batches.RESIDENT_SHARE`, twice)
PROBE_VERSION = 1  # raise it when the same machine would find another size


@dataclass(frozen=True)
class Probe:
    """What the largest batch depends on, what trains when not among it. limit: the first size to try. changes: as of
    `build_network`.
    """

    model: str
    image_size: int
    num_classes: int
    limit: int
    changes: NetworkRecipe = UNCHANGED

    @property
    def as_json(self) -> dict[str, Any]:
        """All of it, for keys and files."""
        return {**vars(self), "changes": self.changes.model_dump(mode="json")}


def largest_batch(probe: Probe, device: Device, cache_dir: Path) -> int:
    """The batch size for every run of this network, image size and data on this machine: measured once, then kept."""
    key = content_fingerprint({**probe.as_json, "device": _identity(device), "version": PROBE_VERSION})
    path = cache_dir / "batch_sizes" / f"{key[:16]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):  # two workers would leave each other half the memory
        if not path.exists():
            with _part_of_memory(device):
                size = largest_fitting(partial(_fits, probe, device), probe.limit)
            reset_peak_memory(device.device)
            write_text(path, json.dumps({**probe.as_json, "batch_size": size}))
        return int(json.loads(path.read_text(encoding="utf-8"))["batch_size"])


def largest_fitting(fits: Callable[[int], bool], limit: int) -> int:
    """The largest power of two up to `limit` that fits, tried downwards; 1 where none does."""
    size = 1 << (limit.bit_length() - 1)
    while size > 1 and not fits(size):
        size //= 2
    return size


def batch_limit(num_train: int, usual: int) -> int:
    """Where the search begins. num_train: images of the full training part. usual: the recipe's own batch size."""
    return max(usual, min(AUTO_BATCH_LIMIT, num_train // STEPS_PER_EPOCH))


def is_measured(recipe: Recipe, device: Device, facts: ModelFacts) -> bool:
    """Whether the batch size is left to a machine that can tell: a GPU, and a network that trains."""
    return recipe.auto_batch and device.accelerated and not facts.frozen_only


def batch_note(recipe: Recipe, device: Device, facts: ModelFacts) -> tuple[str, ...]:
    """How the batch size was chosen, for people; nothing where it was not left to the machine."""
    if not recipe.auto_batch:
        return ()
    said = f"batch size auto: {recipe.batch_size}"
    if not is_measured(recipe, device, facts):
        return (f"{said}, the recipe's default, as only a GPU that trains the whole network is measured",)
    return (
        f"{said}, the largest power of two of which a training step of the whole network fits {MEMORY_SHARE:.0%} of "
        f"the free memory of {device_name(device.device)}, at most {AUTO_BATCH_LIMIT} and an "
        f"{STEPS_PER_EPOCH}th of the training images; learning rates are scaled to it",
    )


def _fits(probe: Probe, device: Device, size: int) -> bool:
    try:
        _train_twice(probe, device, size)
    except torch.OutOfMemoryError:
        fits = False
    else:
        fits = True
    if device.device.type == "cuda":
        torch.cuda.empty_cache()
    return fits


def _train_twice(probe: Probe, device: Device, size: int) -> None:
    """Two steps that train everything: the second has the optimiser's state (AdamW's, the largest) in memory."""
    with torch.random.fork_rng():
        network = build_network(probe.model, probe.num_classes, probe.image_size, probe.changes)
        module = network.module.to(device.device).to(memory_format=torch.channels_last).train()
        optimizer = torch.optim.AdamW(module.parameters(), lr=0.0)
        shape = (size, 3, probe.image_size, probe.image_size)
        images = torch.rand(shape, device=device.device).contiguous(memory_format=torch.channels_last)
        labels = torch.zeros(size, dtype=torch.int64, device=device.device)
        for _ in range(2):
            cross_entropy(logits(network, device, images), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()


@contextmanager
def _part_of_memory(device: Device) -> Iterator[None]:
    """Let torch have only a part of what is free now, so that a probe leaves room and disturbs no other process."""
    if device.device.type != "cuda":
        yield
        return
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info(device.device)
    allowed = (torch.cuda.memory_reserved(device.device) + MEMORY_SHARE * free) / total
    torch.cuda.set_per_process_memory_fraction(allowed, device.device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device.device)


def _identity(device: Device) -> list[object]:
    memory = torch.cuda.get_device_properties(device.device).total_memory if device.device.type == "cuda" else 0
    return [device_name(device.device), memory, str(device.dtype), torch.__version__]

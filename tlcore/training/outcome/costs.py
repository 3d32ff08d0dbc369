"""What it costs to use the network that a run ends with: its size on disk, and the time of one answer."""

import time
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from tlcore.training.device import Device
from tlcore.training.images.batches import evaluation_batch
from tlcore.training.loop.optimizers import synchronize
from tlcore.training.loop.task import Task
from tlcore.training.networks.forward import logits
from tlcore.training.networks.freezing import evaluating
from tlcore.training.networks.models import Network

WARM_UP, REPEATS = 2, 5  # passes: the first ones choose kernels and fill caches; five others have a median
MAX_SECONDS = 0.5  # of all passes together, but for the first two
KNOWN: dict[tuple[object, ...], float] = {}  # latencies that this process has measured
_NO_WEIGHTS = (".json", ".txt", ".py")  # what else lies in a model folder


def take_home_costs(task: Task, folder: Path) -> dict[str, int | float]:
    """`model_bytes` and `latency_ms` of the outcome, as of `RunOutcome`. folder: `model/` as it was written.

    The passes here are charged to no time of the run. Runs of one worker that end with equal networks have one latency:
    it does not depend on what they learned, and two measurements would differ by what else the machine did.
    """
    image = evaluation_batch(task.source, task.val[:1])
    return {
        "model_bytes": weights_bytes(folder),
        "latency_ms": _latency_of(task.network, task.source.device, image),
    }


def _latency_of(network: Network, device: Device, image: Tensor) -> float:
    machine = device.id, device.dtype, torch.get_num_threads()
    key = network.facts.model, repr(network.module), tuple(image.shape), *machine
    if key not in KNOWN:
        KNOWN[key] = latency_ms(network, device, image)
    return KNOWN[key]


def weights_bytes(folder: Path) -> int:
    """Bytes of all files that hold numbers: the weights, an ONNX backbone, the references of a k-NN."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.suffix not in _NO_WEIGHTS)


def latency_ms(network: Network, device: Device, image: Tensor) -> float:
    """Median milliseconds of a forward pass without gradients. image: [1, 3, size, size], on the device."""
    seconds: list[float] = []
    begun = time.perf_counter()
    with evaluating(network), torch.inference_mode():
        while len(seconds) < WARM_UP + REPEATS and (len(seconds) < 2 or time.perf_counter() - begun < MAX_SECONDS):
            synchronize(device.device)
            started = time.perf_counter()
            logits(network, device, image)
            synchronize(device.device)
            seconds.append(time.perf_counter() - started)
    return 1000 * median(seconds[min(WARM_UP, len(seconds) - 1) :])

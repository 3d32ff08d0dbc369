"""One arm of `bench_steps`' first part, in a process of its own: training steps or forward passes of one network in one
number format, one for each line that it reads, and a line back after each.

    float32   in torch's own layout and environment, as a script that a person writes
    autocast  plain autocast in channels_last, likewise
    quiet     as float32, in the environment that workers have, in which threads do not spin while they wait
    product   the product's format, layout and forward pass, in that environment
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import torch
from torch.nn.functional import cross_entropy

from tests.benchmarks.timing import as_a_person
from tlcore.training.device import Device, pick_device, set_threads
from tlcore.training.loop.optimizers import synchronize
from tlcore.training.networks.folding import Folded, fold_all
from tlcore.training.networks.forward import logits
from tlcore.training.networks.freezing import evaluating
from tlcore.training.networks.models import Network, build_network

FORMATS = ("float32", "autocast", "quiet", "product")
PERSONS = ("float32", "autocast")
CLASSES = 10
UNFOLDED = Folded()


@contextmanager
def arms(what: str, model: str, batch: int, size: int, device: str, threads: int) -> Iterator[dict[str, Callable]]:
    """By format, what makes one pass and waits until it is done. what: `training` or `forward`."""
    asked = [what, model, str(batch), str(size), device, str(threads)]
    made = {}
    for name in FORMATS:
        environment = as_a_person() if name in PERSONS else dict(os.environ)
        command = [sys.executable, "-m", __name__, name, *asked]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
        made[name] = subprocess.Popen(command, env=environment, **pipes)
    try:
        yield {name: lambda process=process: one_pass(process) for name, process in made.items()}
    finally:
        for process in made.values():
            process.communicate()


def one_pass(process: subprocess.Popen) -> None:
    with suppress(BrokenPipeError):  # then there is no answer either
        process.stdin.write("\n")
    if not process.stdout.readline():
        sys.exit("an arm has ended: see above")


def main() -> None:
    name, what, model, batch, size, device_name, threads = sys.argv[1:]
    set_threads(int(threads))
    device = pick_device(device_name)
    work = passes(name, what, model, int(batch), int(size), device)
    for _ in sys.stdin:
        work()
        synchronize(device.device)
        print(flush=True)


def passes(name: str, what: str, model: str, batch: int, size: int, device: Device) -> Callable[[], object]:
    """One pass of an arm."""
    network = build_network(model, CLASSES, size)
    network.module.to(device.device)
    if name != "product":
        for layer in network.module.modules():
            layer._forward_pre_hooks.clear()  # of `activations.py`
    images = torch.rand(batch, 3, size, size, device=device.device)
    labels = torch.arange(batch, device=device.device) % CLASSES
    if name in ("float32", "quiet"):
        device = replace(device, dtype=torch.float32)
    else:
        network.module.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    if what == "forward":
        folded = fold_all(network, device) if name == "product" else UNFOLDED
        return lambda: forward_only(network, device, images, folded)
    low = torch.autocast(device.device.type, dtype=torch.bfloat16, enabled=device.dtype is torch.bfloat16)
    optimizer = torch.optim.SGD(network.module.parameters(), lr=1e-4)
    network.module.train()

    def scores() -> torch.Tensor:
        if name == "product":
            return logits(network, device, images)
        with low:
            return network.module(images).float()

    def step() -> None:
        cross_entropy(scores(), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def forward_only(network: Network, device: Device, images: torch.Tensor, folded: Folded = UNFOLDED) -> torch.Tensor:
    """A pass without autograd, in eval mode. folded: what is folded meanwhile, as the product has it."""
    with evaluating(network), folded.applied(), torch.inference_mode():
        return logits(network, device, images)


if __name__ == "__main__":
    main()

"""Arms of a benchmark in turn, so that a machine that is busy for a while is busy for all of them."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import TYPE_CHECKING

from tlcore.errors import DeviceError
from tlcore.settings import get_settings, worker_environment

if TYPE_CHECKING:
    import torch

    from tlcore.training.device import Device

WARM_UP = 2
OF_WORKERS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "GLIBC_TUNABLES")  # what workers have in their environment for speed


def as_a_worker() -> None:
    """Start this process again with the environment that workers have, unless it has it; to be called first."""
    wanted = worker_environment(get_settings())
    if any(os.environ.get(name) != wanted[name] for name in OF_WORKERS):
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **{name: wanted[name] for name in OF_WORKERS}})


def as_a_person() -> dict[str, str]:
    """The environment without what workers have for speed, and what a person set in its place."""
    return {name: value for name, value in os.environ.items() if name not in OF_WORKERS}


def interleaved(
    arms: Mapping[str, Callable[[], object]], repeats: int, device: "torch.device | None" = None
) -> dict[str, float]:
    """Median seconds of each arm over `repeats` rounds, after two that are not counted."""
    if device is not None:
        from tlcore.training.loop.optimizers import synchronize
    measured: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(WARM_UP + repeats):
        for name in arms if number % 2 == 0 else reversed(arms):
            begun = time.perf_counter()
            arms[name]()
            if device is not None:
                synchronize(device)
            if number >= WARM_UP:
                measured[name].append(time.perf_counter() - begun)
    return {name: median(found) for name, found in measured.items()}


def device_of(asked: str) -> "Device":
    """The device that was asked for; where there is none, the benchmark ends with the reason."""
    from tlcore.training.device import pick_device

    try:
        return pick_device(asked)
    except DeviceError as error:
        raise SystemExit(f"error: {error}") from None


def line(what: str, found: str, target: str) -> None:
    """One row of a benchmark's table."""
    print(f"{what:64} {found:>22}   {target}", flush=True)

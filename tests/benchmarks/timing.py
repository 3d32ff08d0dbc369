"""Arms of a benchmark in turn, so that a machine that is busy for a while is busy for all of them."""

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

WARM_UP = 2


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


def line(what: str, found: str, target: str) -> None:
    """One row of a benchmark's table."""
    print(f"{what:64} {found:>22}   {target}", flush=True)

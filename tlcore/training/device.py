"""Where a run computes, in which number format, and why."""

import os
import platform
import resource
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

from tlcore import heap
from tlcore.cores import usable_cores
from tlcore.errors import DeviceError

_BF16_CPU_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # Linux names; the last is 64-bit Arm's
_BF16_CAPABILITY = 8  # CUDA compute capability of Ampere, the first with bf16 in hardware
_FIRST_THREADS = torch.get_num_threads()


@dataclass(frozen=True)
class Device:
    """A device that exists. reason: why this one and this number format, for people. dtype: of the forward pass."""

    device: torch.device
    reason: str
    dtype: torch.dtype

    @property
    def id(self) -> str:
        """As it is asked for: `cpu` or `cuda:INDEX`."""
        return str(self.device)

    @property
    def accelerated(self) -> bool:
        return self.device.type == "cuda"


def pick_device(asked: str) -> Device:
    """The device for `auto`, `cpu`, `cuda` or `cuda:INDEX`; only `auto` ever falls back, and its reason says so.

    `auto:cpu` and `auto:cuda:INDEX` are what `auto` chose when the run was launched: they stay so.
    Raises: DeviceError when CUDA is asked for, or was chosen, and is absent, or the name is unknown.
    """
    if asked == "cpu":
        return _on_cpu("the CPU was asked for")
    if asked in {"auto", "auto:cpu"}:
        absent = _why_no_cuda()
        if absent is None and asked == "auto":
            return _on_cuda(0, "the first CUDA device was taken automatically")
        return _on_cpu(f"the CPU was taken automatically, because {absent or 'there was no CUDA device at the launch'}")
    if asked.startswith("auto:"):
        return _chosen_cuda(asked.removeprefix("auto:"), "taken automatically")
    return _chosen_cuda(asked, "asked for")


def _chosen_cuda(asked: str, how: str) -> Device:
    kind, _, index = asked.partition(":")
    if kind != "cuda" or (":" in asked and not index.isdigit()):
        raise DeviceError(f"unknown device {asked!r}: use auto, cpu, cuda or cuda:INDEX")
    absent = _why_no_cuda()
    if absent is not None:
        raise DeviceError(f"device {asked!r} cannot be used, because {absent}: use --device cpu or auto")
    if int(index or 0) >= torch.cuda.device_count():
        last = torch.cuda.device_count() - 1
        raise DeviceError(f"device {asked!r} cannot be used: this machine's CUDA devices are cuda:0 to cuda:{last}")
    return _on_cuda(int(index or 0), f"{asked} was {how}")


def all_devices() -> list[Device]:
    """Every device of this machine, the CPU first."""
    count = torch.cuda.device_count() if _why_no_cuda() is None else 0
    return [_on_cpu("the CPU"), *(_on_cuda(i, f"CUDA device {i}") for i in range(count))]


def device_name(device: torch.device) -> str:
    """The maker's name of a device."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _cpu_facts()[0]


def set_threads(count: int | None) -> int:
    """Use `count` CPU threads, or when None torch's own choice at start-up, at most one a core; the number in use.

    Matrix products of NumPy and SciPy use as many.
    """
    torch.set_num_threads(count or min(_FIRST_THREADS, usable_cores()))
    threads = torch.get_num_threads()
    for library in ThreadpoolController().select(user_api="blas").lib_controllers:
        library.set_num_threads(threads)
    return threads


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on a device: a GPU fetches it from pinned memory, so that nobody waits for it."""
    return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


def reset_peak_memory(device: torch.device) -> None:
    """Start a new measurement for `peak_memory` (on a CPU: only Linux can)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    heap.give_back()  # else the peak would hold what earlier runs of this process needed
    clear = Path("/proc/self/clear_refs")
    if clear.exists() and os.access(clear, os.W_OK):
        clear.write_text("5")  # man proc_pid_clear_refs: 5 resets the peak resident set size


def peak_memory(device: torch.device) -> int:
    """Most bytes in use since `reset_peak_memory`: allocated by torch on a GPU, resident in this process on a CPU.

    On a GPU without what recordings of steps keep, which are given up where memory is short.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():
        peak = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM:")), None)
        if peak is not None:
            return int(peak.split()[1]) * 1024
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _why_no_cuda() -> str | None:
    """Why CUDA cannot be used, or None where it can."""
    if torch.version.cuda is None:
        return f"this torch ({torch.__version__}) was built without CUDA"
    if not torch.cuda.is_available():
        return "torch finds no CUDA device here (no NVIDIA GPU, or no working driver)"
    return None


def _on_cuda(index: int, why: str) -> Device:
    device = torch.device("cuda", index)
    capability = torch.cuda.get_device_capability(device)
    known = f"compute capability {capability[0]}.{capability[1]}"
    if capability[0] >= _BF16_CAPABILITY:
        return Device(device, f"{why}: {device_name(device)}; bf16, as its {known} has it", torch.bfloat16)
    return Device(device, f"{why}: {device_name(device)}; fp32, as its {known} has no bf16", torch.float32)


def _on_cpu(why: str) -> Device:
    device = torch.device("cpu")
    flags = sorted(_cpu_facts()[1] & _BF16_CPU_FLAGS)
    if flags:
        return Device(device, f"{why}; bf16, as the processor has {' and '.join(flags)}", torch.bfloat16)
    return Device(device, f"{why}; fp32, as the processor is not known to have bf16 instructions", torch.float32)


@lru_cache
def _cpu_facts() -> tuple[str, frozenset[str]]:
    """The processor's name and instruction flags, from Linux; elsewhere only the name."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or platform.machine(), frozenset()
    fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
    facts = {key.strip(): value.strip() for key, value in fields.items()}
    flags = facts.get("flags", facts.get("Features", ""))
    return facts.get("model name", platform.machine()), frozenset(flags.split())

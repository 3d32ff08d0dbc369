"""The device is what was asked for, or an error; only `auto` chooses, and says why."""

import ctypes
import mmap

import joblib.externals.loky
import pytest
import scipy.optimize  # noqa: F401 - loads its BLAS
import torch
from threadpoolctl import ThreadpoolController, threadpool_info

from tlcore.errors import DeviceError
from tlcore.training import device as devices
from tlcore.training.device import all_devices, peak_memory, pick_device, reset_peak_memory, set_threads


@pytest.fixture
def no_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Pretend GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0) if device.index == 0 else (7, 5))


@pytest.mark.usefixtures("no_cuda")
@pytest.mark.parametrize("asked", ["cuda", "cuda:0"])
def test_cuda_asked_for_and_absent_is_an_error(asked):
    with pytest.raises(DeviceError, match="because"):
        pick_device(asked)


@pytest.mark.usefixtures("no_cuda")
def test_auto_falls_back_and_says_why():
    chosen = pick_device("auto")
    assert chosen.id == "cpu"
    assert "automatically, because" in chosen.reason
    assert not chosen.accelerated


@pytest.mark.usefixtures("two_gpus")
def test_auto_takes_a_gpu_and_its_best_format():
    assert (pick_device("auto").id, pick_device("auto").dtype) == ("cuda:0", torch.bfloat16)
    assert (pick_device("cuda:1").id, pick_device("cuda:1").dtype) == ("cuda:1", torch.float32)
    assert "capability 7.5" in pick_device("cuda:1").reason
    assert [d.id for d in all_devices()] == ["cpu", "cuda:0", "cuda:1"]
    with pytest.raises(DeviceError, match="cuda:0 to cuda:1"):
        pick_device("cuda:2")


@pytest.mark.usefixtures("two_gpus")
def test_what_auto_chose_at_the_launch_stays():
    stays = pick_device("auto:cpu")
    assert stays.id == "cpu"
    assert "the CPU was taken automatically, because there was no CUDA device at the launch" in stays.reason
    assert pick_device("auto:cuda:1").id == "cuda:1"
    assert "cuda:1 was taken automatically" in pick_device("auto:cuda:1").reason


@pytest.mark.usefixtures("no_cuda")
def test_a_gpu_that_auto_chose_and_that_is_gone_is_an_error():
    assert pick_device("auto:cpu").reason == pick_device("auto").reason
    with pytest.raises(DeviceError, match=r"device 'cuda:0' cannot be used, because"):
        pick_device("auto:cuda:0")


@pytest.mark.parametrize("asked", ["gpu", "cuda:", "cuda:x", "", "mps", "auto:", "auto:mps"])
def test_unknown_devices(asked):
    with pytest.raises(DeviceError, match="unknown device"):
        pick_device(asked)


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [
        ({"avx2"}, torch.float32),
        ({"amx_bf16"}, torch.bfloat16),
        ({"avx512_bf16"}, torch.bfloat16),
        (set(), torch.float32),
    ],
)
def test_cpu_format_follows_its_instructions(monkeypatch, flags, dtype):
    monkeypatch.setattr(devices, "_cpu_facts", lambda: ("Some CPU", frozenset(flags)))
    assert pick_device("cpu").dtype == dtype


def test_threads_are_set_and_given_back():
    before = torch.get_num_threads()
    try:
        assert set_threads(1) == torch.get_num_threads() == 1
        assert set_threads(None) == min(devices._FIRST_THREADS, devices.usable_cores())
    finally:
        torch.set_num_threads(before)


def test_every_blas_has_the_threads_that_were_asked_for():
    """NumPy and SciPy come with one each."""
    before = {library.filepath: library.num_threads for library in ThreadpoolController().lib_controllers}
    try:
        for count in (1, 2):
            set_threads(count)
            found = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
            assert found
            assert set(found) == {count}
    finally:
        set_threads(None)
        for library in ThreadpoolController().lib_controllers:
            library.set_num_threads(before[library.filepath])


def test_peak_memory_sees_what_was_taken_and_given_back():
    cpu, size = torch.device("cpu"), 64 * 1024 * 1024
    reset_peak_memory(cpu)
    before = peak_memory(cpu)
    with mmap.mmap(-1, size) as fresh:  # from the system itself: torch may reuse memory that the process still holds
        fresh.write(b"x" * size)
    assert peak_memory(cpu) - before > size / 2


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="not glibc")
def test_the_peak_leaves_out_what_an_earlier_run_of_the_process_used():
    """Small pieces below one that is still used: glibc keeps them for this process until it is told not to."""
    cpu = torch.device("cpu")
    reset_peak_memory(cpu)
    before = peak_memory(cpu)
    pieces = [bytes(50_000) for _ in range(6_000)]
    last = pieces.pop()
    pieces.clear()
    assert peak_memory(cpu) > before + 250e6
    reset_peak_memory(cpu)
    assert peak_memory(cpu) < before + 50e6
    assert last


def test_a_container_gets_no_more_threads_than_its_share_of_the_processor(monkeypatch):
    """Where torch sees the cores of the whole machine."""
    monkeypatch.setattr(devices, "_FIRST_THREADS", 64)
    monkeypatch.setattr(joblib.externals.loky, "cpu_count", lambda: 1)
    try:
        assert set_threads(None) == torch.get_num_threads() == 1
    finally:
        monkeypatch.undo()
        set_threads(None)

"""Settings come from the environment, and say so when a value cannot be used."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tlcore.errors import SpecError
from tlcore.settings import child_environment, get_settings, python_environment, worker_environment


def test_a_value_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLCORE_MAX_UPLOAD_MB", "abc")
    with pytest.raises(SpecError, match="TLCORE_MAX_UPLOAD_MB is 'abc'"):
        get_settings()


@pytest.mark.parametrize("name", ["TLCORE_WORKER_IDLE_SECONDS", "TLCORE_CANCEL_GRACE_SECONDS", "TLCORE_MAX_CACHE_GB"])
def test_less_than_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "-5")
    with pytest.raises(SpecError, match=f"{name} is '-5'"):
        get_settings()


def test_a_child_sees_the_same_home_wherever_it_is_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TLCORE_HOME", "here")
    monkeypatch.chdir(tmp_path)
    environment = child_environment(get_settings())
    assert environment["TLCORE_HOME"] == str(tmp_path / "here")
    assert Path(environment["PYTHONPATH"].split(":")[0], "tlcore", "settings.py").exists()


GIVE_BACK_AND_TAKE = """
import resource
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
b"x" * 64_000_000
before = faults()
for _ in range(10):
    b"x" * 64_000_000
print((faults() - before) * resource.getpagesize())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not glibc")
def test_a_worker_keeps_the_memory_that_it_gave_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes that the system had to map again for ten blocks of 64 MB, each given back before the next."""
    given = worker_environment(get_settings())
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.perturb=1")
    with_own = worker_environment(get_settings())
    for environment in (given, with_own):
        command = [sys.executable, "-c", GIVE_BACK_AND_TAKE]
        told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        assert int(told) < 64_000_000
    assert with_own["GLIBC_TUNABLES"].endswith(":glibc.malloc.perturb=1"), "what a person set stays, and comes last"


def test_what_a_worker_starts_does_not_keep_memory_and_its_environment_does_not_grow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Such a process never gives memory back, and many run at once."""
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    for own in ({}, {"GLIBC_TUNABLES": "glibc.malloc.perturb=1"}):
        for name, value in own.items():
            monkeypatch.setenv(name, value)
        ours = worker_environment(get_settings())
        for name, value in ours.items():
            monkeypatch.setenv(name, value)
        for child in (python_environment(), child_environment(get_settings())):
            assert child.get("GLIBC_TUNABLES") == own.get("GLIBC_TUNABLES")
        assert worker_environment(get_settings()) == ours
        monkeypatch.delenv("GLIBC_TUNABLES")


def test_the_default_home_lies_beside_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TLCORE_HOME")
    monkeypatch.chdir(tmp_path)
    assert get_settings().root == Path(__file__).resolve().parents[2] / "mlruns"

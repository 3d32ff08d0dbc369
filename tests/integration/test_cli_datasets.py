"""`python -m tlcore dataset`, as a person at a terminal uses it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.helpers import make_image_folder
from tests.helpers_jobs import until
from tests.web import send, slow, web_server
from tlcore.datasets.staging import staging
from tlcore.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "tlcore", "dataset"]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "no_proxy": "*", "TLCORE_ALLOW_LOCAL_ADDRESSES": "1"}


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=False, env=environment())


def leftovers(settings: Settings) -> list[str]:
    return [path.name for path in settings.datasets.iterdir() if path.name != ".lock"]


def test_public_sets_are_listed() -> None:
    done = run("sources")
    assert done.returncode == 0
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("torchvision:Flowers102 ")]
    assert line.split()[1:] == ["flowers", "102", "8,189", "about", "500", "345", "MB", "not", "stated"]
    assert "by hand" in done.stdout


def test_an_address_and_a_wrong_one(settings: Settings, tmp_path: Path) -> None:
    folder = make_image_folder(tmp_path, ("ants", "bees"), 4)
    made = subprocess.run(["tar", "cJf", str(tmp_path / "a.tar.xz"), "-C", str(folder), "."], check=False).returncode
    assert made == 0
    with web_server({"/pictures.tar.xz": send((tmp_path / "a.tar.xz").read_bytes())}) as root:
        done = run("add", f"{root}/pictures.tar.xz")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[0].endswith("(pictures)")
        wrong = run("add", f"{root}/picture.zip")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: http://127.0.0.1:")
    assert len(wrong.stderr.splitlines()) == 1
    assert "Traceback" not in wrong.stderr


@pytest.fixture
def over() -> Iterator[threading.Event]:
    """Set when a slow server may end."""
    event = threading.Event()
    yield event
    event.set()


def interrupted(
    settings: Settings, source: str, started: Callable[[], object], end: int = signal.SIGINT
) -> "tuple[int, str]":
    """Exit code and stderr after Ctrl-C, which a terminal sends to the whole group, or another signal, at a moment."""
    process = subprocess.Popen(
        [*COMMAND, "add", source], stderr=subprocess.PIPE, text=True, env=environment(), start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 — ignored in background jobs
    )  # fmt: skip
    try:
        until(lambda: settings.datasets.is_dir() and started(), "the import is under way")
        children = psutil.Process(process.pid).children(recursive=True)
        (os.killpg if end == signal.SIGINT else os.kill)(process.pid, end)
        _, told = process.communicate(timeout=30)
        _, alive = psutil.wait_procs(children, timeout=10)
        assert not alive
    finally:
        process.kill()
        process.wait()
    return process.returncode, told


def test_ctrl_c_while_downloading_leaves_nothing(settings: Settings, over: threading.Event) -> None:
    with web_server({"/a.zip": slow(b"PK\x03\x04" + bytes(9000), over.wait)}) as root:
        found = interrupted(settings, f"{root}/a.zip", lambda: list(settings.datasets.glob(".staging-*/brought/*")))
    assert found == (130, "cancelled: nothing was kept\n")
    assert leftovers(settings) == []


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_while_checking_leaves_nothing(settings: Settings, tmp_path: Path, end: int) -> None:
    source = make_image_folder(tmp_path, ("ants", "bees"), 60, 700)
    started = lambda: len(list(settings.datasets.glob(".staging-*/dataset/thumbnails/*/*"))) > 2  # noqa: E731
    assert interrupted(settings, str(source), started, end) == (130, "cancelled: nothing was kept\n")
    assert leftovers(settings) == []


def test_what_a_killed_import_left_goes_when_datasets_are_listed(settings: Settings, tmp_path: Path) -> None:
    source = make_image_folder(tmp_path, ("ants", "bees"), 60, 700)
    started = lambda: len(list(settings.datasets.glob(".staging-*/dataset/thumbnails/*/*"))) > 2  # noqa: E731
    assert interrupted(settings, str(source), started, signal.SIGKILL)[0] == -signal.SIGKILL
    assert leftovers(settings) != []
    with staging(settings.datasets) as living:
        (settings.datasets / ".staging-dead").mkdir()
        assert run("list").returncode == 0
        assert set(leftovers(settings)) == {living.name, f"{living.name}.lock"}


def test_ctrl_c_while_torchvision_is_asked_leaves_nothing(settings: Settings) -> None:
    logs = lambda: list(settings.datasets.glob(".staging-*/torchvision.log"))  # noqa: E731
    assert interrupted(settings, "torchvision:EuroSAT", logs) == (130, "cancelled: nothing was kept\n")
    assert leftovers(settings) == []

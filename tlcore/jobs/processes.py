"""Processes of ours: who they are, whether they live, how they are started and ended."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from tlcore.settings import Settings, child_environment, download_places

PACKAGE = Path(__file__).resolve().parent.parent
CLOCK_SLACK = 2.0  # seconds by which a create time may shift when the system clock is set


def create_time(pid: int) -> float:
    """When a living process was made, Unix seconds: with the pid, its identity."""
    return float(psutil.Process(pid).create_time())


def is_alive(pid: int, created: float) -> bool:
    """Whether this very process still runs; a zombie is dead, and so is one whose pid somebody else has now."""
    try:
        process = psutil.Process(pid)
        same = abs(float(process.create_time()) - created) < CLOCK_SLACK
        return same and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def kill_group(pid: int, created: float) -> None:
    """Kill a worker and all that it started; its group outlives it, so this also clears up after a dead one."""
    try:
        if abs(psutil.Process(pid).create_time() - created) >= CLOCK_SLACK:
            return  # the pid belongs to somebody else now, so nothing of the group is left
    except psutil.NoSuchProcess:
        pass  # the leader is gone; what it started may not be
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def start_detached(
    settings: Settings, arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start `python -m <arguments>` in a session of its own, so that it outlives us, printing to `log`.

    environment: in place of `child_environment`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=PACKAGE.parent,
            env=child_environment(settings) if environment is None else environment,
            start_new_session=True,
        )


def code_version() -> str:
    """Content hash of the package's code and tables as they are on disk now: tells a stale worker from a fresh one.

    With the environment's places of downloaded weights: a worker that looks elsewhere cannot say what is here.
    """
    digest = hashlib.sha256(repr(download_places()).encode())
    for file in sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.csv")]):
        digest.update(str(file.relative_to(PACKAGE)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def tail(path: Path, lines: int, max_bytes: int = 65_536) -> str:
    """The last lines of a text file; empty where there is no file yet."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - max_bytes))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])

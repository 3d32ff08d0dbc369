"""The state of this installation."""

import importlib.metadata
import shutil
import subprocess
import sys

from tlcore import heap, jobs, tracking
from tlcore.errors import TlcoreError
from tlcore.results import Value
from tlcore.service import models
from tlcore.settings import get_settings

LOW_DISK_GB = 2.0


class Check(Value):
    """One line of the doctor's report. message: what was found, and the remedy where it is a problem."""

    name: str
    ok: bool
    message: str


class SystemState(Value):
    """What the home page shows. workers: how many are up."""

    home: str
    free_gb: float
    tracking_uri: str
    queued: int
    running: int
    workers: int


def settle() -> None:
    """Once MLflow is loaded, spare the garbage collector what a dashboard holds for good.

    It went through a loaded MLflow for a quarter of a second at a time, in the middle of a page.
    """
    if tracking.is_connected():
        heap.settle()


def state() -> SystemState:
    """Queue, workers, disk and store, quickly: no question is asked. Open jobs are seen to, as after a restart."""
    settings = get_settings()
    jobs.recover(settings)
    seen = jobs.overview(settings)
    there = next(folder for folder in (settings.root, *settings.root.parents) if folder.exists())
    return SystemState(
        home=str(settings.root),
        free_gb=shutil.disk_usage(there).free / 1e9,
        tracking_uri=settings.tracking_uri,
        queued=seen.queued,
        running=seen.running,
        workers=len(seen.workers),
    )


def relocate() -> int:
    """Point stored artifact paths to this home after it was moved; returns how many changed."""
    return tracking.relocate(get_settings())


def doctor() -> list[Check]:
    """Every check, in the order in which to mend them."""
    return [_python(), _torch_pair(), *_devices(), _disk(), _store()]


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    fine = (3, 11) <= sys.version_info < (3, 14)
    return Check(name="Python", ok=fine, message=version if fine else f"{version}: use Python 3.11 to 3.13")


def _torch_pair() -> Check:
    """torch and torchvision must come from one source: a CPU-only torch breaks the registry's torchvision."""
    versions = {name: _version(name) for name in ("torch", "torchvision", "timm", "mlflow", "streamlit")}
    listed = ", ".join(f"{name} {version or 'is missing'}" for name, version in versions.items())
    if None in versions.values():
        remedy = "install what is missing: pip install -r requirements.txt"
        return Check(name="libraries", ok=False, message=f"{listed}; {remedy}")
    done = subprocess.run(
        [sys.executable, "-c", "import torchvision, timm"], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return Check(name="libraries", ok=True, message=listed)
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    remedy = "install a matching pair: pip install --force-reinstall torch torchvision"
    return Check(name="libraries", ok=False, message=f"{listed}: {last}; {remedy}")


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def _devices() -> list[Check]:
    try:
        return [
            Check(name=f"device {d.id}", ok=True, message=f"{d.name}, {d.dtype}: {d.reason}") for d in models.devices()
        ]
    except TlcoreError as error:
        return [Check(name="devices", ok=False, message=str(error))]


def _disk() -> Check:
    seen = state()
    text = f"{seen.free_gb:.1f} GB free at {seen.home}"
    fine = seen.free_gb > LOW_DISK_GB
    return Check(name="disk", ok=fine, message=text if fine else f"{text}: free some, or set TLCORE_HOME elsewhere")


def _store() -> Check:
    settings = get_settings()
    try:
        count = len(tracking.list_comparisons(settings, limit=1))
    except TlcoreError as error:
        return Check(name="MLflow store", ok=False, message=str(error))
    return Check(name="MLflow store", ok=True, message=f"{settings.tracking_uri}" + ("" if count else " (empty)"))

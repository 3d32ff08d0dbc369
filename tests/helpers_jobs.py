"""A home with a dataset and comparisons of fake runs, and a way to leave no process behind."""

import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.helpers_mlflow import DATASET, make_spec
from tlcore import jobs, tracking
from tlcore.jobs import roster
from tlcore.jobs.processes import is_alive, kill_group
from tlcore.results import JobView
from tlcore.settings import Settings

DEADLINE = 60.0  # seconds; generous, since the machine may be busy


def until(holds: Callable[[], object], what: str, seconds: float = DEADLINE) -> None:
    """Wait for a state of affairs that other processes bring about."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"waited {seconds:.0f} s in vain until {what}"
        time.sleep(0.05)


def submit_fake(
    settings: Settings, dataset_id: str, overrides: Sequence[dict], device: str = "cpu"
) -> tuple[str, list[str]]:
    """A comparison with one fake run per entry of `overrides`; ids of comparison and runs."""
    dataset = DATASET.model_copy(update={"id": dataset_id})
    spec = make_spec(dataset, strategies=("from_scratch",), seeds=tuple(range(len(overrides))))
    comparison_id = tracking.create_comparison(settings, spec, dataset, "ann")
    runs = [run.model_copy(update={"overrides": own}) for run, own in zip(spec.runs(), overrides, strict=True)]
    made = [(tracking.create_run(settings, comparison_id, run, dataset, "ann"), run) for run in runs]
    jobs.submit_runs(settings, comparison_id, made, device)
    return comparison_id, [run_id for run_id, _ in made]


def job(settings: Settings, job_id: str) -> JobView:
    return jobs.get_job(settings, job_id)


def ended(settings: Settings, comparison_id: str) -> Callable[[], bool]:
    return lambda: jobs.is_settled(settings, comparison_id)


def events(settings: Settings, runs: Sequence[str]) -> list[dict]:
    """What the fake trainer noted of these runs, in order."""
    path = settings.cache / "trace.jsonl"
    noted = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [event for event in noted if event["run"] in runs]


def steps_done(settings: Settings, run_id: str) -> int:
    return sum(e["event"].startswith("step") for e in events(settings, [run_id]))


def supervisors(settings: Settings) -> list[int]:
    """This home's supervisors, found through /proc by home and module; one waits for the lock for a moment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if b"tlcore.jobs.supervisor" in command and f"TLCORE_HOME={settings.root}\0".encode() in environment + b"\0":
            found.append(int(entry.name))
    return found


def supervisor_pid(settings: Settings) -> int:
    (pid,) = supervisors(settings)
    return pid


def stop_everything(settings: Settings) -> None:
    """End this home's supervisors, then its workers; the tests' own processes only."""
    for pid in supervisors(settings):
        os.kill(pid, signal.SIGKILL)
    if not (settings.jobs / "queue.db").exists():
        return
    time.sleep(0.3)  # a worker started just now registers
    for worker in roster.workers(settings):
        if is_alive(worker.pid, worker.create_time):
            kill_group(worker.pid, worker.create_time)

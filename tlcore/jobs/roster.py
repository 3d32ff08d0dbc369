"""Who works: the workers that registered themselves, and which of them live."""

import sqlite3
from dataclasses import dataclass

from tlcore.jobs.database import reading, writing
from tlcore.jobs.processes import is_alive
from tlcore.settings import Settings


@dataclass(frozen=True)
class Worker:
    """A worker that registered itself. stop: it shall end once its job is done."""

    id: str
    slot: str
    pid: int
    create_time: float
    code_version: str
    stop: bool


def slot_of(device: str) -> str:
    """The slot of a resolved device: `cpu` -> `cpu:0`, `cuda` -> `cuda:0`, `cuda:1` as it is."""
    return device if ":" in device else f"{device}:0"


def register(settings: Settings, worker: Worker) -> None:
    """A worker is up."""
    with writing(settings) as db:
        db.execute(
            "INSERT INTO workers (id, slot, pid, create_time, code_version) VALUES (?, ?, ?, ?, ?)",
            (worker.id, worker.slot, worker.pid, worker.create_time, worker.code_version),
        )


def unregister(settings: Settings, worker_id: str) -> None:
    """A worker is gone."""
    with writing(settings) as db:
        db.execute("DELETE FROM workers WHERE id = ?", (worker_id,))


def workers(settings: Settings) -> list[Worker]:
    """Registered workers, dead ones too until the supervisor has seen them."""
    with reading(settings) as db:
        return [_worker(row) for row in db.execute("SELECT * FROM workers ORDER BY slot")]


def ask_to_stop(settings: Settings, worker_id: str) -> None:
    """Ask a worker to end once its job is done."""
    with writing(settings) as db:
        db.execute("UPDATE workers SET stop = 1 WHERE id = ?", (worker_id,))


def must_stop(settings: Settings, worker_id: str) -> bool:
    """Whether a worker was asked to end, or was taken for dead."""
    with reading(settings) as db:
        row = db.execute("SELECT stop FROM workers WHERE id = ?", (worker_id,)).fetchone()
    return row is None or bool(row["stop"])


def live_workers(settings: Settings) -> list[Worker]:
    """Registered workers whose process runs."""
    return [worker for worker in workers(settings) if is_alive(worker.pid, worker.create_time)]


def _worker(row: sqlite3.Row) -> Worker:
    return Worker(**{**dict(row), "stop": bool(row["stop"])})

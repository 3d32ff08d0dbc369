"""Jobs and workers as people see them."""

from typing import Literal

from tlcore.results.runs import Value

STOPPED = frozenset({"FAILED", "CANCELLED"})  # states of jobs that ended without a result


class JobView(Value):
    """A job of the queue as people see it.

    id: the run's MLflow id for a run. status: QUEUED, RUNNING, FINISHED, FAILED or CANCELLED. progress: 0…1.
    eta_seconds: time left as far as the progress tells. result: what an import or an edit made (a dataset id), or the
    file of a zip. dataset_id: of what a version or a zip is made. attempts: how often a worker took it. settled:
    MLflow's status of the run agrees (always, for other jobs).
    """

    id: str
    kind: Literal["run", "import", "version", "zip", "question"]
    title: str
    status: Literal["QUEUED", "RUNNING", "FINISHED", "FAILED", "CANCELLED"]
    progress: float
    message: str
    error: str | None = None
    comparison_id: str | None = None
    slot: str = ""
    created_ms: int = 0
    started_ms: int | None = None
    ended_ms: int | None = None
    eta_seconds: float | None = None
    cancel_requested: bool = False
    result: str | None = None
    dataset_id: str | None = None
    attempts: int = 0
    settled: bool = True


class WorkerView(Value):
    """A live worker. job_id: what it is busy with, None while it waits."""

    slot: str
    pid: int
    job_id: str | None


class QueueOverview(Value):
    """The state of the queue at a glance."""

    queued: int
    running: int
    workers: tuple[WorkerView, ...]
    supervisor_alive: bool

"""Questions that only torch can answer: asked of a warm idle worker, else of a new process; long ones are queued."""

import json
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pynvml

from tlcore import errors
from tlcore.errors import JobError, NotFoundError, TlcoreError
from tlcore.jobs import queue, removing
from tlcore.jobs.database import prepare, queue_path
from tlcore.jobs.processes import PACKAGE, code_version
from tlcore.jobs.queue import ANY_SLOT, NewJob
from tlcore.jobs.roster import Worker, live_workers, slot_of
from tlcore.jobs.supervision import ensure_supervisor, is_starting, is_supervised
from tlcore.settings import Settings, worker_environment

_waking: dict[Path, str] = {}  # by home: the question that the worker which `warm_up` asked for answers first
GET_READY = "get_ready"  # the one question that is about the worker itself, which answers it
CLAIM_SECONDS = 1.0  # an idle worker looks many times in this time
POLL_SECONDS = 0.02


def ask(settings: Settings, request: dict[str, Any], timeout: float = 120.0) -> Any:
    """The answer to one question. timeout: seconds.

    Raises: the TlcoreError that the answering process met; JobError where there was no answer.
    """
    deadline = time.monotonic() + timeout
    _await_waking(settings, deadline)
    reply = _ask_worker(settings, request, deadline) if _idle_worker(settings) else None
    if reply is None:
        reply = _ask_process(settings, request, deadline)
    if reply["ok"]:
        return reply["answer"]
    raise _error(reply)


def ask_several(settings: Settings, requests: list[dict[str, Any]], timeout: float = 120.0) -> list[Any]:
    """The answers to several questions at the price of one. Raises: as `ask`, for the first that failed."""
    return answers(ask(settings, {"question": "several", "requests": requests}, timeout) if requests else [])


def answers(replies: list[dict[str, Any]]) -> list[Any]:
    """What is in the replies to `several`. Raises: the TlcoreError of the first that failed."""
    failed = next((reply for reply in replies if not reply["ok"]), None)
    if failed is not None:
        raise _error(failed)
    return [reply["answer"] for reply in replies]


def warm_up(settings: Settings, device: str = "auto") -> None:
    """Let the worker of a device start while this process does something else; questions that follow wait for it.

    device: as asked for. Nothing happens where the worker lives. To be called where runs follow, which need a worker in
    any case: answering takes it less time than loading torch in a process for each question. It loads what training and
    tracking need, too. Raises: StorageError.
    """
    slot, version = slot_of(_likely(device)), code_version()
    living = live_workers(settings) if queue_path(settings).exists() else []
    if not any(worker.slot == slot and worker.code_version == version for worker in living):
        _waking[settings.root] = submit_question(settings, {"question": GET_READY}, "Start of a worker", slot)


def _likely(device: str) -> str:
    """The device that runs will get, as far as that can be told without torch."""
    if device != "auto" and not device.startswith("cuda"):
        return "cpu"
    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError:  # no driver
        count = 0
    return ("cuda" if device == "auto" else device) if count else "cpu"


def submit_question(settings: Settings, request: dict[str, Any], title: str, device: str = "cpu") -> str:
    """Queue a question that takes long, for the worker of a resolved device; returns the job's id at once.

    `api.get_job` tells how far it is, `api.cancel` ends it, `answer_of` gives the answer,
    for a week after it came. It does not wait for the runs in the queue: see `queue`. Raises: StorageError.
    """
    prepare(settings)
    job_id = uuid.uuid4().hex
    queue.add(settings, [NewJob(job_id, "question", title, slot_of(device), request, code_version())])
    ensure_supervisor(settings)
    return job_id


def answer_of(settings: Settings, job_id: str) -> Any:
    """The answer to a question that was queued; None while there is none yet.

    Raises: the TlcoreError that the answering process met; JobError where the question failed or was cancelled;
    NotFoundError.
    """
    found = queue.select(settings, "id = ? AND kind = 'question'", (job_id,)) if queue_path(settings).exists() else []
    if not found:
        raise NotFoundError(f"there is no question {job_id!r} in the queue of {settings.root}: ask it again")
    job = found[0]
    if job.status in queue.OPEN:
        return None
    if job.status != "FINISHED":
        raise JobError(job.error or f"{job.title} was cancelled: ask again")
    if job.result["ok"]:
        return job.result["answer"]
    raise _error(job.result)


def _await_waking(settings: Settings, deadline: float) -> None:
    """Wait for the worker that `warm_up` asked for, as long as there is hope that it comes."""
    job_id = _waking.pop(settings.root, None)
    if job_id is None:
        return
    while time.monotonic() < deadline and (is_supervised(settings) or is_starting(settings)):
        found = queue.select(settings, "id = ?", (job_id,))
        if not found or found[0].status not in queue.OPEN:
            break
        time.sleep(POLL_SECONDS)
    if not removing.take_back(settings, job_id):
        removing.forget(settings, job_id)


def _idle_worker(settings: Settings) -> Worker | None:
    """A living worker with torch, of the code that is on disk now, that does nothing."""
    if not queue_path(settings).exists():
        return None
    busy = {job.worker for job in queue.select(settings, "status = 'RUNNING'")}
    able = [w for w in live_workers(settings) if w.id not in busy and not w.stop and not w.slot.startswith("import")]
    if not able:
        return None
    version = code_version()
    return next((worker for worker in able if worker.code_version == version), None)


def _ask_worker(settings: Settings, request: dict[str, Any], deadline: float) -> dict[str, Any] | None:
    """The worker's reply; None when no worker took the question soon, or the one that did has died."""
    job = NewJob(uuid.uuid4().hex, "question", request["question"], ANY_SLOT, request, code_version())
    queue.add(settings, [job])
    take_back_at = time.monotonic() + CLAIM_SECONDS
    while time.monotonic() < deadline:
        (row,) = queue.select(settings, "id = ?", (job.id,))
        if row.status not in queue.OPEN:
            removing.forget(settings, job.id)
            return row.result if row.status == "FINISHED" else None
        late = row.status == "QUEUED" and time.monotonic() > take_back_at
        if late and removing.take_back(settings, job.id):
            return None
        time.sleep(POLL_SECONDS)
    removing.forget(settings, job.id)
    raise _no_answer(request)


def _ask_process(settings: Settings, request: dict[str, Any], deadline: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "tlcore.training.answer"]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=max(1.0, deadline - time.monotonic()),
            cwd=PACKAGE.parent,
            env=worker_environment(settings),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _no_answer(request) from error
    if done.returncode < 0 or not done.stdout.strip():
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise JobError(f"the process that answers {request['question']!r} ended with code {done.returncode}: {last}")
    reply: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return reply


def _no_answer(request: dict[str, Any]) -> JobError:
    return JobError(f"no answer to {request['question']!r} in time: the machine may be busy; try again")


def _error(reply: dict[str, Any]) -> TlcoreError:
    """The error that the answering process met, of its own class again."""
    kind = getattr(errors, str(reply.get("kind")), JobError)
    known = isinstance(kind, type) and issubclass(kind, TlcoreError)
    return kind(reply["error"]) if known else JobError(reply["error"])

"""Who is a supervisor, and who starts one."""

import fcntl
from contextlib import AbstractContextManager

import pytest
from filelock import FileLock

from tlcore.errors import StorageError
from tlcore.jobs import api, queue, supervision, supervisor
from tlcore.jobs.database import prepare
from tlcore.jobs.queue import NewJob
from tlcore.settings import Settings


class Child:
    """A process that was started: alive until told otherwise."""

    def __init__(self) -> None:
        self.code: int | None = None

    def poll(self) -> int | None:
        return self.code


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Child]:
    """The supervisors that were started, none of which ever gets to its lock."""
    children: list[Child] = []

    def start(*_: object) -> Child:
        children.append(Child())
        return children[-1]

    monkeypatch.setattr(supervision, "start_detached", start)
    return children


def test_whoever_holds_the_lock_is_a_supervisor(settings: Settings, started: list[Child]) -> None:
    prepare(settings)
    assert not supervision.is_supervised(settings)
    with FileLock(settings.jobs / "supervisor.lock"):
        assert supervision.is_supervised(settings)
        supervision.ensure_supervisor(settings)
    assert started == []
    assert not supervision.is_supervised(settings)
    supervision.ensure_supervisor(settings)
    assert len(started) == 1


def test_two_that_look_at_once_do_not_take_each_other_for_a_supervisor(
    settings: Settings, started: list[Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(settings)
    (settings.jobs / "supervisor.lock").touch()
    real, nested = fcntl.flock, []

    def lock(file: object, flags: int) -> None:
        """Whoever looks first is held up here, with the lock in its hands, while another one looks."""
        real(file, flags)
        monkeypatch.setattr(fcntl, "flock", real)
        nested.append(supervision.is_supervised(settings))
        supervision.ensure_supervisor(settings)

    monkeypatch.setattr(fcntl, "flock", lock)
    assert not supervision.is_supervised(settings)
    assert nested == [False]
    assert len(started) == 1, "the other one started it all the same"


def test_recover_starts_one_supervisor_however_often_it_is_called(settings: Settings, started: list[Child]) -> None:
    prepare(settings)
    api.recover(settings)
    assert started == [], "nothing is open"
    queue.add(settings, [NewJob("j", "run", "title", "cpu:0", {}, "v")])
    for _ in range(3):
        api.recover(settings)
    assert len(started) == 1, "it is on its way"
    started[0].code = 0
    api.recover(settings)
    assert len(started) == 2


def test_recover_sees_to_an_ended_run_that_mlflow_was_not_told_of(settings: Settings, started: list[Child]) -> None:
    prepare(settings)
    queue.add(settings, [NewJob("j", "run", "title", "cpu:0", {}, "v")])
    (job,) = queue.select(settings)
    queue.end(settings, job, "FAILED", settled=False)
    api.recover(settings)
    assert len(started) == 1


def test_a_supervisor_waits_until_it_can_open_the_queue(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locked for a while, or on a full disk; nothing is lost, so it tries again."""
    prepare(settings)
    real, refused = supervisor.kept_open, iter([True, True])

    def opened(given: Settings) -> AbstractContextManager[None]:
        if next(refused, False):
            raise StorageError("the queue is locked by another program")
        return real(given)

    monkeypatch.setattr(supervisor, "kept_open", opened)
    monkeypatch.setattr(supervisor, "IDLE_POLL_SECONDS", 0.0)
    monkeypatch.setattr(supervisor, "IDLE_SECONDS", 0.0)
    assert supervisor.serve(settings) == "idle"
    assert next(refused, "none left") == "none left"

"""A disk or a store that refuses for a while costs no run what it has trained; a worker's work, in this process."""

import json
import os
import sqlite3
from collections.abc import Callable
from types import SimpleNamespace
from unittest.mock import Mock

import pandas as pd
import pytest

from tests import fake_trainer
from tests.helpers_jobs import events, steps_done
from tests.helpers_mlflow import DATASET, make_spec
from tlcore import jobs, tracking, worker
from tlcore.errors import JobError, NotFoundError, RunCancelledError, StorageError
from tlcore.jobs import api, queue, roster, serving, settling
from tlcore.jobs.caretaking import Crew, recover_dead, work_folder
from tlcore.jobs.database import prepare
from tlcore.jobs.processes import code_version, create_time
from tlcore.jobs.queue import ANY_SLOT, Job, NewJob
from tlcore.jobs.roster import Worker
from tlcore.service import comparisons
from tlcore.settings import Settings


class Killed(BaseException):
    """What a killed process looks like from inside."""


@pytest.fixture
def home_of_fakes(tracked: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home whose runs are fake ones; nothing is started, and the dataset is not looked at."""
    from tlcore.datasets import splits, store

    monkeypatch.setattr(api, "ensure_supervisor", lambda settings: None)
    images = pd.DataFrame({"sha256": ["aa", "bb"]})
    dataset = SimpleNamespace(images=images, info=SimpleNamespace(name="fakes"))
    monkeypatch.setattr(store, "load_dataset", lambda *_: dataset)
    monkeypatch.setattr(splits, "make_split", lambda *_: SimpleNamespace(train=(0,), val=(1,)))
    return tracked.model_copy(update={"trainer": "tests.fake_trainer:train"})


def submit(settings: Settings, **overrides: object) -> tuple[str, str]:
    """A comparison of one run; both ids."""
    spec = make_spec(strategies=("from_scratch",))
    comparison_id = tracking.create_comparison(settings, spec, DATASET, "ann")
    run = spec.runs()[0].model_copy(update={"overrides": {"pause": 0, **overrides}})
    run_id = tracking.create_run(settings, comparison_id, run, DATASET, "ann")
    jobs.submit_runs(settings, comparison_id, [(run_id, run)], "cpu")
    return comparison_id, run_id


def claim(settings: Settings) -> tuple[serving.Post, Job]:
    """A worker that is this process, with the next job in its hands."""
    me = Worker(f"me{os.urandom(4).hex()}", "cpu:0", os.getpid(), create_time(os.getpid()), code_version(), stop=False)
    job = queue.claim(settings, me, ("run", "question"))
    assert job is not None
    return serving.Post(settings, me, {"run": worker.do_run}), job


def work(settings: Settings) -> None:
    serving._do(*claim(settings))


def refusing(real: Callable[..., None], calls: set[int]) -> Callable[..., None]:
    """The function, which refuses the calls of these numbers, from 1 on."""
    count = 0

    def call(*arguments: object) -> None:
        nonlocal count
        count += 1
        if count in calls:
            raise StorageError("mlflow.db is locked")
        real(*arguments)

    return call


def metric_steps(settings: Settings, run_id: str) -> list[int]:
    from mlflow.tracking import MlflowClient

    return [m.step for m in MlflowClient(settings.tracking_uri).get_metric_history(run_id, "val/accuracy")]


@pytest.mark.parametrize("refused", [{2, 3}, {4}])
def test_points_that_mlflow_refuses_are_sent_later(
    home_of_fakes: Settings, monkeypatch: pytest.MonkeyPatch, refused: set[int]
) -> None:
    _, run_id = submit(home_of_fakes)
    monkeypatch.setattr(tracking, "log_points", refusing(tracking.log_points, refused))
    work(home_of_fakes)
    record = tracking.load_run(home_of_fakes, run_id)
    assert (record.status, record.error) == ("FINISHED", None)
    assert metric_steps(home_of_fakes, run_id) == [1, 2, 3, 4]
    assert [point.step for point in record.history] == [1, 2, 3, 4]


def test_a_run_whose_store_stays_locked_is_retried_from_its_checkpoint(
    home_of_fakes: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison_id, run_id = submit(home_of_fakes)
    with monkeypatch.context() as locked:
        locked.setattr(tracking, "log_points", refusing(tracking.log_points, set(range(1, 100))))
        work(home_of_fakes)
    failed = tracking.load_comparison(home_of_fakes, comparison_id)
    assert (failed.status, failed.runs[0].status) == ("FAILED", "FAILED")
    assert "is locked" in failed.runs[0].error
    assert "retry the run" in failed.runs[0].error
    assert (work_folder(home_of_fakes, run_id) / "checkpoint.json").exists()

    jobs.retry(home_of_fakes, [run_id])
    waits = tracking.load_comparison(home_of_fakes, comparison_id)
    assert (waits.status, waits.runs[0].status, waits.runs[0].error) == ("RUNNING", "SCHEDULED", None)
    view = jobs.get_job(home_of_fakes, run_id)
    assert (view.status, view.error, view.attempts, view.ended_ms) == ("QUEUED", None, 0, None)

    work(home_of_fakes)
    done = tracking.load_comparison(home_of_fakes, comparison_id)
    assert (done.status, done.runs[0].status) == ("FINISHED", "FINISHED")
    assert metric_steps(home_of_fakes, run_id) == [1, 2, 3, 4]
    assert steps_done(home_of_fakes, run_id) == 4, "nothing was trained twice"
    assert not work_folder(home_of_fakes, run_id).exists()


def test_a_full_disk_keeps_the_checkpoint_and_other_failures_do_not(home_of_fakes: Settings) -> None:
    _, full = submit(home_of_fakes, disk_full=True)
    _, failed = submit(home_of_fakes, fail="the loss is not finite")
    _, finished = submit(home_of_fakes)
    for _ in range(3):
        work(home_of_fakes)
    assert "the disk is full" in jobs.get_job(home_of_fakes, full).error
    assert work_folder(home_of_fakes, full).exists()
    assert jobs.get_job(home_of_fakes, failed).error == "the loss is not finite"
    assert not work_folder(home_of_fakes, failed).exists()
    with pytest.raises(JobError, match="is finished: only a run that failed or was cancelled"):
        jobs.retry(home_of_fakes, [full, finished])
    assert jobs.get_job(home_of_fakes, full).status == "FAILED", "all or none"
    with pytest.raises(NotFoundError, match="there is no run 'nothing' here: `python -m tlcore runs COMPARISON`"):
        jobs.retry(home_of_fakes, ["nothing"])
    jobs.retry(home_of_fakes, [full])
    assert jobs.get_job(home_of_fakes, full).status == "QUEUED"


def test_without_a_checkpoint_a_run_is_tried_again_from_the_start(
    home_of_fakes: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison_id, run_id = submit(home_of_fakes, fail="another program had taken the memory")
    work(home_of_fakes)
    assert jobs.get_job(home_of_fakes, run_id).status == "FAILED"
    jobs.retry(home_of_fakes, [run_id])
    work(home_of_fakes)
    assert steps_done(home_of_fakes, run_id) == 4, "two steps to the failure, twice"
    jobs.retry(home_of_fakes, [run_id])
    jobs.cancel(home_of_fakes, [run_id])
    assert tracking.load_comparison(home_of_fakes, comparison_id).runs[0].status == "KILLED"

    monkeypatch.setattr(fake_trainer, "_misbehave", lambda *_: None)  # what made it fail is mended
    jobs.retry(home_of_fakes, [run_id])
    waits = tracking.load_comparison(home_of_fakes, comparison_id)
    assert (waits.status, waits.runs[0].status, waits.runs[0].history) == ("RUNNING", "SCHEDULED", ())
    assert jobs.get_job(home_of_fakes, run_id).progress == 0
    work(home_of_fakes)
    done = tracking.load_comparison(home_of_fakes, comparison_id)
    assert (done.status, done.runs[0].status) == ("FINISHED", "FINISHED")
    assert [point.step for point in done.runs[0].history] == [1, 2, 3, 4]


def test_a_comparison_stands_for_its_runs_that_failed(home_of_fakes: Settings) -> None:
    comparison_id, failed = submit(home_of_fakes, fail="another program had taken the memory")
    finished_one, _ = submit(home_of_fakes)
    for _ in range(2):
        work(home_of_fakes)
    assert comparisons.retry_runs([comparison_id]) == [failed]
    assert jobs.get_job(home_of_fakes, failed).status == "QUEUED"
    with pytest.raises(JobError, match="has no run that failed or was cancelled"):
        comparisons.retry_runs([finished_one])


def test_a_run_that_finished_as_mlflow_knows_is_not_tried_again(
    home_of_fakes: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, run_id = submit(home_of_fakes)
    with monkeypatch.context() as dying:
        dying.setattr(queue, "end", Mock(side_effect=Killed))
        with pytest.raises(Killed):
            work(home_of_fakes)
    (job,) = queue.select(home_of_fakes, "id = ?", (run_id,))
    queue.end(home_of_fakes, job, "FAILED", error="the worker died", settled=False)
    with pytest.raises(JobError, match="is finished"):
        jobs.retry(home_of_fakes, [run_id])
    assert tracking.run_status(home_of_fakes, run_id) == "FINISHED"


def test_a_locked_queue_loses_news_but_no_run(home_of_fakes: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    _, run_id = submit(home_of_fakes)
    monkeypatch.setattr(queue, "report", refusing(queue.report, set(range(1, 100))))
    work(home_of_fakes)
    assert jobs.get_job(home_of_fakes, run_id).status == "FINISHED"


def test_a_last_sample_that_mlflow_refuses_loses_no_run(
    home_of_fakes: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    def refuse(*_: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    _, run_id = submit(home_of_fakes)
    monkeypatch.setattr(SystemMetricsMonitor, "publish_metrics", refuse)
    work(home_of_fakes)
    assert tracking.load_run(home_of_fakes, run_id).status == "FINISHED"


def test_a_worker_that_is_asked_to_end_gives_its_run_back_though_mlflow_is_locked(
    home_of_fakes: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_: serving.Assignment) -> None:
        raise RunCancelledError("terminated")

    _, run_id = submit(home_of_fakes)
    monkeypatch.setattr(tracking, "reschedule_run", refusing(tracking.reschedule_run, {1}))
    post, job = claim(home_of_fakes)
    serving._do(serving.Post(home_of_fakes, post.me, {"run": stop}), job)
    view = jobs.get_job(home_of_fakes, run_id)
    assert (view.status, view.attempts) == ("QUEUED", 0)


def test_a_run_that_finished_before_its_worker_died_has_finished(
    home_of_fakes: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> bool:
        raise Killed

    comparison_id, run_id = submit(home_of_fakes)
    queue.release(home_of_fakes, claim(home_of_fakes)[1], counts=True)
    with monkeypatch.context() as between:
        between.setattr(queue, "end", die)
        with pytest.raises(Killed):
            work(home_of_fakes)
    assert roster.workers(home_of_fakes) == [], "the worker is gone"
    recover_dead(Crew(home_of_fakes))
    assert not jobs.is_settled(home_of_fakes, comparison_id), "nobody believes the failure yet"
    settling.settle(home_of_fakes)
    view = jobs.get_job(home_of_fakes, run_id)
    assert (view.status, view.error, view.progress, view.settled) == ("FINISHED", None, 1.0, True)
    record = tracking.load_comparison(home_of_fakes, comparison_id)
    assert (record.status, record.runs[0].status, record.runs[0].error) == ("FINISHED", "FINISHED", None)
    assert events(home_of_fakes, [run_id])[-1]["event"] == "end"


def test_a_question_leaves_no_log(home_of_fakes: Settings) -> None:
    prepare(home_of_fakes)
    queue.add(home_of_fakes, [NewJob("q", "question", "devices", ANY_SLOT, {}, code_version())])
    post, job = claim(home_of_fakes)
    serving._do(serving.Post(home_of_fakes, post.me, {"question": lambda _: {"ok": True}}), job)
    (row,) = queue.select(home_of_fakes)
    assert (row.status, json.dumps(row.result)) == ("FINISHED", '{"ok": true}')
    assert not (home_of_fakes.jobs / "logs" / "q.log").exists()

"""The queue's rules, without processes."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tlcore.errors import StorageError
from tlcore.jobs import api, database, queue, removing, roster, serving
from tlcore.jobs.database import prepare, queue_path
from tlcore.jobs.queue import ANY_SLOT, Job, NewJob
from tlcore.jobs.roster import Worker
from tlcore.settings import Settings

RUNS = ("run", "question")


@pytest.fixture
def ready(settings: Settings) -> Settings:
    prepare(settings)
    return settings


def worker(name: str = "w", slot: str = "cpu:0") -> Worker:
    return Worker(name, slot, pid=1, create_time=0.0, code_version="v", stop=False)


def put(settings: Settings, *ids: str, kind: str = "run", slot: str = "cpu:0") -> None:
    queue.add(settings, [NewJob(i, kind, f"job {i}", slot, {"of": i}, "v", "c") for i in ids])


def take(settings: Settings, name: str = "w", slot: str = "cpu:0") -> Job:
    job = queue.claim(settings, worker(name, slot), RUNS)
    assert job is not None
    return job


def test_jobs_are_taken_in_order_and_only_by_their_slot(ready: Settings) -> None:
    put(ready, "a", "b")
    put(ready, "c", slot="cuda:1")
    assert queue.claim(ready, worker(slot="cuda:0"), RUNS) is None
    assert [take(ready).id, take(ready).id] == ["a", "b"]
    assert queue.claim(ready, worker(), RUNS) is None
    taken = take(ready, slot="cuda:1")
    assert (taken.id, taken.payload, taken.attempts, taken.status) == ("c", {"of": "c"}, 1, "RUNNING")


def test_a_question_comes_first_and_not_to_an_import_worker(ready: Settings) -> None:
    put(ready, "a")
    put(ready, "q", kind="question", slot=ANY_SLOT)
    assert queue.claim(ready, worker(slot="import:0"), ("import",)) is None
    assert take(ready).id == "q"


def test_a_queued_question_comes_before_waiting_runs_and_after_one_that_holds_up_a_page(ready: Settings) -> None:
    put(ready, "a")
    put(ready, "long", kind="question", slot="cpu:0")
    put(ready, "short", kind="question", slot=ANY_SLOT)
    assert [take(ready).id for _ in range(3)] == ["short", "long", "a"]


def test_answers_are_forgotten_after_a_week_and_nothing_else(ready: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    put(ready, "old", "open", kind="question")
    put(ready, "run")
    for name in ("old", "run"):
        (job,) = queue.select(ready, "id = ?", (name,))
        assert queue.end(ready, job, "FINISHED")
    now = database.now_ms()
    week = 7 * 24 * 3_600_000
    monkeypatch.setattr(removing, "now_ms", lambda: now + week - 60_000)
    assert removing.forget_answers(ready) == 0
    monkeypatch.setattr(removing, "now_ms", lambda: now + week + 60_000)
    assert removing.forget_answers(ready) == 1
    assert [job.id for job in queue.select(ready)] == ["open", "run"]


def test_two_workers_that_claim_at_once_never_get_the_same_job(ready: Settings) -> None:
    put(ready, *map(str, range(20)))
    taken: list[str] = []

    def claim_all(name: str) -> None:
        while (job := queue.claim(ready, worker(name), RUNS)) is not None:
            taken.append(job.id)

    threads = [threading.Thread(target=claim_all, args=(f"w{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken, key=int) == [str(i) for i in range(20)]


def test_a_released_job_keeps_its_place(ready: Settings) -> None:
    put(ready, "a", "b")
    first = take(ready)
    assert queue.release(ready, first, counts=True)
    again = take(ready, "w2")
    assert (again.id, again.attempts) == ("a", 2)
    assert queue.release(ready, again, counts=False)
    assert take(ready, "w3").attempts == 2


def test_a_worker_that_lost_its_job_can_neither_end_nor_report_it(ready: Settings) -> None:
    put(ready, "a")
    lost = take(ready, "old")
    queue.release(ready, lost, counts=True)
    held = take(ready, "new")
    assert not queue.is_wanted(ready, lost)
    assert queue.held(ready, lost) is None
    assert not queue.end(ready, lost, "FINISHED")
    queue.report(ready, lost, 0.9, "ghost")
    (row,) = queue.select(ready)
    assert (row.status, row.worker, row.progress) == ("RUNNING", "new", 0.0)
    assert queue.end(ready, held, "FINISHED", result="x")
    (row,) = queue.select(ready)
    assert (row.status, row.result, row.progress) == ("FINISHED", "x", 1.0)


def test_cancel_ends_waiting_jobs_marks_running_ones_and_leaves_ended_ones(ready: Settings) -> None:
    put(ready, "ended", "running", "waiting")
    queue.end(ready, take(ready), "FINISHED")
    running = take(ready)
    queue.request_cancel(ready, ["ended", "running", "waiting"])
    rows = {job.id: job for job in queue.select(ready)}
    assert (rows["ended"].status, rows["ended"].cancel_ms) == ("FINISHED", None)
    assert rows["running"].cancel_ms is not None
    assert not queue.is_wanted(ready, running)
    assert (rows["waiting"].status, rows["waiting"].settled) == ("CANCELLED", False)
    assert [job.id for job in queue.unsettled(ready)] == ["waiting"]
    queue.mark_settled(ready, ["waiting"])
    assert queue.unsettled(ready) == []


def test_a_question_that_nobody_took_can_be_taken_back(ready: Settings) -> None:
    put(ready, "q", "r", kind="question", slot=ANY_SLOT)
    assert take(ready).id == "q"
    assert not removing.take_back(ready, "q")
    assert removing.take_back(ready, "r")
    assert queue.claim(ready, worker(), RUNS) is None


def test_time_left_follows_the_pace_of_the_present_attempt(ready: Settings) -> None:
    put(ready, "a")
    job = take(ready)
    assert api.seconds_left(job, 0) is None
    queue.report(ready, job, 0.0, "preparing")
    queue.report(ready, job, 0.4, "goes on from its checkpoint")
    (row,) = queue.select(ready)
    assert row.attempt_ms is not None
    assert api.seconds_left(row, row.attempt_ms + 1_000) is None
    queue.report(ready, job, 0.6, "further")
    (row,) = queue.select(ready)
    assert api.seconds_left(row, row.attempt_ms + 10_000) == pytest.approx(20.0)


def test_a_worker_is_told_to_stop_when_asked_or_forgotten(ready: Settings) -> None:
    roster.register(ready, worker())
    assert not roster.must_stop(ready, "w")
    roster.ask_to_stop(ready, "w")
    assert roster.must_stop(ready, "w")
    roster.unregister(ready, "w")
    assert roster.must_stop(ready, "w")
    assert roster.workers(ready) == []


def test_the_files_tell_of_each_change_and_of_no_look(ready: Settings) -> None:
    before = database.written(ready)
    queue.waiting(ready, "cpu:0", RUNS)
    queue.open_jobs(ready)
    assert database.written(ready) == before
    put(ready, "a")
    added = database.written(ready)
    assert added != before
    time.sleep(0.05)  # a disk's clock may tick 25 times a second
    take(ready)
    assert database.written(ready) != added


def test_a_worker_that_waits_is_woken_by_a_new_job(ready: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "POLL_SECONDS", 3600.0)
    waits = threading.Thread(target=serving._await_news, args=(ready, database.written(ready)), daemon=True)
    waits.start()
    waits.join(0.1)
    assert waits.is_alive()
    put(ready, "a")
    waits.join(60)
    assert not waits.is_alive()


def test_a_queue_that_is_gone_or_damaged_is_a_clear_error(settings: Settings) -> None:
    with pytest.raises(StorageError, match="moved or removed"):
        queue.open_jobs(settings)
    queue_path(settings).parent.mkdir(parents=True)
    queue_path(settings).write_bytes(b"nonsense" * 1000)
    with pytest.raises(StorageError, match="damaged"):
        queue.open_jobs(settings)


def test_views_of_an_empty_home_are_empty_and_make_nothing(settings: Settings) -> None:
    assert api.jobs_of(settings, "c") == []
    assert api.recent(settings) == []
    assert api.overview(settings).queued == 0
    assert api.log_tail(settings, "x") == ""
    api.recover(settings)
    assert not settings.root.exists()


def test_the_overview_counts_jobs_but_not_questions(ready: Settings) -> None:
    put(ready, "a", "b", "c")
    put(ready, "q", kind="question", slot=ANY_SLOT)
    queue.claim(ready, worker(), ("run",))
    seen = api.overview(ready)
    assert (seen.queued, seen.running, seen.workers, seen.supervisor_alive) == (2, 1, (), False)
    assert [job.id for job in api.recent(ready, 2)] == ["c", "b"]
    assert not api.is_settled(ready, "c")


@pytest.mark.parametrize(("device", "slot"), [("cpu", "cpu:0"), ("cuda", "cuda:0"), ("cuda:3", "cuda:3")])
def test_slots_of_devices(device: str, slot: str) -> None:
    assert api.slot_of(device) == slot


def test_log_tail_cannot_leave_the_log_folder(ready: Settings, tmp_path: Path) -> None:
    (ready.root / "secret.log").write_text("secret")
    (ready.jobs / "logs" / "a.log").write_text("one\ntwo\nthree\n")
    assert api.log_tail(ready, "a", 2) == "two\nthree"
    assert api.log_tail(ready, "../../secret") == ""


def test_imports_are_called_after_their_file_without_the_key_of_an_address(
    ready: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "ensure_supervisor", lambda settings: None)
    sources = (Path("/data/birds.zip"), "https://example.org/v1/birds.zip?token=secret", "torchvision:MNIST")
    ids = [api.submit_import(ready, source, None) for source in sources]
    assert [job.title for job in api.open_imports(ready)] == [
        "Import birds.zip", "Import example.org/v1/birds.zip", "Import torchvision:MNIST",
    ]  # fmt: skip
    assert [job.payload["path"] for job in queue.select(ready)] == [str(source) for source in sources]
    api.cancel(ready, ids[:1])
    put(ready, "a")
    assert [job.id for job in api.open_imports(ready)] == ids[1:]


def test_a_queue_that_is_kept_open_is_not_put_in_order_as_another_connection_closes(ready: Settings) -> None:
    log = queue_path(ready).with_name("queue.db-wal")
    put(ready, "a")
    assert not log.exists()
    with database.kept_open(ready):
        put(ready, "b")
        size = log.stat().st_size
        put(ready, "c")
        assert 0 < size < log.stat().st_size
        with database.reading(ready) as other:  # it is no reader that nobody can get past
            assert tuple(other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()) == (0, 0, 0)
    assert not log.exists()
    assert [take(ready).id for _ in range(3)] == ["a", "b", "c"]


def test_the_log_of_a_queue_that_was_removed_is_not_taken_for_a_new_ones(ready: Settings) -> None:
    path = queue_path(ready)
    with database.kept_open(ready):
        put(ready, "a")
        path.unlink()
        database.prepare(ready)
        put(ready, "b")
    assert [job.id for job in queue.select(ready)] == ["b"]
    with database.reading(ready) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_all_but_news_of_progress_outlives_a_loss_of_power(ready: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's `synchronous`: 2 waits for the disk at the end of a transaction, 1 does not."""
    real, seen = database.writing, []

    @contextmanager
    def watched(settings: Settings, **given: bool) -> Iterator[sqlite3.Connection]:
        with real(settings, **given) as connection:
            seen.append(connection.execute("PRAGMA synchronous").fetchone()[0])
            yield connection

    for module in (queue, roster, removing):
        monkeypatch.setattr(module, "writing", watched)
    put(ready, "a", "b")
    assert seen == [2]
    seen.clear()
    job = take(ready)
    queue.report(ready, job, 0.5, "step 1")
    assert seen == [2, 1]
    seen.clear()
    roster.register(ready, worker())
    queue.request_cancel(ready, ["b"])
    queue.release(ready, job, counts=False)
    job = take(ready)
    queue.end(ready, job, "FAILED")
    queue.mark_settled(ready, ["a"])
    queue.requeue(ready, "a", "v")
    queue.acquit(ready, "a")
    removing.take_back(ready, "a")
    removing.forget(ready, "b")
    removing.forget_answers(ready)
    roster.ask_to_stop(ready, "w")
    roster.unregister(ready, "w")
    assert seen == [2] * 13

"""What happens to the jobs of dead workers; and who counts as dead."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tlcore import errors, jobs
from tlcore.errors import JobError, SpecError, StorageError
from tlcore.jobs import api, caretaking, questions, queue, removing, roster, serving, settling
from tlcore.jobs.caretaking import Crew, recover_dead, worker_log_name
from tlcore.jobs.database import prepare
from tlcore.jobs.processes import code_version, create_time, is_alive, kill_group
from tlcore.jobs.queue import NewJob
from tlcore.jobs.roster import Worker
from tlcore.jobs.supervisor import Shift, _round
from tlcore.settings import Settings, child_environment


@pytest.fixture
def ready(settings: Settings) -> Settings:
    prepare(settings)
    return settings


def claimed_by_dead_worker(settings: Settings, kind: str = "run") -> queue.Job:
    """A job in the hands of a worker whose process has ended and whose pid is nobody's."""
    process = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    process.wait()
    dead = Worker("dead", "cpu:0", process.pid, 1.0, "v", stop=False)
    roster.register(settings, dead)
    queue.add(settings, [NewJob("j", kind, "title", "cpu:0", {"path": "x"}, "v")])
    job = queue.claim(settings, dead, (kind,))
    assert job is not None
    return job


def test_a_dead_workers_run_goes_back_once(ready: Settings) -> None:
    claimed_by_dead_worker(ready)
    (ready.jobs / "runs" / "j").mkdir(parents=True)
    recover_dead(Crew(ready))
    (row,) = queue.select(ready)
    assert (row.status, row.attempts, row.worker) == ("QUEUED", 1, None)
    assert (ready.jobs / "runs" / "j").exists(), "the checkpoint is needed"
    assert roster.workers(ready) == []
    queue.claim(ready, Worker("also dead", "cpu:0", 1, 0.0, "v", stop=False), ("run",))
    recover_dead(Crew(ready))
    (row,) = queue.select(ready)
    assert (row.status, row.settled) == ("FAILED", False)
    assert "died twice" in (row.error or "")
    assert not (ready.jobs / "runs" / "j").exists()


def test_a_cancelled_run_of_a_dead_worker_is_cancelled(ready: Settings) -> None:
    job = claimed_by_dead_worker(ready)
    queue.request_cancel(ready, [job.id])
    recover_dead(Crew(ready))
    assert [row.status for row in queue.select(ready)] == ["CANCELLED"]


def test_a_question_of_a_dead_worker_has_no_second_try(ready: Settings) -> None:
    claimed_by_dead_worker(ready, "question")
    recover_dead(Crew(ready))
    (row,) = queue.select(ready)
    assert (row.status, row.settled) == ("FAILED", True)
    log = ready.jobs / "logs" / worker_log_name(row.slot)
    assert str(log) in (row.error or ""), "a question has no log of its own"


def test_the_supervisor_forgets_old_answers_once_an_hour(ready: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Settings] = []
    monkeypatch.setattr(removing, "forget_answers", lambda settings: looks.append(settings) or 0)
    shift = Shift(Crew(ready), "v", 0.0, last_reconciled=time.monotonic())
    _round(shift)
    _round(shift)
    assert looks == [ready]
    shift.crew.last_forgot -= 3700
    _round(shift)
    assert looks == [ready, ready]


def test_the_job_of_a_living_worker_is_left_alone(ready: Settings) -> None:
    me = Worker("me", "cpu:0", os.getpid(), create_time(os.getpid()), "v", stop=False)
    roster.register(ready, me)
    queue.add(ready, [NewJob("j", "run", "title", "cpu:0", {}, "v")])
    queue.claim(ready, me, ("run",))
    recover_dead(Crew(ready))
    assert [row.status for row in queue.select(ready)] == ["RUNNING"]
    assert [worker.id for worker in roster.live_workers(ready)] == ["me"]


def interleave(
    monkeypatch: pytest.MonkeyPatch,
    before: Callable[[], object] = lambda: None,
    after: Callable[[], object] = lambda: None,
) -> None:
    """Let something happen just before or after the supervisor reads the roster."""
    real = roster.workers

    def read(settings: Settings) -> list[Worker]:
        before()
        found = real(settings)
        after()
        return found

    monkeypatch.setattr(roster, "workers", read)


def test_a_worker_that_takes_its_first_job_while_the_supervisor_looks_keeps_it(
    ready: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = Worker("me", "cpu:0", os.getpid(), create_time(os.getpid()), "v", stop=False)
    queue.add(ready, [NewJob("j", "run", "title", "cpu:0", {}, "v")])

    def begin() -> None:
        roster.register(ready, me)
        assert queue.claim(ready, me, ("run",)) is not None

    interleave(monkeypatch, after=begin)
    recover_dead(Crew(ready))
    assert [(row.status, row.worker) for row in queue.select(ready)] == [("RUNNING", "me")]


def test_a_run_that_its_worker_gives_back_while_the_supervisor_looks_keeps_its_checkpoint(
    ready: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = Worker("me", "cpu:0", os.getpid(), create_time(os.getpid()), "v", stop=False)
    queue.add(ready, [NewJob("j", "run", "title", "cpu:0", {}, "v")])
    first = queue.claim(ready, me, ("run",))
    assert first is not None
    queue.release(ready, first, counts=True)
    second = queue.claim(ready, me, ("run",))
    assert second is not None
    (ready.jobs / "runs" / "j").mkdir(parents=True)
    interleave(monkeypatch, before=lambda: queue.release(ready, second, counts=False))
    recover_dead(Crew(ready))
    assert [row.status for row in queue.select(ready)] == ["QUEUED"]
    assert (ready.jobs / "runs" / "j").exists()


def test_a_pid_that_somebody_else_has_now_is_neither_alive_nor_killed() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    created = create_time(process.pid)
    assert is_alive(process.pid, created)
    assert not is_alive(process.pid, created - 100)
    kill_group(process.pid, created - 100)
    assert process.poll() is None
    kill_group(process.pid, created)
    assert process.wait(30) < 0
    assert not is_alive(process.pid, created)


def test_a_zombie_is_dead() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    created = create_time(process.pid)
    process.communicate(b"\n")
    assert not is_alive(process.pid, created)


def test_child_processes_see_the_same_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = settings.model_copy(update={"worker_idle_seconds": 5.0, "trainer": "a:b"})
    for name, value in child_environment(changed).items():
        monkeypatch.setenv(name, value)
    assert Settings() == changed


def test_a_question_without_workers_is_answered_by_a_process_of_its_own(settings: Settings) -> None:
    with pytest.raises(SpecError, match="no_such_question"):
        jobs.ask(settings, {"question": "no_such_question"})


def test_errors_come_back_as_their_own_class() -> None:
    error = questions._error({"ok": False, "error": "no", "kind": "WeightsError"})
    assert type(error) is errors.WeightsError
    assert str(error) == "no"
    for stray in ("SystemExit", "Exception", None):
        assert type(questions._error({"ok": False, "error": "no", "kind": stray})) is JobError


def test_the_code_version_is_the_same_for_the_same_code() -> None:
    assert code_version() == code_version()


def test_a_stale_worker_leaves_for_newer_code_and_a_fresh_one_takes_an_older_submitters_job(
    ready: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "code_version", lambda: "on disk")
    queue.add(ready, [NewJob("j", "run", "title", "cpu:0", {}, "of the submitter")])

    def reason(own: str) -> str | None:
        me = Worker(own, "cpu:0", os.getpid(), 0.0, own, stop=False)
        roster.register(ready, me)
        return serving._reason_to_end(serving.Post(ready, me, {"run": lambda _: None}), time.monotonic())

    assert reason("older") == "the code has changed"
    assert reason("on disk") is None


def test_a_cancel_that_mlflow_refuses_still_sees_to_the_supervisor(
    ready: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def refuse(settings: Settings) -> None:
        raise StorageError("locked")

    monkeypatch.setattr(api, "ensure_supervisor", seen.append)
    monkeypatch.setattr(settling, "settle", refuse)
    queue.add(ready, [NewJob("j", "run", "title", "cpu:0", {}, "v")])
    with pytest.raises(StorageError, match="locked"):
        jobs.cancel(ready, ["j"])
    assert seen == [ready]
    assert [(row.status, row.settled) for row in queue.select(ready)] == [("CANCELLED", False)]


def test_an_upload_whose_waiting_import_is_cancelled_is_removed(
    ready: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "ensure_supervisor", lambda settings: None)
    (ready.jobs / "uploads" / "x").mkdir(parents=True)
    uploaded, elsewhere = ready.jobs / "uploads" / "a.zip", tmp_path / "b.zip"
    in_folder = ready.jobs / "uploads" / "x" / "a.zip"
    for file in (uploaded, in_folder, elsewhere):
        file.write_bytes(b"zip")
        jobs.cancel(ready, [jobs.submit_import(ready, file, None)])
    assert not any((ready.jobs / "uploads").iterdir()), "a folder of its own goes too"
    assert elsewhere.exists(), "what was not uploaded is somebody's own"
    assert [row.status for row in queue.select(ready)] == ["CANCELLED"] * 3


@pytest.mark.parametrize("place", ["TORCH_HOME", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"])
def test_a_worker_that_looks_for_weights_elsewhere_is_not_asked(
    ready: Settings, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """It would tell what is in the old place."""
    me = os.getpid()
    roster.register(ready, Worker("w", "cpu:0", me, create_time(me), code_version(), stop=False))
    assert questions._idle_worker(ready) is not None
    monkeypatch.setenv(place, "/elsewhere")
    assert questions._idle_worker(ready) is None


def test_uploads_of_imports_that_no_worker_can_do_are_removed_and_checkpoints_stay(
    ready: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "ensure_supervisor", lambda settings: None)
    uploaded = ready.jobs / "uploads" / "x" / "a.zip"
    uploaded.parent.mkdir(parents=True)
    uploaded.write_bytes(b"zip")
    job_id = jobs.submit_import(ready, uploaded, None)
    queue.add(ready, [NewJob("run", "run", "title", api.IMPORT_SLOT, {}, "v")])
    caretaking.work_folder(ready, "run").mkdir(parents=True)
    crew = caretaking.Crew(ready, failures={api.IMPORT_SLOT: caretaking.MAX_START_FAILURES})
    caretaking._give_up(crew, api.IMPORT_SLOT)
    assert jobs.get_job(ready, job_id).status == "FAILED"
    assert not uploaded.parent.exists()
    assert caretaking.work_folder(ready, "run").exists(), "a run may be retried"


def test_nothing_but_the_upload_itself_is_removed(ready: Settings) -> None:
    uploads = ready.jobs / "uploads"
    (uploads / "a folder").mkdir(parents=True)
    for path in (
        uploads / ".." / "a.zip",
        uploads / "a folder",
        uploads,
        ready.jobs / "a.zip",
        Path("https://h/a.zip"),
    ):
        removing.remove_upload(uploads, path)
    assert (uploads / "a folder").is_dir()
    assert queue.select(ready) == []


def test_old_uploads_that_no_open_import_needs_are_swept(ready: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "ensure_supervisor", lambda settings: None)
    uploads = ready.jobs / "uploads"
    for name in ("old", "fresh", "needed", "ended"):
        (uploads / name).mkdir(parents=True)
        (uploads / name / "a.zip").write_bytes(b"zip")
    (uploads / "old.zip").write_bytes(b"zip")
    jobs.submit_import(ready, uploads / "needed" / "a.zip", None)
    ended = jobs.submit_import(ready, uploads / "ended" / "a.zip", None)
    (job,) = queue.select(ready, "id = ?", (ended,))
    assert queue.end(ready, job, "FAILED", error="by a hard stop")
    for name in ("old", "needed", "ended", "old.zip"):
        os.utime(uploads / name, (time.time() - 90_000,) * 2)
    caretaking.forget_old(caretaking.Crew(ready))
    assert sorted(path.name for path in uploads.iterdir()) == ["fresh", "needed"]


@pytest.mark.parametrize("kept_for", ["a day", "longer"])
def test_without_a_supervisor_a_look_at_a_job_sweeps_too(
    ready: Settings, monkeypatch: pytest.MonkeyPatch, kept_for: str
) -> None:
    monkeypatch.setattr(api, "ensure_supervisor", lambda settings: None)
    job_id = jobs.submit_zip(ready, "d", "name", "stamp")
    (job,) = queue.select(ready)
    folder = jobs.zip_folder(ready, job_id)
    folder.mkdir(parents=True)
    (folder / "d.zip").write_bytes(b"zip")
    queue.end(ready, job, "FINISHED", result=str(folder / "d.zip"))
    assert jobs.zip_bytes(ready, "d") == 3
    assert jobs.zip_bytes(ready, "other") == 0
    assert jobs.submit_zip(ready, "d", "name", "stamp") == job_id, "it is taken again"
    assert jobs.submit_zip(ready, "d", "name", "of another card") != job_id
    assert jobs.submit_zip(ready, "other", "name", "stamp") != job_id
    if kept_for == "longer":
        monkeypatch.setattr(removing, "ZIP_MS", -1)
    jobs.recover(ready)
    assert folder.exists() == (kept_for == "a day")
    assert (jobs.submit_zip(ready, "d", "name", "stamp") == job_id) == (kept_for == "a day")


def test_what_uses_a_dataset_is_open_jobs_of_its_own(ready: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "ensure_supervisor", lambda settings: None)
    wanted = [jobs.submit_zip(ready, "d", "name"), jobs.submit_version(ready, "d", "name", [])]
    queue.add(ready, [NewJob("r", "run", "a run", "cpu:0", {"dataset_id": "d"}, "v")])
    queue.add(ready, [NewJob("q", "question", "asked", "", {"dataset_id": "d"}, "v")])
    jobs.submit_zip(ready, "other", "name")
    ended = jobs.submit_version(ready, "d", "name", [])
    jobs.cancel(ready, [ended])
    assert [job.id for job in jobs.users_of(ready, "d")] == [*wanted, "r"]

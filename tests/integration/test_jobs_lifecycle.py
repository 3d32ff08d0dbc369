"""Jobs through real processes: supervisor, workers, MLflow; with a trainer that needs no torch."""

import os
import shutil
import signal
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.helpers import make_image_folder
from tests.helpers_jobs import (
    ended,
    events,
    job,
    steps_done,
    stop_everything,
    submit_fake,
    supervisor_pid,
    supervisors,
    until,
)
from tests.helpers_mlflow import copy_template
from tests.web import slow, web_server
from tlcore import jobs, tracking
from tlcore.datasets.intake import add_dataset
from tlcore.datasets.store import load_info
from tlcore.datasets.versions import RenameClass
from tlcore.jobs import removing, roster, settling
from tlcore.jobs.database import queue_path, writing
from tlcore.jobs.processes import start_detached
from tlcore.jobs.supervision import is_supervised
from tlcore.service import comparisons
from tlcore.settings import Settings, child_environment

SLOW = {"steps": 400, "pause": 0.05}


def make_home(folder: Path, template: Path) -> Settings:
    """A home with a store, whose workers use the fake trainer."""
    made = Settings(home=folder, trainer="tests.fake_trainer:train", cancel_grace_seconds=1, allow_local_addresses=True)
    copy_template(template, made)
    return made


@pytest.fixture(scope="module")
def shared(mlflow_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """One home for most tests, since starting a supervisor and a worker takes seconds; each looks at its own runs."""
    made = make_home(tmp_path_factory.mktemp("shared") / "home", mlflow_template)
    yield made
    stop_everything(made)


@pytest.fixture
def own(home: Path, mlflow_template: Path) -> Iterator[Settings]:
    """A home for a test that ends it, or that counts supervisors."""
    made = make_home(home, mlflow_template)
    yield made
    stop_everything(made)


@pytest.fixture(scope="module")
def dataset_id(shared: Settings, tmp_path_factory: pytest.TempPathFactory) -> str:
    return add_dataset(make_image_folder(tmp_path_factory.mktemp("pictures")), "tiny", shared).id


def worker_pid(settings: Settings, slot: str = "cpu:0") -> int:
    (worker,) = [worker for worker in roster.live_workers(settings) if worker.slot == slot]
    return worker.pid


def has_left(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_two_runs_finish_one_after_the_other_and_close_their_comparison(shared: Settings, dataset_id: str) -> None:
    comparison_id, runs = submit_fake(shared, dataset_id, [{}, {}])
    until(ended(shared, comparison_id), "both runs have ended")
    record = tracking.load_comparison(shared, comparison_id)
    assert record.status == "FINISHED"
    assert [run.status for run in record.runs] == ["FINISHED", "FINISHED"]
    assert [len(run.history) for run in record.runs] == [4, 4]
    assert [job(shared, run).progress for run in runs] == [1.0, 1.0]
    noted = events(shared, runs)
    seen = [(e["run"], e["event"]) for e in noted if e["event"] in {"begin", "end"}]
    assert seen == [(runs[0], "begin"), (runs[0], "end"), (runs[1], "begin"), (runs[1], "end")]
    assert len({e["pid"] for e in noted}) == 1, "one warm worker serves both"
    assert not any((shared.jobs / "runs").iterdir()), "work folders are removed"
    assert "attempt 1" in jobs.log_tail(shared, runs[0])


def test_a_worker_gives_the_memory_of_a_run_back(shared: Settings, dataset_id: str) -> None:
    """It keeps what a run gives back while the run goes on, for the run itself."""
    comparison_id, _ = submit_fake(shared, dataset_id, [{}])
    until(ended(shared, comparison_id), "a run without memory has ended")
    worker = psutil.Process(worker_pid(shared))
    before = worker.memory_info().rss
    comparison_id, _ = submit_fake(shared, dataset_id, [{"megabytes": 400}])
    until(ended(shared, comparison_id), "a run that used memory has ended")
    assert worker_pid(shared) == worker.pid
    until(lambda: worker.memory_info().rss < before + 100e6, "its memory is given back")


def test_a_killed_worker_is_resumed_once_from_its_checkpoint(shared: Settings, dataset_id: str) -> None:
    comparison_id, (run,) = submit_fake(shared, dataset_id, [{"steps": 30, "pause": 0.1}])
    until(lambda: steps_done(shared, run) >= 3, "three steps are done")
    os.kill(worker_pid(shared), signal.SIGKILL)
    until(ended(shared, comparison_id), "the run has ended")
    record = tracking.load_run(shared, run)
    assert (record.status, job(shared, run).attempts) == ("FINISHED", 2)
    assert [point.step for point in record.history] == list(range(1, 31))
    assert steps_done(shared, run) <= 31, "it went on from the checkpoint instead of starting again"


def test_a_run_that_kills_its_worker_twice_fails(shared: Settings, dataset_id: str) -> None:
    comparison_id, (bad, good) = submit_fake(shared, dataset_id, [{"die_times": 9}, {}])
    until(ended(shared, comparison_id), "both have ended")
    record = tracking.load_run(shared, bad)
    assert record.status == "FAILED"
    assert "died twice" in (record.error or "")
    assert tracking.load_run(shared, good).status == "FINISHED"
    assert tracking.load_comparison(shared, comparison_id).status == "FAILED"


def test_who_watches_brings_a_run_back_whose_supervisor_and_worker_were_killed(
    shared: Settings, dataset_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in child_environment(shared).items():
        monkeypatch.setenv(name, value)
    comparison_id, (run,) = submit_fake(shared, dataset_id, [{"steps": 30, "pause": 0.1}])
    until(lambda: steps_done(shared, run) >= 3, "three steps are done")
    for pid in (supervisor_pid(shared), worker_pid(shared)):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not is_supervised(shared), "the supervisor is dead")
    watched = [view.status for (view,) in comparisons.watch(comparison_id)]
    assert watched[-1] == "FINISHED"
    assert tracking.load_run(shared, run).status == "FINISHED"
    assert job(shared, run).attempts == 2
    assert steps_done(shared, run) <= 31, "it went on from the checkpoint instead of starting again"


def test_a_killed_supervisor_is_replaced_and_the_run_goes_on(shared: Settings, dataset_id: str) -> None:
    comparison_id, (run,) = submit_fake(shared, dataset_id, [{"steps": 40, "pause": 0.1}])
    until(lambda: steps_done(shared, run) >= 1, "the run is under way")
    pid, worker = supervisor_pid(shared), worker_pid(shared)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_supervised(shared), "the supervisor is dead")
    jobs.recover(shared)
    until(lambda: is_supervised(shared), "another one is up")
    assert pid not in supervisors(shared)
    until(ended(shared, comparison_id), "the run has ended")
    assert tracking.load_run(shared, run).status == "FINISHED"
    assert {e["pid"] for e in events(shared, [run])} == {worker}, "the same worker went on"


def test_cancelling_ends_the_running_and_the_waiting_run(shared: Settings, dataset_id: str) -> None:
    comparison_id, (running, waiting) = submit_fake(shared, dataset_id, [SLOW, SLOW])
    until(lambda: steps_done(shared, running) >= 1, "the first run is under way")
    jobs.cancel(shared, [running, waiting])
    assert job(shared, waiting).status == "CANCELLED"
    assert tracking.load_run(shared, waiting).status == "KILLED"
    until(ended(shared, comparison_id), "the running one has ended")
    assert events(shared, [running])[-1]["event"] == "end", "it stopped of itself, at a batch"
    assert steps_done(shared, running) < SLOW["steps"]
    record = tracking.load_comparison(shared, comparison_id)
    assert [run.status for run in record.runs] == ["KILLED", "KILLED"]
    assert record.status == "KILLED"
    assert len(record.runs[0].history) >= 1, "finished epochs are kept"


def test_a_run_that_does_not_stop_loses_its_worker(shared: Settings, dataset_id: str) -> None:
    comparison_id, (deaf, after) = submit_fake(shared, dataset_id, [{**SLOW, "deaf": True}, {}])
    until(lambda: steps_done(shared, deaf) >= 1, "the run is under way")
    jobs.cancel(shared, [deaf])
    until(ended(shared, comparison_id), "both have ended")
    assert tracking.load_run(shared, deaf).status == "KILLED"
    assert tracking.load_run(shared, after).status == "FINISHED"


def test_errors_end_a_run_with_their_message(shared: Settings, dataset_id: str) -> None:
    overrides = [{"fail": "the loss is not finite"}, {"disk_full": True}, {"bug": True}]
    comparison_id, runs = submit_fake(shared, dataset_id, overrides)
    until(ended(shared, comparison_id), "all have ended")
    records = [tracking.load_run(shared, run) for run in runs]
    assert [record.status for record in records] == ["FAILED"] * 3
    assert records[0].error == "the loss is not finite"
    assert "the disk is full: free some space" in records[1].error
    assert records[2].error == "ZeroDivisionError: division by zero"
    assert "Traceback" in jobs.log_tail(shared, runs[2], 200)


def test_a_terminated_worker_hands_its_run_back(shared: Settings, dataset_id: str) -> None:
    comparison_id, (run,) = submit_fake(shared, dataset_id, [{"steps": 30, "pause": 0.1}])
    until(lambda: steps_done(shared, run) >= 2, "the run is under way")
    os.kill(worker_pid(shared), signal.SIGTERM)
    until(ended(shared, comparison_id), "the run has ended")
    assert tracking.load_run(shared, run).status == "FINISHED"
    assert job(shared, run).attempts == 1
    assert len({e["pid"] for e in events(shared, [run])}) == 2


def test_runs_never_share_a_slot_even_with_more_supervisors_and_workers(shared: Settings, dataset_id: str) -> None:
    comparison_id, runs = submit_fake(shared, dataset_id, [{"pause": 0.1}] * 3)
    for arguments in (["tlcore.jobs.supervisor"], *[["tlcore.worker", "--slot", "cpu:0"]] * 2):
        start_detached(shared, arguments, shared.jobs / "logs" / "second.log")
    until(ended(shared, comparison_id), "all have ended")
    running: set[str] = set()
    for event in events(shared, runs):
        if event["event"] == "begin":
            assert not running, f"{event['run']} began while {running} ran"
            running.add(event["run"])
        elif event["event"] == "end":
            running.remove(event["run"])
    assert {event["run"] for event in events(shared, runs)} == set(runs)


def test_runs_that_mlflow_wrongly_holds_for_running_are_corrected(
    shared: Settings, dataset_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison_id, (ended_one, unknown) = submit_fake(shared, dataset_id, [{}, {}])
    until(ended(shared, comparison_id), "both have ended")
    tracking.start_run(shared, ended_one)
    tracking.start_run(shared, unknown)
    removing.forget(shared, unknown)
    settling.sweep(shared)
    assert tracking.load_run(shared, ended_one).status == "FINISHED"
    assert tracking.load_run(shared, unknown).status == "RUNNING", "it may be in the midst of its submission"
    monkeypatch.setattr(settling, "SUBMIT_MS", -1)
    settling.sweep(shared)
    record = tracking.load_comparison(shared, comparison_id)
    assert [run.status for run in record.runs] == ["FINISHED", "FAILED"]
    assert record.status == "FAILED"


def test_an_import_runs_without_torch_and_its_upload_is_removed(shared: Settings, tmp_path: Path) -> None:
    uploads = shared.jobs / "uploads"
    uploads.mkdir(parents=True)
    made = shutil.make_archive(str(uploads / "pictures"), "zip", make_image_folder(tmp_path, ("cats", "dogs")))
    good = jobs.submit_import(shared, Path(made), "pictures")
    bad = jobs.submit_import(shared, tmp_path / "nothing.zip", None)
    until(lambda: job(shared, bad).status not in {"QUEUED", "RUNNING"}, "both imports have ended")
    assert (job(shared, good).status, job(shared, good).error) == ("FINISHED", None)
    assert job(shared, good).result.startswith("pictures-")
    assert not Path(made).exists()
    assert job(shared, bad).status == "FAILED"
    assert "nothing.zip" in job(shared, bad).error
    loaded = {Path(item.path).name for item in psutil.Process(worker_pid(shared, "import:0")).memory_maps()}
    assert loaded
    assert not any(name.startswith("libtorch") for name in loaded)


def leftovers(settings: Settings) -> list[str]:
    return sorted(path.name for path in settings.datasets.glob(".staging-*"))


def bytes_arrived(settings: Settings) -> int:
    return sum(path.stat().st_size for path in settings.datasets.glob(".staging-*/brought/*"))


@pytest.fixture
def stalled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an archive of which the server sends the first bytes, and then nothing."""
    monkeypatch.setenv("no_proxy", "*")
    over = threading.Event()
    with web_server({"/pictures.zip": slow(b"PK\x03\x04" + bytes(20_000), over.wait)}) as root:
        yield f"{root}/pictures.zip"
        over.set()


def test_an_import_is_cancelled_even_while_a_server_says_nothing(own: Settings, stalled: str) -> None:
    job_id = jobs.submit_import(own, stalled, None)
    until(lambda: bytes_arrived(own) > 20_000, "the download is under way")
    assert leftovers(own)
    jobs.cancel(own, [job_id])
    until(lambda: job(own, job_id).status == "CANCELLED", "the import has ended")
    until(lambda: not leftovers(own), "nothing is left")
    assert (own.datasets / ".lock").exists()


def test_an_import_whose_worker_is_killed_twice_fails_and_leaves_nothing(own: Settings, stalled: str) -> None:
    job_id = jobs.submit_import(own, stalled, None)
    for attempt in (1, 2):
        until(lambda n=attempt: job(own, job_id).attempts == n and bytes_arrived(own) > 20_000, "it is under way")
        os.kill(worker_pid(own, "import:0"), signal.SIGKILL)
        until(lambda n=attempt: job(own, job_id).attempts > n or job(own, job_id).status != "RUNNING", "it is noticed")
    until(lambda: job(own, job_id).status == "FAILED", "the import has ended")
    assert "the worker died twice" in (job(own, job_id).error or "")
    until(lambda: not leftovers(own), "nothing is left")


def test_a_version_and_a_zip_are_made_while_an_import_takes_long(own: Settings, stalled: str, tmp_path: Path) -> None:
    info = add_dataset(make_image_folder(tmp_path), "tiny", own)
    long = jobs.submit_import(own, stalled, None)
    edits = [RenameClass(old="ants", new="wasps").model_dump()]
    version = jobs.submit_version(own, info.id, info.name, edits)
    packed = jobs.submit_zip(own, info.id, info.name)
    until(lambda: job(own, packed).status not in {"QUEUED", "RUNNING"}, "both are done")
    assert job(own, long).status in {"QUEUED", "RUNNING"}
    assert (job(own, version).status, job(own, version).error) == ("FINISHED", None)
    made = load_info(str(job(own, version).result), own)
    assert (made.parent, made.classes, job(own, version).dataset_id) == (info.id, ("bees", "wasps"), info.id)
    file = Path(str(job(own, packed).result))
    assert zipfile.is_zipfile(file)
    assert file.parent == jobs.zip_folder(own, packed)
    again = jobs.submit_version(own, info.id, info.name, [RenameClass(old="x", new="y").model_dump()])
    until(lambda: job(own, again).status == "FAILED", "it cannot be done")
    assert "there is no class 'x' to rename" in (job(own, again).error or "")
    removing.forget_zips(own)
    assert file.exists(), "a day has not passed"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(removing, "ZIP_MS", -1)
        removing.forget_zips(own)
    assert not file.parent.exists()
    jobs.cancel(own, [long])


@pytest.mark.parametrize("end", ["cancelled", "killed"])
@pytest.mark.parametrize("kind", ["version", "zip"])
def test_a_version_or_a_zip_that_is_ended_half_way_leaves_nothing(
    own: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, end: str
) -> None:
    """Workers wait half a second at each file."""
    info = add_dataset(make_image_folder(tmp_path), "tiny", own)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(held_back(tmp_path)), os.environ.get("PYTHONPATH", "")]))
    edits = [RenameClass(old="ants", new="wasps").model_dump()]
    if kind == "version":
        job_id = jobs.submit_version(own, info.id, info.name, edits)
    else:
        job_id = jobs.submit_zip(own, info.id, info.name)
    for attempt in (1, 2) if end == "killed" else (1,):
        until(lambda n=attempt: job(own, job_id).attempts == n and under_way(own, kind, job_id), "it is under way")
        if end == "killed":
            os.kill(worker_pid(own, "import:1"), signal.SIGKILL)
            until(lambda n=attempt: job(own, job_id).attempts > n or job(own, job_id).status != "RUNNING", "noticed")
    if end == "cancelled":
        jobs.cancel(own, [job_id])
    state = "FAILED" if end == "killed" else "CANCELLED"
    until(lambda: job(own, job_id).status == state, "it has ended")
    until(lambda: [p.name for p in own.datasets.iterdir() if p.name != ".lock"] == [info.id], "nothing is left")
    until(lambda: not jobs.zip_folder(own, job_id).exists(), "no zip is left")
    if end == "killed":
        assert "the worker died twice" in (job(own, job_id).error or "")
        assert "batch size" not in (job(own, job_id).error or "")


def held_back(folder: Path) -> Path:
    """A folder for PYTHONPATH which makes workers wait before each file of a version or a zip."""
    (folder / "path").mkdir()
    (folder / "path" / "sitecustomize.py").write_text(
        "import os, sys, time\n"
        "if 'tlcore.worker' in ' '.join(sys.orig_argv):\n"
        "    def slowly(event, arguments):\n"
        "        if event == 'os.link' or (event == 'open' and '/files/' in str(arguments[0])):\n"
        "            time.sleep(0.5)\n"
        "    sys.addaudithook(slowly)\n"
    )
    return folder / "path"


def under_way(settings: Settings, kind: str, job_id: str) -> bool:
    """Whether the first file is there."""
    if kind == "version":
        return any(settings.datasets.glob(".staging-*/dataset/files/*/*"))
    return any(path.stat().st_size for path in jobs.zip_folder(settings, job_id).glob(".*"))


def test_everybody_leaves_when_the_home_is_gone(own: Settings, tmp_path: Path) -> None:
    job_id = jobs.submit_import(own, tmp_path / "nothing.zip", None)
    until(lambda: job(own, job_id).status == "FAILED", "the import has ended")
    pids = worker_pid(own, "import:0"), supervisor_pid(own)
    shutil.rmtree(own.root)
    for pid in pids:
        until(lambda pid=pid: has_left(pid), f"process {pid} has left")
    assert not own.root.exists(), "nobody made the home again"


def test_the_supervisor_keeps_the_queue_open(own: Settings) -> None:
    """SQLite removes the log of changes as the last connection closes."""
    log = queue_path(own).with_name("queue.db-wal")

    def left() -> bool:
        with writing(own) as db:
            db.execute("INSERT INTO workers VALUES ('nobody', 'cpu:9', 0, 0, '', 0)")
            db.execute("DELETE FROM workers WHERE id = 'nobody'")
        return log.exists()

    jobs.ensure_supervisor(own)
    until(left, "a supervisor is up")
    for _ in range(30):  # the supervisor itself has a second connection now and then
        time.sleep(0.1)
        assert left()


def test_many_submitters_at_once_start_one_supervisor(own: Settings) -> None:
    threads = [threading.Thread(target=jobs.ensure_supervisor, args=(own,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: is_supervised(own), "a supervisor is up")
    log = own.jobs / "logs" / "supervisor.log"
    until(lambda: "looking after" in log.read_text(), "it says so")
    assert log.read_text().count("looking after") == 1

"""The MLflow store as others see it: read back with MLflow's own client."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.fake_trainer import make_resolved, write_files
from tests.helpers_mlflow import DATASET, make_history, make_outcome, make_spec
from tlcore import tracking
from tlcore.errors import NotFoundError, StorageError
from tlcore.settings import Settings
from tlcore.tracking import sqlite, tags
from tlcore.tracking.store import EXPERIMENT, translated


def client_of(settings: Settings):
    from mlflow.tracking import MlflowClient

    return MlflowClient(settings.tracking_uri)


@pytest.fixture
def comparison(tracked: Settings) -> tuple[str, list[str]]:
    spec = make_spec()
    comparison_id = tracking.create_comparison(tracked, spec, DATASET, "ann")
    runs = [tracking.create_run(tracked, comparison_id, run, DATASET, "ann") for run in spec.runs()]
    return comparison_id, runs


def finish(settings: Settings, run_id: str, tmp_path: Path) -> None:
    work = tmp_path / "work" / run_id
    work.mkdir(parents=True)
    (work / "checkpoint.json").write_text("[" + ",".join(p.model_dump_json() for p in make_history()) + "]")
    write_files(work)
    tracking.start_run(settings, run_id)
    tracking.log_points(settings, run_id, make_history(), 3)
    tracking.log_outcome(settings, run_id, make_outcome(), 1_700_000_002_000, 30)
    tracking.upload_artifacts(settings, run_id, work)
    tracking.end_run(settings, run_id, "FINISHED")


def test_parent_and_children_have_tags_params_status_and_dataset(tracked: Settings, comparison) -> None:
    comparison_id, (first, _) = comparison
    client = client_of(tracked)
    parent, run = client.get_run(comparison_id), client.get_run(first)
    assert client.get_experiment(run.info.experiment_id).name == EXPERIMENT
    assert parent.data.tags[tags.KIND] == "comparison"
    assert run.data.tags[tags.KIND] == "run"
    assert run.data.tags[tags.OWNER] == "ann"
    assert run.data.tags["mlflow.parentRunId"] == comparison_id
    assert run.info.run_name == "from_scratch · test_resnet · seed 0"
    assert run.info.status == "SCHEDULED"
    assert run.data.params["strategy"] == "from_scratch"
    assert run.data.params["budget_epochs"] == "2"
    assert run.data.params["batch_size"] == "default"
    (given,) = run.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("tiny", DATASET.fingerprint[:32])


def test_sending_the_history_again_after_a_resume_makes_no_duplicates(tracked: Settings, comparison) -> None:
    _, (run_id, _) = comparison
    tracking.start_run(tracked, run_id)
    for i in range(3):
        tracking.log_points(tracked, run_id, make_history(i + 1), 1)
    tracking.log_points(tracked, run_id, make_history(3), 3)
    client = client_of(tracked)
    for key in ("epoch", "images_seen", "train_seconds", "train/loss", "train/accuracy", "val/loss", "val/accuracy"):
        assert [m.step for m in client.get_metric_history(run_id, key)] == [10, 20, 30], key
    assert [m.value for m in client.get_metric_history(run_id, "lr/head")] == [0.01] * 3
    assert tracking.load_run(tracked, run_id).history == make_history(3)


def artifact(settings: Settings, run_id: str, name: str) -> Path:
    (found,) = settings.artifacts.rglob(f"{run_id}/artifacts/{name}")
    return found


def test_whoever_sees_a_point_finds_the_file_that_has_it(
    tracked: Settings, comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, (run_id, _) = comparison
    tracking.start_run(tracked, run_id)
    client, seen = tracking.connect(tracked).client, []
    real = client.log_batch

    def look(*arguments, **named) -> None:
        seen.append(len(json.loads(artifact(tracked, run_id, "history.json").read_text())))
        real(*arguments, **named)

    monkeypatch.setattr(client, "log_batch", look)
    for i in range(2):
        tracking.log_points(tracked, run_id, make_history(i + 1), 1)
    assert seen == [1, 2]


@pytest.mark.parametrize("content", [None, "", '[{"step": 1'])
def test_an_unfinished_run_whose_curve_is_absent_or_half_written_has_none_yet(
    tracked: Settings, comparison, content: str | None
) -> None:
    comparison_id, (run_id, _) = comparison
    tracking.start_run(tracked, run_id)
    tracking.log_points(tracked, run_id, make_history(1), 1)
    path = artifact(tracked, run_id, "history.json")
    path.unlink() if content is None else path.write_text(content)
    record = tracking.load_comparison(tracked, comparison_id).runs[0]
    assert (record.status, record.error, record.history) == ("RUNNING", None, ())


@pytest.mark.parametrize("name", ["outcome.json", "history.json", "per_class.json", "resolved.json"])
@pytest.mark.parametrize("content", [None, "{"])
def test_a_run_whose_files_are_broken_does_not_take_down_its_comparison(
    tracked: Settings, comparison, tmp_path: Path, name: str, content: str | None
) -> None:
    comparison_id, runs = comparison
    for run_id in runs:
        tracking.log_resolved(tracked, run_id, make_resolved())
        finish(tracked, run_id, tmp_path)
    path = artifact(tracked, runs[0], name)
    path.unlink() if content is None else path.write_text(content)
    broken, whole = tracking.load_comparison(tracked, comparison_id).runs
    assert (broken.status, broken.outcome) == ("FAILED", None)
    assert "the run is FINISHED, but its files in MLflow cannot be read: " in broken.error
    assert (whole.status, whole.history) == ("FINISHED", make_history())


def test_final_metrics_leave_out_what_does_not_exist(tracked: Settings, comparison, tmp_path: Path) -> None:
    _, (run_id, _) = comparison
    finish(tracked, run_id, tmp_path)
    metrics = client_of(tracked).get_run(run_id).data.metrics
    assert metrics["test/accuracy"] == 0.75
    assert metrics["best/val_accuracy"] == 0.5
    assert metrics["best/train_accuracy"] == 0.75
    assert not {"test/loss", "test/ece", "cost/peak_memory_bytes"} & set(metrics)


def test_a_finished_run_is_read_back_whole(tracked: Settings, comparison, tmp_path: Path) -> None:
    comparison_id, (run_id, other) = comparison
    finish(tracked, run_id, tmp_path)
    record = tracking.load_comparison(tracked, comparison_id)
    first, second = record.runs
    assert record.spec == make_spec()
    assert record.dataset == DATASET
    assert (first.run_id, second.run_id) == (run_id, other)
    assert first.spec == make_spec().runs()[0]
    assert (first.status, second.status) == ("FINISHED", "SCHEDULED")
    assert first.outcome == make_outcome()
    assert first.history == make_history()
    assert first.confusion["test"].counts == ((2, 0), (1, 1))
    assert [row.name for row in first.per_class["val"]] == ["ants", "bees"]
    assert second.outcome is None
    assert list(tracking.load_predictions(tracked, run_id)["split"]) == ["val", "test"]
    model = tracking.download_model(tracked, run_id, tmp_path / "take")
    assert {"weights.safetensors", "model.json"} <= {file.name for file in model.iterdir()}
    with pytest.raises(NotFoundError, match="only a finished run"):
        tracking.load_predictions(tracked, other)


def test_a_reopened_run_gets_a_new_end(tracked: Settings, comparison) -> None:
    _, (run_id, _) = comparison
    tracking.start_run(tracked, run_id)
    tracking.end_run(tracked, run_id, "FAILED", "the lamp went out")
    ended = tracking.load_run(tracked, run_id)
    assert ended.error == "the lamp went out"
    tracking.start_run(tracked, run_id)
    again = tracking.load_run(tracked, run_id)
    assert (again.status, again.ended_ms, again.error) == ("RUNNING", None, None)
    assert again.started_ms == ended.started_ms
    client_of(tracked).update_run(run_id, status="RUNNING")
    tracking.end_run(tracked, run_id, "FINISHED")
    assert client_of(tracked).get_run(run_id).info.end_time >= ended.ended_ms


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (("FINISHED", "FINISHED"), "FINISHED"),
        (("FINISHED", "KILLED"), "KILLED"),
        (("FAILED", "KILLED"), "KILLED"),
        (("FINISHED", "FAILED"), "FAILED"),
    ],
)
def test_a_comparison_closes_as_its_runs_ended(tracked: Settings, comparison, states, expected) -> None:
    comparison_id, runs = comparison
    tracking.end_run(tracked, runs[0], states[0])
    assert tracking.close_comparison(tracked, comparison_id) is None
    tracking.end_run(tracked, runs[1], states[1])
    assert tracking.close_comparison(tracked, comparison_id) == expected
    (line,) = tracking.list_comparisons(tracked)
    assert line.status == expected
    assert sum(line.counts.values()) == 2
    assert line.counts[states[0]] >= 1


def test_lists_are_pages_newest_first(tracked: Settings) -> None:
    ids = [tracking.create_comparison(tracked, make_spec(title=f"number {i}"), DATASET, "ann") for i in range(5)]
    first, second = tracking.list_comparisons(tracked, 2), tracking.list_comparisons(tracked, 2, 2)
    assert [line.comparison_id for line in first + second] == ids[:0:-1]
    assert first[0].title == "number 4"
    assert first[0].strategies == ("from_scratch", "fine_tuning")


def test_a_grown_comparison_is_open_again(tracked: Settings, comparison) -> None:
    comparison_id, runs = comparison
    for run_id in runs:
        tracking.end_run(tracked, run_id, "FAILED")
    tracking.close_comparison(tracked, comparison_id)
    grown = make_spec(seeds=(0, 1))
    tracking.extend_comparison(tracked, comparison_id, grown, DATASET)
    record = tracking.load_comparison(tracked, comparison_id)
    assert (record.status, record.spec) == ("RUNNING", grown)


def test_ids_of_nothing_and_of_the_wrong_kind(tracked: Settings, comparison) -> None:
    comparison_id, (run_id, _) = comparison
    for wrong in ("0" * 32, "no such thing", run_id):
        with pytest.raises(NotFoundError):
            tracking.load_comparison(tracked, wrong)
    with pytest.raises(NotFoundError):
        tracking.load_run(tracked, comparison_id)


def test_two_processes_can_open_a_new_store_at_once(settings: Settings) -> None:
    code = "from tlcore import tracking; from tlcore.settings import get_settings as g; tracking.connect(g())"
    env = {**os.environ, "TLCORE_HOME": str(settings.root)}
    processes = [subprocess.Popen([sys.executable, "-c", code], env=env) for _ in range(2)]
    assert [process.wait(120) for process in processes] == [0] * 2
    with sqlite3.connect(settings.root / "mlflow.db") as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("SELECT count(*) FROM experiments WHERE name = ?", (EXPERIMENT,)).fetchone() == (1,)


def test_a_moved_home_says_so_and_can_be_relocated(tracked: Settings, comparison, tmp_path: Path) -> None:
    comparison_id, (run_id, _) = comparison
    finish(tracked, run_id, tmp_path)
    moved = Settings(home=tmp_path / "moved home", mlflow_tracking_uri=None)
    shutil.copytree(tracked.root, moved.root)
    shutil.rmtree(tracked.root / "artifacts")
    with pytest.raises(StorageError, match=r"moved.*doctor --relocate"):
        tracking.load_comparison(moved, comparison_id)
    assert tracking.relocate(moved) == 3
    record = tracking.load_comparison(moved, comparison_id)
    assert record.runs[0].history == make_history()
    assert tracking.relocate(moved) == 0


def test_a_locked_database_is_a_clear_error(tracked: Settings) -> None:
    path = tracked.root / "mlflow.db"
    with closing(sqlite3.connect(path)) as holder, closing(sqlite3.connect(path, timeout=0)) as other:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageError, match="locked by another program"), translated(tracked):
            other.execute("BEGIN IMMEDIATE")


def test_a_damaged_database_is_a_clear_error(settings: Settings) -> None:
    settings.root.mkdir(parents=True)
    (settings.root / "mlflow.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(StorageError, match="damaged"):
        tracking.connect(settings)


def test_system_metrics_are_logged_for_a_short_run_and_go_on_after_a_resume(tracked: Settings, comparison) -> None:
    _, (run_id, _) = comparison
    tracking.start_run(tracked, run_id)
    for _ in range(2):
        with tracking.system_metrics(tracked, run_id):
            pass
    history = client_of(tracked).get_metric_history(run_id, "system/cpu_utilization_percentage")
    assert [metric.step for metric in history] == [0, 1]


def test_a_store_is_made_without_waiting_for_the_disk_and_what_is_logged_then_waits(settings: Settings) -> None:
    """SQLite's `synchronous`: 2 waits at the end of a transaction, 0 does not."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    seen: dict[str, set[int]] = {}

    def taken(connection, *_) -> None:
        name = Path(connection.execute("PRAGMA database_list").fetchone()[2]).name
        seen.setdefault(name, set()).add(connection.execute("PRAGMA synchronous").fetchone()[0])

    event.listen(Engine, "checkout", taken)
    try:
        tracking.connect(settings)
        tracking.create_comparison(settings, make_spec(), DATASET, "ann")
    finally:
        event.remove(Engine, "checkout", taken)
    assert seen == {"scratch.db": {0}, "mlflow.db": {2}}
    assert sorted(path.name for path in settings.root.iterdir() if path.name.startswith(".")) == []


def test_a_new_store_is_whole_without_its_log_of_changes(settings: Settings, tmp_path: Path) -> None:
    """As a loss of power may leave it."""
    tracking.connect(settings)
    other = Settings(home=tmp_path / "other", mlflow_tracking_uri=None)
    other.root.mkdir()
    shutil.copy(settings.root / "mlflow.db", other.root)
    with closing(sqlite3.connect(other.root / "mlflow.db")) as alone:
        assert alone.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert alone.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
    assert tracking.create_comparison(other, make_spec(), DATASET, "ann")


def test_a_store_that_others_made_meanwhile_stays(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """As two homes may share a database, and MLflow's own pages make one, too."""
    path, theirs, real = settings.root / "mlflow.db", settings.root.parent / "theirs.db", sqlite.move_in
    sqlite.make_store(theirs)

    def late(whole: Path, place: Path) -> None:
        shutil.copy(theirs, path)
        with closing(sqlite3.connect(path)) as others:
            others.execute("CREATE TABLE theirs (x)")
        real(whole, place)

    monkeypatch.setattr(sqlite, "move_in", late)
    tracking.connect(settings)
    with closing(sqlite3.connect(path)) as found:
        assert found.execute("SELECT count(*) FROM theirs").fetchone() == (0,)


def test_no_file_of_a_stores_making_stays_open(settings: Settings) -> None:
    tracking.connect(settings)
    files = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
    assert not [file for file in files if "scratch" in file]


def test_a_link_to_a_store_elsewhere_is_followed(settings: Settings, tmp_path: Path) -> None:
    settings.root.mkdir(parents=True)
    (settings.root / "mlflow.db").symlink_to(tmp_path / "big.db")
    tracking.connect(settings)
    assert (tmp_path / "big.db").stat().st_size > 0
    assert (settings.root / "mlflow.db").is_symlink()


@pytest.mark.parametrize("statement", [5, 400, 900])
def test_whoever_is_killed_while_a_store_is_made_leaves_no_half_of_it(settings: Settings, statement: int) -> None:
    code = f"""
import os, signal
from sqlalchemy import event
from sqlalchemy.engine import Engine
from tlcore import tracking
from tlcore.settings import get_settings
left = iter(range({statement}))
kill = lambda *_: next(left, None) is None and os.kill(os.getpid(), signal.SIGKILL)
event.listen(Engine, "before_cursor_execute", kill)
tracking.connect(get_settings())
"""
    env = {**os.environ, "TLCORE_HOME": str(settings.root)}
    assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode == -signal.SIGKILL
    assert tracking.create_comparison(settings, make_spec(), DATASET, "ann")


def test_the_log_of_a_store_that_was_removed_is_not_taken_for_a_new_ones(settings: Settings) -> None:
    path = settings.root / "mlflow.db"
    settings.root.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as old:
        old.execute("PRAGMA journal_mode=WAL")
        old.execute("CREATE TABLE leftover (x)")
        shutil.copy(path.with_name("mlflow.db-wal"), settings.root / "kept")
    path.unlink()
    (settings.root / "kept").rename(path.with_name("mlflow.db-wal"))
    tracking.connect(settings)
    with closing(sqlite3.connect(path)) as found:
        assert found.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert found.execute("SELECT count(*) FROM experiments WHERE name = ?", (EXPERIMENT,)).fetchone() == (1,)
        assert found.execute("SELECT * FROM sqlite_master WHERE name = 'leftover'").fetchone() is None


def test_a_home_whose_id_was_never_written_gets_one(settings: Settings) -> None:
    settings.root.mkdir(parents=True)
    (settings.root / "home_id").touch()
    assert len(tracking.connect(settings).home_id) == 32

"""What was read of finished runs is kept: nothing is read twice, nothing stale is shown, and nothing grows for ever."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from tests.fake_trainer import make_resolved, write_files
from tests.helpers_mlflow import DATASET, make_history, make_outcome, make_spec
from tlcore import tracking
from tlcore.errors import NotFoundError
from tlcore.results import RunOutcome
from tlcore.settings import Settings
from tlcore.tracking import files, kept, reading


def finish(settings: Settings, run_id: str, tmp_path: Path, outcome: RunOutcome | None = None) -> None:
    work = tmp_path / "work" / run_id
    work.mkdir(parents=True, exist_ok=True)
    (work / "checkpoint.json").write_text("[" + ",".join(p.model_dump_json() for p in make_history()) + "]")
    write_files(work)
    if outcome is not None:
        (work / "artifacts" / "outcome.json").write_text(outcome.model_dump_json())
    tracking.start_run(settings, run_id)
    tracking.log_resolved(settings, run_id, make_resolved())
    tracking.log_points(settings, run_id, make_history(), 3)
    tracking.upload_artifacts(settings, run_id, work)
    tracking.end_run(settings, run_id, "FINISHED")


@pytest.fixture
def comparison(tracked: Settings) -> tuple[str, list[str]]:
    spec = make_spec()
    comparison_id = tracking.create_comparison(tracked, spec, DATASET, "ann")
    return comparison_id, [tracking.create_run(tracked, comparison_id, run, DATASET, "ann") for run in spec.runs()]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Run and name of every file that MLflow is asked for."""
    asked: list[tuple[str, str]] = []
    real = files.fetch

    def noted(store, run, name, to):
        asked.append((run.info.run_id, name))
        return real(store, run, name, to)

    monkeypatch.setattr(files, "fetch", noted)
    return asked


def test_of_a_running_comparison_only_the_unfinished_runs_are_read_again(
    tracked: Settings, comparison, tmp_path: Path, reads
) -> None:
    comparison_id, (done, going) = comparison
    finish(tracked, done, tmp_path)
    tracking.start_run(tracked, going)
    tracking.log_points(tracked, going, make_history(1), 1)
    first = tracking.load_comparison(tracked, comparison_id)
    tables = tracking.load_all_predictions(tracked, first)
    tracking.log_points(tracked, going, make_history(2), 1)
    reads.clear()
    again = tracking.load_comparison(tracked, comparison_id)
    assert reads == [(comparison_id, "comparison.json"), (going, "history.json")]
    assert again.runs[0] == first.runs[0]
    assert again.runs[0].confusion
    assert [len(record.runs[1].history) for record in (first, again)] == [1, 2]
    reads.clear()
    assert tracking.load_all_predictions(tracked, again)[done].equals(tables[done])
    assert tracking.load_predictions(tracked, done).equals(tables[done])
    assert not reads


def test_a_finished_comparison_is_not_searched_again_until_it_grows(
    tracked: Settings, comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison_id, runs = comparison
    for run_id in runs:
        finish(tracked, run_id, tmp_path)
    tracking.close_comparison(tracked, comparison_id)
    first = tracking.load_comparison(tracked, comparison_id)
    with monkeypatch.context() as patch:
        patch.setattr(reading, "children_of", None)
        assert tracking.load_comparison(tracked, comparison_id) == first
    grown = make_spec(seeds=(0, 1))
    tracking.extend_comparison(tracked, comparison_id, grown, DATASET)
    more = tracking.create_run(tracked, comparison_id, grown.runs()[-1], DATASET, "ann")
    assert [run.run_id for run in tracking.load_comparison(tracked, comparison_id).runs] == [*runs, more]
    finish(tracked, more, tmp_path)
    tracking.close_comparison(tracked, comparison_id)
    assert [run.status for run in tracking.load_comparison(tracked, comparison_id).runs] == ["FINISHED"] * 3


def test_a_run_that_was_opened_again_is_read_again(tracked: Settings, comparison, tmp_path: Path) -> None:
    comparison_id, (run_id, _) = comparison
    finish(tracked, run_id, tmp_path)
    assert tracking.load_comparison(tracked, comparison_id).runs[0].outcome == make_outcome()
    tracking.reschedule_run(tracked, run_id)
    assert tracking.load_comparison(tracked, comparison_id).runs[0].outcome is None
    other = make_outcome(train_seconds=77.0)
    finish(tracked, run_id, tmp_path, other)
    assert tracking.load_comparison(tracked, comparison_id).runs[0].outcome == other
    assert tracking.load_run(tracked, run_id).outcome == other


@pytest.mark.parametrize("content", [b"", b"{", b"[1]"])
def test_what_was_kept_and_is_damaged_is_read_again(
    tracked: Settings, comparison, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    comparison_id, (run_id, _) = comparison
    finish(tracked, run_id, tmp_path)
    first = tracking.load_comparison(tracked, comparison_id)
    tables = tracking.load_all_predictions(tracked, first)
    for path in (tracked.cache / "runs").iterdir():
        path.write_bytes(content)
    assert tracking.load_comparison(tracked, comparison_id) == first
    assert tracking.load_all_predictions(tracked, first)[run_id].equals(tables[run_id])
    assert "read from MLflow again" in caplog.text


def test_where_nothing_can_be_kept_everything_is_read_all_the_same(
    tracked: Settings, comparison, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    comparison_id, (run_id, _) = comparison
    finish(tracked, run_id, tmp_path)
    tracked.cache.mkdir(parents=True, exist_ok=True)
    (tracked.cache / "runs").write_text("a file where the folder should be")
    record = tracking.load_comparison(tracked, comparison_id)
    assert record.runs[0].outcome == make_outcome()
    assert list(tracking.load_all_predictions(tracked, record)) == [run_id]
    assert "cannot be kept" in caplog.text


def test_files_of_another_machine_are_copied_and_give_the_same(
    tracked: Settings, comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison_id, runs = comparison
    for run_id in runs:
        finish(tracked, run_id, tmp_path)
    here = tracking.load_comparison(tracked, comparison_id)
    tables = tracking.load_all_predictions(tracked, here)
    kept.clear(tracked)
    for module in (files, reading):
        monkeypatch.setattr(module, "is_here", lambda run: False)
    assert tracking.load_comparison(tracked, comparison_id) == here
    found = tracking.load_all_predictions(tracked, here)
    assert all(found[run_id].equals(tables[run_id]) for run_id in runs)


def test_without_curves_nothing_incomplete_is_kept(tracked: Settings, comparison, tmp_path: Path) -> None:
    comparison_id, runs = comparison
    for run_id in runs:
        finish(tracked, run_id, tmp_path)
    tracking.close_comparison(tracked, comparison_id)
    assert tracking.load_comparison(tracked, comparison_id, with_history=False).runs[0].history == ()
    assert tracking.load_comparison(tracked, comparison_id).runs[0].history == make_history()


def test_a_run_without_predictions_is_a_run(tracked: Settings, comparison, tmp_path: Path) -> None:
    comparison_id, (run_id, _) = comparison
    finish(tracked, run_id, tmp_path)
    (file,) = tracked.artifacts.rglob(f"{run_id}/artifacts/predictions.parquet")
    file.unlink()
    record = tracking.load_comparison(tracked, comparison_id)
    assert record.runs[0].status == "FINISHED"
    with pytest.raises(NotFoundError, match=r"predictions\.parquet"):
        tracking.load_all_predictions(tracked, record)


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    file = tmp_path / "predictions.parquet"
    pd.DataFrame({"label": range(1000)}).to_parquet(file)
    for number in range(10):
        kept.keep_frame(settings, f"run{number}", 1, file)
    folder = settings.cache / "runs"
    for number in range(10):
        os.utime(folder / f"run{number}-1.parquet", (1000 + number, 1000 + number))
    (folder / ".half.written").write_bytes(b"x")
    os.utime(folder / ".half.written", (1000, 1000))
    assert len(kept.recall_frame(settings, "run0", 1)) == 1000, "and now it was used"
    kept.prune(settings, max_bytes=10 * file.stat().st_size)
    assert len(list(folder.iterdir())) == 10, "as much as there may be; what a crash left is gone"
    kept.prune(settings, max_bytes=5 * file.stat().st_size)
    left = sorted(path.name for path in folder.iterdir())
    assert left == ["run0-1.parquet", "run7-1.parquet", "run8-1.parquet", "run9-1.parquet"]


def test_records_of_another_shape_are_not_taken(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    kept.keep(settings, "run", 5, files.RunFiles(outcome=make_outcome()))
    assert kept.recall(settings, "run", 5, files.RunFiles).outcome == make_outcome()
    assert kept.recall(settings, "run", 6, files.RunFiles) is None
    assert kept.recall(settings, "run", 5, RunOutcome) is None
    (path,) = (settings.cache / "runs").iterdir()
    assert json.loads(path.read_text())["outcome"]["train_seconds"] == 4.5

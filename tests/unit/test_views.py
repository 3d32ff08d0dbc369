"""What pages show of a comparison: order of runs, progress and the time left."""

from pathlib import Path

import pytest

from tests.helpers import draw
from tests.pages.fakes import job_of
from tests.records import example
from tlcore.analysis.statistics import estimates
from tlcore.service import photos, recorded, views


def test_finished_runs_come_best_validation_first_then_lowest_loss() -> None:
    runs = views.finished_runs(example().record)
    keys = [(-run.outcome.val.accuracy, run.outcome.val.loss) for run in runs if run.outcome]
    assert len(keys) == 15
    assert keys == sorted(keys)


def test_champions_are_one_run_of_each_strategy_on_the_most_data_in_one_order() -> None:
    record = example(fractions=(0.1, 1.0), seeds=(0, 1)).record
    best = views.champions(record)
    assert [run.spec.strategy for run in best] == list(record.spec.strategies)
    assert {run.spec.fraction for run in best} == {1.0}
    for run in best:
        rivals = [r for r in record.runs if r.spec.strategy == run.spec.strategy and r.spec.fraction == 1.0]
        assert run.outcome
        assert run.outcome.val.accuracy == max(r.outcome.val.accuracy for r in rivals if r.outcome)


def test_time_left_adds_the_eta_and_what_ended_runs_of_the_strategy_took() -> None:
    record = example(
        strategies=("fine_tuning", "feature_extraction"), seeds=(0, 1),
        status={("fine_tuning", 1): "SCHEDULED", ("feature_extraction", 1): "RUNNING"},
    ).record  # fmt: skip
    took = next(run.outcome.total_seconds for run in record.runs if run.spec.strategy == "fine_tuning" and run.outcome)
    jobs = [job_of(run) for run in record.runs]
    left = views.time_left(record, jobs)
    assert left
    assert (left.seconds, left.is_least) == (pytest.approx(75.0 + took), False)
    assert views.progress(jobs) == pytest.approx((1 + 1 + 0.4 + 0) / 4)
    cancelled = [job.model_copy(update={"status": "CANCELLED"}) if job.status == "QUEUED" else job for job in jobs]
    assert views.progress(cancelled) == pytest.approx((1 + 1 + 0.4) / 3)


def test_time_left_counts_what_has_not_ended_once_as_the_dearest_so_far() -> None:
    """Cheap strategies come first: the others take no less."""
    strategies = ("feature_extraction", "transfer_learning", "fine_tuning", "from_scratch")
    waiting = {(name, seed): "SCHEDULED" for name in strategies[2:] for seed in (0, 1)}
    record = example(strategies=strategies, seeds=(0, 1), status=waiting).record
    took = {
        name: [r.outcome.total_seconds for r in record.runs if r.outcome and r.spec.strategy == name]
        for name in strategies[:2]
    }
    left = views.time_left(record, [job_of(run) for run in record.runs])
    assert left
    assert left.seconds == pytest.approx(4 * max(sum(seconds) / 2 for seconds in took.values()))
    assert left.is_least


def test_time_left_is_unknown_until_a_run_has_ended() -> None:
    waiting = example(strategies=("fine_tuning",), seeds=(0,), status={("fine_tuning", 0): "SCHEDULED"}).record
    assert views.time_left(waiting, [job_of(run) for run in waiting.runs]) is None


def test_a_photo_that_cannot_be_read_is_named_and_the_others_get_a_picture(tmp_path: Path) -> None:
    draw(0, 2, 0, 300).save(tmp_path / "fine.png")
    (tmp_path / "torn.jpg").write_bytes(b"nothing")
    torn, fine = photos.check_photos([tmp_path / "torn.jpg", tmp_path / "fine.png"])
    assert "torn.jpg" in (torn.refused or "")
    assert fine.refused is None
    assert fine.thumbnail.startswith(b"\xff\xd8")


def test_all_recorded_predictions_are_those_of_each_run() -> None:
    everything = recorded.all_predictions()
    assert everything.keys() == {run.run_id for run in recorded.record().runs if run.status == "FINISHED"}
    for run_id in list(everything)[::7]:
        assert everything[run_id].equals(recorded.predictions(run_id))


def test_a_view_estimates_each_group_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built = example(seeds=(0, 1))
    asked = []
    real = estimates.estimate_of
    monkeypatch.setattr(estimates, "estimate_of", lambda *given: asked.append(given[1].strategy) or real(*given))
    monkeypatch.setattr(views.comparisons, "record", lambda _: built.record)
    monkeypatch.setattr(views.comparisons, "all_predictions", lambda _: built.predictions)
    found = views.view("any")
    assert sorted(asked) == sorted(built.record.spec.strategies)
    assert list(found.table["Strategy"])[-1].startswith("Floor: pretrained network as it is")

"""Trials of tuned runs in MLflow: kept under their run, and in nobody's way."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow.exceptions import MlflowException

from tests.fake_trainer import make_resolved
from tests.helpers_mlflow import DATASET, make_spec
from tests.integration.test_tracking_store import client_of, finish
from tlcore import tracking
from tlcore.errors import NotFoundError, StorageError
from tlcore.jobs import settling
from tlcore.jobs.database import prepare
from tlcore.results import Trial
from tlcore.settings import Settings
from tlcore.tracking import tags
from tlcore.tracking.store import connect
from tlcore.worker import RunReporter

FIRST = Trial(number=0, settings={}, val_accuracy=0.8, val_loss=0.5, train_seconds=4.0, chosen=True)
SECOND = Trial(number=1, settings={"learning_rate": 0.03}, val_accuracy=0.9, val_loss=0.4, train_seconds=3.0)
WILD = SECOND.model_copy(
    update={"number": 2, "val_accuracy": None, "val_loss": None, "train_seconds": 1.0, "error": "NaN"}
)


def chosen(number: int) -> tuple[Trial, ...]:
    return tuple(t.model_copy(update={"chosen": t.number == number}) for t in (FIRST, SECOND, WILD))


@pytest.fixture
def runs(tracked: Settings) -> tuple[str, list[str]]:
    spec = make_spec(tune=3)
    comparison_id = tracking.create_comparison(tracked, spec, DATASET, "ann")
    return comparison_id, [tracking.create_run(tracked, comparison_id, run, DATASET, "ann") for run in spec.runs()]


def trials_in_mlflow(settings: Settings, run_id: str) -> dict[int, object]:
    client = client_of(settings)
    experiment = client.get_run(run_id).info.experiment_id
    found = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'")
    assert all(run.data.tags[tags.KIND] == "trial" for run in found)
    return {int(run.data.tags[tags.TRIAL]): run for run in found}


def test_a_trial_is_a_run_under_its_run(tracked: Settings, runs) -> None:
    _, (run_id, _) = runs
    tracking.log_trials(tracked, run_id, (FIRST,))
    tracking.log_trials(tracked, run_id, chosen(1))
    found = trials_in_mlflow(tracked, run_id)
    assert sorted(found) == [0, 1, 2], "sent again, made once"
    assert {n: run.data.tags[tags.CHOSEN] for n, run in found.items()} == {0: "false", 1: "true", 2: "false"}
    assert found[1].data.params == {"learning_rate": "0.03"}
    assert found[1].data.metrics == {"val/accuracy": 0.9, "val/loss": 0.4, "cost/train_seconds": 3.0}
    assert found[2].data.metrics == {"cost/train_seconds": 1.0}
    assert [found[n].info.status for n in range(3)] == ["FINISHED", "FINISHED", "FAILED"]
    assert found[2].data.tags[tags.ERROR] == "NaN"


@pytest.mark.parametrize("refused", ["log_batch", "set_terminated"])
@pytest.mark.parametrize("trial", [SECOND, WILD])
def test_a_trial_that_was_refused_half_way_is_filled_and_ended_later(
    tracked: Settings, runs, monkeypatch: pytest.MonkeyPatch, refused: str, trial: Trial
) -> None:
    _, (run_id, _) = runs
    client = connect(tracked).client
    real = getattr(client, refused)

    def once(*given: object, **named: object) -> None:
        monkeypatch.setattr(client, refused, real)
        raise MlflowException("database is locked")

    monkeypatch.setattr(client, refused, once)
    with pytest.raises(StorageError, match="locked"):
        tracking.log_trials(tracked, run_id, (trial,))
    later = trial.model_copy(update={"chosen": True})
    tracking.log_trials(tracked, run_id, (later,))
    (found,) = trials_in_mlflow(tracked, run_id).values()
    assert found.info.status == ("FAILED" if trial.error else "FINISHED")
    assert found.info.end_time is not None
    assert found.data.params == {"learning_rate": "0.03"}
    assert found.data.metrics["cost/train_seconds"] == trial.train_seconds
    assert found.data.tags[tags.CHOSEN] == "true"
    assert len(client.get_metric_history(found.info.run_id, "cost/train_seconds")) == 1, "sent twice, kept once"


def test_lists_comparisons_and_parents_know_no_trials(tracked: Settings, runs, tmp_path: Path) -> None:
    comparison_id, run_ids = runs
    for run_id in run_ids:
        tracking.log_resolved(tracked, run_id, make_resolved())
        finish(tracked, run_id, tmp_path)
        tracking.log_trials(tracked, run_id, (FIRST, SECOND, WILD))
    assert tracking.close_comparison(tracked, comparison_id) == "FINISHED", "a failed trial is no failed run"
    assert [c.comparison_id for c in tracking.list_comparisons(tracked)] == [comparison_id]
    assert tracking.list_comparisons(tracked)[0].counts == {"FINISHED": 2}
    assert [run.run_id for run in tracking.load_comparison(tracked, comparison_id).runs] == run_ids
    trial = trials_in_mlflow(tracked, run_ids[0])[1].info.run_id
    with pytest.raises(NotFoundError):
        tracking.load_run(tracked, trial)


def test_the_reconciler_leaves_trials_alone(tracked: Settings, runs) -> None:
    _, (run_id, _) = runs
    prepare(tracked)
    tracking.start_run(tracked, run_id)
    tracking.log_trials(tracked, run_id, (FIRST, SECOND))
    before = {n: (run.info.status, run.info.end_time) for n, run in trials_in_mlflow(tracked, run_id).items()}
    assert set(tracking.run_statuses(tracked, ("RUNNING", "FINISHED", "FAILED"))) == {run_id}
    settling.sweep(tracked)
    after = {n: (run.info.status, run.info.end_time) for n, run in trials_in_mlflow(tracked, run_id).items()}
    assert after == before


def test_a_worker_goes_on_where_mlflow_refuses_a_trial_and_sends_it_later(
    tracked: Settings, runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, (run_id, _) = runs
    real = tracking.log_trials

    def refuse(*given: object) -> None:
        raise StorageError("locked")

    monkeypatch.setattr(tracking, "log_trials", refuse)
    reporter = RunReporter(SimpleNamespace(settings=tracked, job=SimpleNamespace(id=run_id)))
    reporter.tried((FIRST,))
    assert trials_in_mlflow(tracked, run_id) == {}
    monkeypatch.setattr(tracking, "log_trials", real)
    reporter.send()
    assert sorted(trials_in_mlflow(tracked, run_id)) == [0]


def test_a_run_that_begins_anew_has_the_trials_of_its_new_attempt_alone(tracked: Settings, runs) -> None:
    _, (run_id, other) = runs
    for each in (run_id, other):
        tracking.log_trials(tracked, each, (WILD,))
    tracking.forget_trials(tracked, run_id)
    tracking.log_trials(tracked, run_id, (WILD.model_copy(update={"val_accuracy": 0.7, "error": None}),))
    (found,) = trials_in_mlflow(tracked, run_id).values()
    assert (found.info.status, found.data.metrics["val/accuracy"]) == ("FINISHED", 0.7)
    assert tags.ERROR not in found.data.tags
    assert trials_in_mlflow(tracked, other)[2].data.tags[tags.ERROR] == "NaN"

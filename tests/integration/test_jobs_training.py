"""A comparison with real training through queue, worker and MLflow, and its model used without this package."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.helpers import draw, make_image_folder, odd_pictures
from tests.helpers_jobs import ended, stop_everything, until
from tests.helpers_mlflow import copy_template, make_spec
from tlcore import jobs, tracking
from tlcore.errors import ModelError
from tlcore.jobs import questions, queue
from tlcore.jobs.database import prepare
from tlcore.jobs.processes import code_version, create_time
from tlcore.jobs.roster import Worker, live_workers, register
from tlcore.results import ComparisonRecord, DatasetSummary
from tlcore.settings import Settings
from tlcore.spec import Budget

# What somebody does who has MLflow and torch, but not this package: the pyfunc, and the script that is taken home.
ELSEWHERE = """
import contextlib, io, json, runpy, sys
import mlflow.pyfunc, pandas as pd
uri, paths, *models = sys.argv[1:]
mlflow.set_tracking_uri(uri)
paths, found = json.loads(paths), []
data = [open(path, "rb").read() for path in paths]
for run, folder in (model.split("=") for model in models):
    model = mlflow.pyfunc.load_model(f"runs:/{run}/model")
    forms = [pd.DataFrame({"path": paths}), pd.DataFrame({"image": data}), paths, data, paths[:1], data[:1]]
    tables = [model.predict(form).astype(object) for form in forms]
    rows = [table.where(table.notna(), None).to_dict("records") for table in tables]
    sys.argv = ["predict.py", *paths]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        runpy.run_path(f"{folder}/predict.py")
    found.append({"tables": rows, "script": [json.loads(line) for line in printed.getvalue().splitlines()]})
assert "tlcore" not in sys.modules
print(json.dumps(found))
"""


@pytest.fixture
def settings(home: Path, mlflow_template: Path) -> Iterator[Settings]:
    made = Settings()
    copy_template(mlflow_template, made)
    yield made
    stop_everything(made)


@pytest.fixture
def dataset(settings: Settings, tmp_path: Path) -> DatasetSummary:
    from tlcore.datasets.intake import add_dataset

    info = add_dataset(make_image_folder(tmp_path, per_class=12), "tiny", settings)
    known = info.model_dump(include={"id", "name", "fingerprint", "num_images", "classes"})
    return DatasetSummary(**known, num_classes=2, splits={})


def compare(settings: Settings, dataset: DatasetSummary, **values: object) -> ComparisonRecord:
    """Run a comparison to its end; every run must have finished."""
    spec = make_spec(
        dataset, image_size=32, batch_size=4, num_threads=1, device="cpu", **{"budget": Budget(epochs=2), **values}
    )
    comparison_id = tracking.create_comparison(settings, spec, dataset, "ann")
    made = [(tracking.create_run(settings, comparison_id, run, dataset, "ann"), run) for run in spec.runs()]
    jobs.submit_runs(settings, comparison_id, made, "cpu")
    until(ended(settings, comparison_id), "all runs have ended", 240)
    record = tracking.load_comparison(settings, comparison_id)
    assert [run.error for run in record.runs] == [None] * len(record.runs)
    assert record.status == "FINISHED"
    return record


@pytest.mark.slow
def test_real_runs_then_predictions_in_a_process_without_this_package(
    settings: Settings, dataset: DatasetSummary, tmp_path: Path
) -> None:
    pictures = [tmp_path / "photo.png", *odd_pictures(tmp_path / "odd")]
    draw(1, 2, 99).save(pictures[0])
    first = compare(settings, dataset, strategies=("from_scratch",), seeds=(0, 1)).runs[0]
    check_run(settings, first.run_id)
    runs = [first.run_id]
    earlier = {"test_resnet": f"run:{first.run_id}"}
    for classifier in ("knn", "linear_svm"):
        own = {"feature_extraction": {"classifier": classifier} | ({"neighbors": 3} if classifier == "knn" else {})}
        stored = compare(settings, dataset, strategies=("feature_extraction",), weights=earlier, overrides=own).runs[0]
        assert [point.epoch for point in stored.history] == [0]
        runs.append(stored.run_id)
    check_predictions(settings, runs, pictures, tmp_path)
    # The worker is warm and idle now: it answers, its errors included.
    assert jobs.ask(settings, {"question": "pick_device", "device": "cpu"})["id"] == "cpu"
    with pytest.raises(ModelError, match="no_such_model"):
        jobs.ask(settings, {"question": "model_facts", "model": "no_such_model"})


def check_run(settings: Settings, run_id: str) -> None:
    from mlflow.tracking import MlflowClient

    run = MlflowClient(settings.tracking_uri).get_run(run_id)
    record = tracking.load_run(settings, run_id)
    assert len(record.history) == 2
    assert run.data.metrics["val/accuracy"] == record.history[-1].val_accuracy
    assert run.data.metrics["test/accuracy"] == record.outcome.test.accuracy
    assert any(name.startswith("system/") for name in run.data.metrics)
    log = (settings.jobs / "logs" / f"{run_id}.log").read_text()
    assert f"{record.outcome.images_per_second:,.1f} images per second; " in log
    assert f"backward {record.outcome.seconds_by_part['backward']:.2f} s" in log
    predictions = tracking.load_predictions(settings, run_id)
    test = predictions[predictions["split"] == "test"]
    assert (test["label"] == test["predicted"]).mean() == pytest.approx(record.outcome.test.accuracy)
    assert list(pd.Series(predictions.columns)) == ["split", "path", "label", "predicted", "prob_0", "prob_1"]


def check_predictions(settings: Settings, runs: list[str], pictures: list[Path], folder: Path) -> None:
    """Every form of input gets the answer of the script that is taken home."""
    models = [f"{run}={tracking.download_model(settings, run, folder / 'take' / run)}" for run in runs]
    paths = json.dumps([str(picture) for picture in pictures])
    command = [sys.executable, "-c", ELSEWHERE, settings.tracking_uri, paths, *models]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    for seen in json.loads(done.stdout.strip().splitlines()[-1]):
        assert [len(table) for table in seen["tables"]] == [len(pictures)] * 4 + [1, 1]
        for table in seen["tables"]:
            for row, script in zip(table, seen["script"], strict=False):
                check_row(row, script)


def check_row(row: dict[str, object], script: dict[str, Any]) -> None:
    expected = script.get("probabilities", {"ants": None, "bees": None})
    wanted = {k: v if v is None else pytest.approx(v, abs=1e-4) for k, v in expected.items()}
    assert row == {**wanted, "predicted": script["predicted"]}, script["path"]


@pytest.mark.slow
def test_questions_wait_for_the_worker_that_was_asked_to_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "_ask_process", lambda *_: pytest.fail("a process of its own was asked"))
    jobs.warm_up(settings)
    assert jobs.ask(settings, {"question": "pick_device", "device": "cpu"})["id"] == "cpu"
    assert not queue.select(settings, "kind = 'question'", ())
    assert (settings.root / "mlflow.db").exists(), "the worker has opened the store, and so loaded MLflow"
    (worker,) = live_workers(settings)
    jobs.warm_up(settings)  # one lives
    assert jobs.ask(settings, {"question": "pick_device", "device": "cpu"})["id"] == "cpu"
    assert live_workers(settings) == [worker]


def test_questions_are_answered_where_no_worker_can_start(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "_ask_process", lambda *_: {"ok": True, "answer": "by a process"})
    monkeypatch.setattr(questions, "ensure_supervisor", lambda _: None)
    jobs.warm_up(settings)
    assert jobs.ask(settings, {"question": "devices"}) == "by a process"
    assert not queue.select(settings, "kind = 'question'", ())


@pytest.mark.parametrize(
    ("asked", "gpus", "slot"),
    [
        ("auto", 0, "cpu:0"),
        ("auto", 2, "cuda:0"),
        ("cpu", 2, "cpu:0"),
        ("cuda", 0, "cpu:0"),
        ("tpu", 2, "cpu:0"),
        ("cuda:1", 2, "cuda:1"),
    ],
)
def test_the_worker_that_will_do_the_runs_is_asked_to_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, asked: str, gpus: int, slot: str
) -> None:
    """Whoever imports datasets, or has the code of yesterday, will not do them."""
    monkeypatch.setattr(questions, "ensure_supervisor", lambda _: None)
    monkeypatch.setattr(questions.pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(questions.pynvml, "nvmlDeviceGetCount", lambda: gpus)
    prepare(settings)
    me = os.getpid(), create_time(os.getpid())
    for number, (other, version) in enumerate([("import:0", code_version()), (slot, "yesterday's")]):
        register(settings, Worker(str(number), other, *me, version, stop=False))
    jobs.warm_up(settings, asked)
    assert [job.slot for job in queue.select(settings, "kind = 'question'", ())] == [slot]
    register(settings, Worker("able", slot, *me, code_version(), stop=False))
    jobs.warm_up(settings, asked)
    assert len(queue.select(settings, "kind = 'question'", ())) == 1

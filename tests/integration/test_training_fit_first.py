"""A `Fit` before gradient steps: what it costs, what it may win, and what is known of its probabilities."""

import json
from dataclasses import replace

import pandas as pd
import pytest
import torch

from tests.training_support import FLOAT32, Bench, Recorder, tiny_dataset
from tlcore.errors import RunCancelledError
from tlcore.spec import Budget
from tlcore.training import run as run_module
from tlcore.training.features import fitting
from tlcore.training.loop import phase as loop
from tlcore.training.outcome.predict import predict

COST, SECONDS = 1000.0, 1.5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def dataset(folder):
    return tiny_dataset(folder, classes=3, per_class=10)


@pytest.fixture
def bench(folder, dataset, monkeypatch):
    monkeypatch.setattr(run_module, "pick_device", lambda asked: FLOAT32)
    return Bench(folder, dataset, budget=Budget(steps=3))


class Stopper(Recorder):
    """Stops once the gradient phase is under way."""

    def should_stop(self) -> bool:
        return any("phase 2 of 2" in message for _, message in self.messages)


def test_a_budget_of_seconds_begins_where_the_fit_ends(bench, monkeypatch):
    """Its features cost many times the budget, and the gradient phase still gets all of it, also when resumed."""
    monkeypatch.setattr(fitting, "feature_seconds", lambda *given: COST)
    spec = bench.spec("lp_ft", budget=Budget(seconds=SECONDS), overrides={"schedule": "linear", "warmup": 0.0})
    for name, first in (("through", Recorder()), ("pieces", Stopper())):
        last = first
        try:
            bench.run(spec, name, first)
        except RunCancelledError:
            last = Recorder()
            bench.run(spec, name, last)
        points = last.histories[-1][0]
        assert points[0].train_seconds >= COST
        assert points[-1].train_seconds - points[0].train_seconds >= SECONDS
        assert points[-1].step > 1
        rates = [point.learning_rates["head"] for point in points[1:]]
        assert rates[0] > 0 and rates == sorted(rates, reverse=True)
    assert any("of 1.5 s" in message for _, message in last.messages)
    assert not any(f"{COST:.0f} of" in message for _, message in last.messages)


SVM = {"classifier": "linear_svm"}


def test_a_network_with_a_loss_is_better_than_an_equal_one_without(bench):
    """Nothing moves, so the accuracy stays the SVM's; the first evaluated network is the one that is kept."""
    still = {**SVM, "learning_rate": 1e-30, "backbone_learning_rate": 0.0}
    recorder = Recorder()
    outcome = bench.run(bench.spec("lp_ft", overrides=still), "still", recorder)
    points = recorder.histories[-1][0]
    assert points[0].val_loss is None and points[1].val_accuracy == points[0].val_accuracy
    assert outcome.best_step == points[1].step
    assert outcome.test.loss is not None
    assert json.loads((bench.work("still") / "model" / "model.json").read_text())["probabilities"] is True


def test_a_best_svm_has_no_probabilities_whatever_came_after_it(bench, monkeypatch):
    real = loop.predicted

    def wrong(*given):
        return [replace(part, predicted=(part.labels + 1) % 3) for part in real(*given)]

    monkeypatch.setattr(loop, "predicted", wrong)
    outcome = bench.run(bench.spec("lp_ft", overrides=SVM), "svm")
    assert (outcome.best_step, outcome.val.accuracy > 0) == (0, True)
    for part in (outcome.train, outcome.val, outcome.test):
        assert (part.loss, part.ece) == (None, None)
    table = pd.read_parquet(bench.work("svm") / "artifacts" / "predictions.parquet")
    assert table[[c for c in table if c.startswith("prob_")]].isna().all(axis=None)
    home = bench.work("svm") / "model"
    assert json.loads((home / "model.json").read_text())["probabilities"] is False
    assert "softmax" not in (home / "predict.py").read_text()
    photo = bench.dataset.root / bench.dataset.images["path"].iloc[0]
    assert predict({"svm": home}, [photo])["svm"][0]["probabilities"] is None


def test_what_is_best_is_remembered_through_a_stop(bench, monkeypatch):
    real = loop.predicted
    monkeypatch.setattr(loop, "predicted", lambda *g: [replace(p, predicted=(p.labels + 1) % 3) for p in real(*g)])
    with pytest.raises(RunCancelledError):
        bench.run(bench.spec("lp_ft", overrides=SVM), "stopped", Recorder(stop_at=2))
    assert torch.load(bench.work("stopped") / "checkpoint" / "last.pt", weights_only=True)["plain"]["step"] >= 1
    assert bench.run(bench.spec("lp_ft", overrides=SVM), "stopped").test.loss is None

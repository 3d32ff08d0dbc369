"""Every strategy from spec to model folder, on tiny pictures."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, log_loss

from tests.training_support import FLOAT32, Bench, Recorder, tiny_dataset
from tlcore.results import ClassMetrics, ConfusionMatrix, EvaluationPoint, Resolved, RunOutcome
from tlcore.spec import Budget
from tlcore.strategies import CLASSIFIERS, CORE, STRATEGIES
from tlcore.training import run as run_module
from tlcore.training.outcome.predict import predict

MODELS = ("test_resnet", "test_efficientnet", "test_byobnet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def dataset(folder):
    return tiny_dataset(folder, classes=3, per_class=10)


@pytest.fixture
def bench(folder, dataset, monkeypatch):
    """Runs in float32, so that what is recorded can be compared closely."""
    monkeypatch.setattr(run_module, "pick_device", lambda asked: FLOAT32)
    return Bench(folder, dataset)


CASES = [(s, "test_resnet", {}) for s in CORE]
CASES += [(s, m, {}) for m in MODELS[1:] for s in ("from_scratch", "feature_extraction", "staged_fine_tuning")]
CASES += [("from_scratch", "test_coatnet", {})]  # its first convolution also feeds a shortcut
CASES += [("feature_extraction", "test_resnet", {"classifier": c}) for c in CLASSIFIERS[1:]]


@pytest.mark.parametrize(("strategy", "model", "overrides"), CASES)
def test_a_run_records_what_its_model_predicts(bench, strategy, model, overrides):
    bench.model = model
    name = "-".join([strategy, model, *map(str, overrides.values())])
    spec = bench.spec(strategy, overrides=overrides)
    recorder = Recorder()
    outcome = bench.run(spec, name, recorder)
    artifacts, dataset = bench.work(name) / "artifacts", bench.dataset

    assert RunOutcome.model_validate_json((artifacts / "outcome.json").read_text()) == outcome
    resolved = Resolved.model_validate_json((artifacts / "resolved.json").read_text())
    assert recorder.resolution.model_copy(update={"notes": resolved.notes}) == resolved
    history = tuple(EvaluationPoint(**p) for p in json.loads((artifacts / "history.json").read_text()))
    assert history == recorder.histories[-1][0]
    assert (outcome.frozen_state_unchanged is not None) == STRATEGIES[strategy].freezes
    assert outcome.frozen_state_unchanged in (None, True)

    table = pd.read_parquet(artifacts / "predictions.parquet")
    confusion = json.loads((artifacts / "confusion_matrix.json").read_text())
    per_class = json.loads((artifacts / "per_class.json").read_text())
    for part, metrics in (("val", outcome.val), ("test", outcome.test)):
        rows = table[table["split"] == part]
        assert metrics.num_images == len(rows) == getattr(resolved, f"num_{part}")
        assert metrics.accuracy == pytest.approx(accuracy_score(rows["label"], rows["predicted"]))
        assert metrics.balanced_accuracy == pytest.approx(balanced_accuracy_score(rows["label"], rows["predicted"]))
        assert np.array_equal(
            ConfusionMatrix(**confusion[part]).counts, confusion_matrix(rows["label"], rows["predicted"])
        )
        assert [ClassMetrics(**c).num_images for c in per_class[part]] == rows[
            "label"
        ].value_counts().sort_index().tolist()
        probabilities = rows[[f"prob_{i}" for i in range(3)]]
        assert probabilities.dtypes.eq("float32").all()
        if overrides.get("classifier") == "linear_svm":
            assert probabilities.isna().all().all()
            assert (metrics.loss, metrics.ece) == (None, None)
        elif overrides.get("classifier") != "knn":
            assert metrics.loss == pytest.approx(log_loss(rows["label"], probabilities), rel=1e-4, abs=1e-6)

    answers = predict({"r": bench.work(name) / "model"}, [dataset.root / p for p in table["path"]])["r"]
    assert [a["predicted"] for a in answers] == [dataset.info.classes[i] for i in table["predicted"]]
    if overrides.get("classifier") == "linear_svm":
        assert {a["probabilities"] for a in answers} == {None}
    else:
        found = np.array([list(a["probabilities"].values()) for a in answers])
        np.testing.assert_allclose(found, table[[f"prob_{i}" for i in range(3)]], atol=2e-4)


@pytest.mark.parametrize("strategy", CORE)
def test_the_same_spec_gives_the_same_bits(bench, strategy):
    spec = bench.spec(strategy, seed=1, budget=Budget(steps=3))
    both = [bench.run(spec, f"{strategy}-{i}") for i in "ab"]
    weights = [(bench.work(f"{strategy}-{i}") / "model" / "weights.safetensors").read_bytes() for i in "ab"]
    assert weights[0] == weights[1]
    assert both[0].test == both[1].test


def test_a_fit_has_one_point_and_ignores_the_budget(bench):
    recorder = Recorder()
    outcome = bench.run(bench.spec("feature_extraction", budget=Budget(steps=1000)), "fit", recorder)
    ((history, newest),) = recorder.histories
    assert (len(history), newest) == (1, 1)
    assert (outcome.best_epoch, outcome.epochs, outcome.best_step) == (0, 0, 0)
    assert outcome.images_seen == recorder.resolution.num_train
    assert any("C = " in note for note in outcome.notes)


def test_every_fraction_gets_the_same_steps_and_evaluations(bench):
    histories = []
    for fraction in (0.2, 1.0):
        recorder = Recorder()
        bench.run(bench.spec("transfer_learning", fraction=fraction), f"fraction-{fraction}", recorder)
        histories.append([(p.step, p.epoch, p.images_seen) for p in recorder.histories[-1][0]])
    assert histories[0] == histories[1]
    assert [step for step, _, _ in histories[0]] == [2, 4, 7]  # 18 images, batches of 8: 3 epochs are 6.75 steps


def test_a_batch_may_exceed_the_number_of_images(bench):
    recorder = Recorder()
    bench.run(bench.spec("transfer_learning", batch_size=64, budget=Budget(steps=2)), "large-batch", recorder)
    assert recorder.histories[-1][0][-1].images_seen == 128


def test_selection_takes_the_best_validation_point_and_keeps_the_last(bench):
    recorder = Recorder()
    outcome = bench.run(bench.spec("from_scratch", budget=Budget(epochs=8)), "selection", recorder)
    points = recorder.histories[-1][0]
    best = max(points, key=lambda p: (p.val_accuracy, -p.val_loss, -p.step))
    assert (outcome.best_step, outcome.best_epoch) == (best.step, best.epoch)
    assert outcome.val.loss == pytest.approx(best.val_loss, rel=1e-5)
    assert outcome.last_val.loss == points[-1].val_loss
    assert outcome.train_seconds <= outcome.total_seconds


def test_a_budget_of_seconds_visits_every_phase(bench):
    recorder = Recorder()
    budget = Budget(seconds=1.0)
    outcome = bench.run(bench.spec("staged_fine_tuning", budget=budget), "seconds", recorder)
    points = recorder.histories[-1][0]
    assert recorder.resolution.total_steps is None
    assert {p.phase for p in points} == {0, 1}
    assert len(points) <= 50
    assert outcome.train_seconds >= 1.0


def test_progress_names_phase_step_and_pace(bench):
    recorder = Recorder()
    bench.run(bench.spec("staged_fine_tuning", budget=Budget(steps=6)), "progress", recorder)
    told = [message for _, message in recorder.messages if message.startswith("training: ")]
    found = [re.fullmatch(r"training: phase (\d) of 2, step (\d) of 6, ([\d,.]+) images/s", words) for words in told]
    assert [(int(each[1]), int(each[2])) for each in found] == [(1, 1), (1, 2), (2, 3), (2, 4), (2, 5), (2, 6)]
    assert all(float(each[3].replace(",", "")) > 0 for each in found)


def test_fifty_and_fifty_images_show_overfitting(tmp_path):
    """Labels that mean nothing can be learned by heart, which cannot help on other images; true ones can be learned."""
    truth = tiny_dataset(tmp_path, classes=2, per_class=50)
    noise = truth.images.assign(label=np.random.default_rng(0).permutation(truth.images["label"].to_numpy()))
    found = {}
    for name, dataset in (("truth", truth), ("noise", type(truth)(truth.info, noise, truth.root))):
        bench = Bench(tmp_path, dataset, model="test_efficientnet")
        found[name] = bench.run(bench.spec("feature_extraction", overrides={"c_low": 3, "c_high": 3}), name)
    assert found["truth"].train.accuracy == found["noise"].train.accuracy == 1.0
    assert found["truth"].test.accuracy > 0.9
    assert found["noise"].test.accuracy < 0.8
    assert found["noise"].test.loss > 1.0
    assert not found["noise"].did_not_learn

"""Calibration against torchmetrics, scikit-learn and cases with a known temperature."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.metrics import log_loss
from torchmetrics.functional.classification import multiclass_calibration_error

from tests.records import example
from tlcore.analysis import charts
from tlcore.analysis.groups import groups_of
from tlcore.analysis.images.calibration import (
    RANGE,
    calibration_rows,
    calibrations,
    ece,
    fit_temperature,
    nll,
    scaled,
)


def drawn(seed: int, images: int = 400, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Logits [N, K], and labels that are drawn from their softmax: perfectly calibrated."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(images, classes))
    labels = np.array([rng.choice(classes, p=row) for row in softmax(logits, axis=1)])
    return logits, labels


@pytest.mark.parametrize("seed", range(5))
def test_ece_is_that_of_torchmetrics(seed):
    logits, labels = drawn(seed)
    probabilities = softmax(1.7 * logits, axis=1)
    ours = ece(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)
    theirs = multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(labels), num_classes=5, n_bins=15, norm="l1"
    )
    assert ours == pytest.approx(float(theirs), abs=1e-6)


def test_a_probability_on_a_border_belongs_to_the_bin_below():
    assert ece(np.array([0.2, 0.2, 0.2]), np.array([True, True, False])) == pytest.approx(2 / 3 - 0.2)
    confidence = np.array([3 / 15, 3.5 / 15])
    assert ece(confidence, np.array([True, False])) == pytest.approx((12 / 15 + 3.5 / 15) / 2), "two bins, not one"


@pytest.mark.parametrize("seed", range(5))
def test_nll_is_that_of_scikit_learn(seed):
    logits, labels = drawn(seed)
    probabilities = softmax(logits, axis=1)
    assert nll(probabilities, labels) == pytest.approx(log_loss(labels, probabilities, labels=range(5)), rel=1e-9)


def test_a_zero_of_float32_costs_much_but_not_infinitely_much():
    assert nll(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(126 * np.log(2))
    assert np.isfinite(scaled(np.array([[1.0, 0.0]]), 0.05)).all()


@pytest.mark.parametrize("true", [0.4, 1.0, 2.5])
def test_a_known_temperature_is_found_again(true):
    logits, labels = drawn(3, images=20_000)
    stored = softmax(true * logits, axis=1).astype(np.float32).astype(np.float64)
    assert fit_temperature(stored, labels) == pytest.approx(true, rel=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_the_temperature_is_that_of_another_optimiser_on_the_logits(seed):
    logits, labels = drawn(seed, images=150)
    stored = softmax(1.8 * logits, axis=1).astype(np.float32).astype(np.float64)

    def loss(scale: np.ndarray) -> float:
        shifted = 1.8 * logits * scale
        return float((np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(150), labels]).mean())

    other = minimize(loss, x0=[1.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12})
    assert fit_temperature(stored, labels) == pytest.approx(1 / other.x[0], rel=1e-3)


def test_scaling_changes_no_answer_and_one_is_no_change():
    logits, _ = drawn(1)
    probabilities = softmax(logits, axis=1)
    assert scaled(probabilities, 1.0) == pytest.approx(probabilities)
    assert (scaled(probabilities, 7.0).argmax(axis=1) == probabilities.argmax(axis=1)).all()


def overconfident(true: float, num_val: int = 3000, num_test: int = 3000):
    """An example whose only run tells probabilities that are too sure by a known temperature."""
    found = example(
        strategies=("fine_tuning",), seeds=(0, 1), num_val=num_val, num_test=num_test, classes=list("abcde")
    )
    for number, (run_id, frame) in enumerate(found.predictions.items()):
        logits, labels = drawn(number, images=len(frame))
        probabilities = softmax(true * logits, axis=1)
        columns = {f"prob_{k}": probabilities[:, k].astype(np.float32) for k in range(5)}
        found.predictions[run_id] = frame.assign(label=labels, predicted=probabilities.argmax(axis=1), **columns)
    return found


def test_scaling_mends_test_images_with_the_temperature_of_validation_images():
    found = overconfident(2.0)
    (one,) = calibrations({"Fine-tuning": groups_of(found.record)[0]}, found.predictions)
    assert one.temperatures == pytest.approx((2.0, 2.0), rel=0.1)
    assert one.after.ece < 0.5 * one.before.ece
    assert one.after.nll < one.before.nll
    frame = next(iter(found.predictions.values()))
    test = frame[frame["split"] == "test"]
    stored = test[[f"prob_{k}" for k in range(5)]].to_numpy(dtype=float)
    assert calibrations({"x": groups_of(found.record)[0]}, found.predictions, seed=0)[0].before.nll == pytest.approx(
        log_loss(test["label"], stored / stored.sum(axis=1, keepdims=True), labels=range(5)), rel=1e-6
    )
    changed = frame.copy()
    changed.loc[changed["split"] == "test", "label"] = 0
    other = {**found.predictions, next(iter(found.predictions)): changed}
    assert calibrations({"x": groups_of(found.record)[0]}, other)[0].temperatures == one.temperatures, "only validation"


def test_bins_count_every_answer_and_each_image_once():
    found = overconfident(1.0, num_val=60, num_test=90)
    (one,) = calibrations({"Fine-tuning": groups_of(found.record)[0]}, found.predictions)
    assert sum(b.count for b in one.before.bins) == 180, "two seeds of 90 images"
    for b in one.before.bins:
        assert b.low < b.confidence <= b.high
        assert b.interval[0] - 1e-12 <= b.accuracy <= b.interval[1] + 1e-12
        assert b.count / 2 <= b.images <= min(b.count, 90)


def without(found, probabilities: bool):
    """The example as of a classifier without a loss. probabilities: shares of votes are stored instead of nothing."""
    runs = tuple(
        r.model_copy(update={"outcome": r.outcome.model_copy(update={"test": r.outcome.test.model_copy(
            update={"loss": None})})}) for r in found.record.runs
    )  # fmt: skip
    record = found.record.model_copy(update={"runs": runs})
    if probabilities:
        return record, found.predictions
    blank = {i: f.assign(**{c: np.nan for c in f if c.startswith("prob_")}) for i, f in found.predictions.items()}
    return record, blank


@pytest.mark.parametrize(("classifier", "words"), [("linear_svm", "linear SVM"), ("knn", "shares of its neighbours")])
def test_a_classifier_without_probabilities_says_so(classifier, words):
    found = example(strategies=(f"feature_extraction:classifier={classifier}",), seeds=(0,))
    record, predictions = without(found, probabilities=classifier == "knn")
    (one,) = calibrations({"x": groups_of(record)[0]}, predictions)
    assert one.before is one.after is None
    assert words in one.reason
    (row,) = calibration_rows([one])
    assert row["ECE before (points)"] is None
    assert row["Temperature T"] == "no probabilities"
    assert not charts.reliability_diagrams([one], scaled=True, revision="r").data


def test_no_temperature_is_made_up_where_no_validation_image_is_wrong():
    found = overconfident(2.0)
    run_id = next(run.run_id for run in found.record.runs if run.spec.seed == 0)
    frame = found.predictions[run_id]
    found.predictions[run_id] = frame[(frame["split"] == "test") | (frame["predicted"] == frame["label"])]
    (one,) = calibrations({"x": groups_of(found.record)[0]}, found.predictions, seed=0)
    assert (one.temperatures, one.unfitted) == ((), 1)
    assert one.after == one.before
    assert calibration_rows([one])[0]["Temperature T"] == "not fitted"
    (both,) = calibrations({"x": groups_of(found.record)[0]}, found.predictions)
    assert len(both.temperatures) == 1
    assert calibration_rows([both])[0]["Temperature T"].endswith("; 1 not fitted")
    assert RANGE[0] < both.temperatures[0] < RANGE[1]


def test_the_diagrams_draw_the_bins_in_the_strategys_colour():
    found = example(strategies=("fine_tuning", "transfer_learning"), seeds=(0, 1))
    all_of = calibrations({g.entry.short_label: g for g in groups_of(found.record)}, found.predictions)
    figure = charts.reliability_diagrams(all_of, scaled=False, revision="r")
    lines = [t for t in figure.data if t.type == "scatter" and t.marker.color]
    assert [t.marker.color for t in lines] == [one.color for one in all_of]
    assert list(lines[0].y) == [b.accuracy for b in all_of[0].before.bins]
    counts = [t for t in figure.data if t.type == "bar"]
    assert sum(counts[0].y) == 306
    assert pd.Series([t.width for t in counts]).nunique() == 1

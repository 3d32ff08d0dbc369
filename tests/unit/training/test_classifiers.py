"""Classifiers on features against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from tlcore.errors import RunCancelledError, TrainingError
from tlcore.recipes import FitRecipe
from tlcore.training.features import classifiers
from tlcore.training.features.classifiers import Labelled, Linear, fit, fold, predict


def nothing() -> None:
    """A check that lets everything go on."""


def blobs(num_classes: int, number: int = 90, width: int = 12, seed: int = 0, spread: float = 1.5) -> Labelled:
    """Overlapping blobs, with columns of very different scale and one that is constant."""
    rng = np.random.default_rng(7)
    centres = rng.normal(0, 1, (num_classes, width))
    labels = np.arange(number) % num_classes
    x = centres[labels] + np.random.default_rng(seed).normal(0, spread, (number, width))
    x = x * np.logspace(-2, 2, width) + 3
    x[:, 5] = 4.2
    return Labelled(torch.from_numpy(x.astype(np.float32)), torch.from_numpy(labels))


@pytest.mark.parametrize("num_classes", [2, 4])
@pytest.mark.parametrize("kind", [LogisticRegression, LinearSVC])
def test_a_folded_head_scores_as_scikit_learn_does(num_classes, kind):
    train, test = blobs(num_classes), blobs(num_classes, seed=1)
    pipeline = make_pipeline(StandardScaler(), kind(C=0.1, max_iter=5_000)).fit(train.features.numpy(), train.labels)
    scaler, model = pipeline[0], pipeline[-1]
    weight, bias = fold(model.coef_, model.intercept_, scaler.mean_, scaler.scale_)
    head = torch.nn.Linear(*reversed(weight.shape))
    head.load_state_dict({"weight": weight, "bias": bias})
    scores = head(test.features).detach().numpy()
    expected = pipeline.decision_function(test.features.numpy())
    assert weight.shape == (num_classes, 12)
    found = scores[:, 1] - scores[:, 0] if num_classes == 2 else scores
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("num_classes", [2, 4])
def test_logistic_regression_has_the_best_c_of_its_sweep(num_classes):
    train, val = blobs(num_classes), blobs(num_classes, seed=2)
    found = fit(FitRecipe(c_low=-4, c_high=2), train, val, num_classes, 0, nothing)
    reached = []
    for exponent in range(-4, 3):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=10.0**exponent, max_iter=5_000))
        model.fit(train.features.numpy(), train.labels)
        probabilities = model.predict_proba(val.features.numpy())
        accuracy = (probabilities.argmax(1) == val.labels.numpy()).mean()
        reached.append((-accuracy, log_loss(val.labels, probabilities)))
    assert (-found.val.accuracy, found.val.loss) <= (min(reached)[0], min(reached)[1] + 1e-3)
    assert found.val.ece is not None
    assert "C = " in found.notes[0]


def test_equally_good_values_of_c_give_the_smaller_one(monkeypatch):
    train = blobs(2, spread=0.01)
    found = fit(FitRecipe(classifier="linear_svm", c_low=-3, c_high=1), train, train, 2, 0, nothing)
    assert found.val.accuracy == 1.0
    assert found.notes[0].startswith("linear svm: C = 0.001,")


def test_a_linear_svm_has_no_probabilities():
    train, val = blobs(3), blobs(3, seed=2)
    found = fit(FitRecipe(classifier="linear_svm", c_low=-2, c_high=0), train, val, 3, 0, nothing)
    assert (found.val.loss, found.val.ece) == (None, None)
    assert predict(found.classifier, val).probabilities is None
    assert found.val.accuracy > 0.5


@pytest.mark.parametrize("number", [90, 12])
def test_nearest_neighbours_agree_with_scikit_learn(number):
    train, val = blobs(3, number), blobs(3, seed=2)
    found = fit(FitRecipe(classifier="knn"), train, val, 3, 0, nothing)
    oracle = KNeighborsClassifier(n_neighbors=min(20, number), metric="cosine")
    oracle.fit(train.features.numpy().astype(np.float64), train.labels)
    expected = oracle.predict_proba(val.features.numpy().astype(np.float64))
    np.testing.assert_allclose(predict(found.classifier, val).probabilities.numpy(), expected, atol=1e-9)
    assert found.val.loss is None
    assert bool(found.notes) == (number < 20)


def test_a_fit_that_does_not_converge_says_so(monkeypatch):
    monkeypatch.setattr(classifiers, "MAX_ITERATIONS", 1)
    found = fit(FitRecipe(c_low=0, c_high=1), blobs(3), blobs(3, seed=2), 3, 0, nothing)
    assert "did not converge within 1 iterations" in found.notes[1]
    assert "the chosen C is among them" in found.notes[1]


def test_a_class_without_a_training_image_is_refused():
    train = blobs(3)
    with pytest.raises(TrainingError, match=r"\[3\]"):
        fit(FitRecipe(), train, train, 4, 0, nothing)


def test_a_sweep_can_be_stopped():
    def stop() -> None:
        raise RunCancelledError("stop")

    with pytest.raises(RunCancelledError):
        fit(FitRecipe(), blobs(2), blobs(2), 2, 0, stop)


def test_constant_features_do_not_blow_up_the_head():
    found = fit(FitRecipe(c_low=0, c_high=0), blobs(2), blobs(2), 2, 0, nothing)
    assert isinstance(found.classifier, Linear)
    assert torch.isfinite(found.classifier.weight).all()
    assert found.classifier.weight[:, 5].abs().max() < 1e-3


@pytest.mark.parametrize("classifier", ["logistic_regression", "linear_svm"])
def test_features_that_are_no_numbers_are_refused(classifier):
    train = blobs(2)
    train.features[3, 4] = float("nan")
    with pytest.raises(TrainingError, match="no finite numbers"):
        fit(FitRecipe(classifier=classifier), train, blobs(2), 2, 0, nothing)

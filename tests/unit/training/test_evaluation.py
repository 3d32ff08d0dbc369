"""Metrics against scikit-learn and torchmetrics, over any partition into batches."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from torchmetrics.functional.classification import multiclass_calibration_error

from tlcore.training.outcome import evaluation
from tlcore.training.outcome.evaluation import NUM_BINS, Predictions


@st.composite
def scored(draw):
    """Logits and labels of a small part, and where to cut it into batches."""
    number, classes = draw(st.integers(1, 60)), draw(st.integers(2, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = torch.from_numpy(rng.normal(0, draw(st.sampled_from([0.1, 1.0, 4.0])), (number, classes)))
    labels = torch.from_numpy(rng.integers(0, classes, number))
    cuts = sorted(draw(st.sets(st.integers(1, max(1, number - 1)), max_size=6)) & set(range(1, number)))
    return logits, labels, cuts


@settings(max_examples=60, deadline=None)
@given(scored())
def test_metrics_agree_with_the_oracles_for_any_batches(case):
    logits, labels, cuts = case
    classes = logits.shape[1]
    pieces = zip(logits.tensor_split(cuts), labels.tensor_split(cuts), strict=True)
    found = evaluation.summarise((evaluation.from_logits(x, y) for x, y in pieces), classes)

    predicted = logits.argmax(1).numpy()
    probabilities = logits.softmax(1)
    present = np.unique(labels.numpy())
    recalls = sk.recall_score(labels, predicted, labels=present, average=None, zero_division=0.0)
    below_one = probabilities.clamp(max=1 - 1e-7)  # torchmetrics rounds to float32, and gives a 1.0 a bin of its own
    ece = multiclass_calibration_error(below_one, labels, num_classes=classes, n_bins=NUM_BINS, norm="l1")
    assert found.num_images == len(labels)
    assert found.accuracy == pytest.approx(sk.accuracy_score(labels, predicted))
    assert found.balanced_accuracy == pytest.approx(recalls.mean())
    assert found.loss == pytest.approx(sk.log_loss(labels, probabilities, labels=range(classes)), rel=1e-6)
    assert found.ece == pytest.approx(float(ece), abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(scored())
def test_confusion_and_per_class_agree_with_scikit_learn(case):
    logits, labels, _ = case
    names = [f"c{i}" for i in range(logits.shape[1])]
    sums = evaluation.tally(evaluation.from_logits(logits, labels), len(names))
    predicted = logits.argmax(1)
    confusion = evaluation.confusion_matrix(sums, names)
    assert np.array_equal(confusion.counts, sk.confusion_matrix(labels, predicted, labels=range(len(names))))
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        labels, predicted, labels=range(len(names)), zero_division=np.nan
    )
    for i, row in enumerate(evaluation.class_metrics(sums, names)):
        assert row.num_images == support[i]
        for mine, theirs in ((row.precision, precision[i]), (row.recall, recall[i]), (row.f1, f1[i])):
            assert mine is None if np.isnan(theirs) else mine == pytest.approx(theirs)


def test_a_row_of_the_confusion_matrix_is_a_true_class():
    part = Predictions(labels=torch.tensor([0, 0, 0, 1]), predicted=torch.tensor([0, 1, 1, 1]))
    sums = evaluation.tally(part, 2)
    assert evaluation.confusion_matrix(sums, ("ants", "bees")).counts == ((1, 2), (0, 1))


def test_what_has_no_probabilities_has_no_loss_and_no_calibration():
    part = Predictions(labels=torch.tensor([0, 1]), predicted=torch.tensor([0, 1]))
    found = evaluation.summarise([part, part], 2)
    assert (found.accuracy, found.loss, found.ece) == (1.0, None, None)


def test_full_confidence_falls_into_the_last_bin():
    part = evaluation.from_logits(torch.tensor([[1000.0, 0.0], [0.0, 1000.0]]), torch.tensor([0, 0]))
    assert evaluation.summarise([part], 2).ece == pytest.approx(0.5)


def test_joined_predictions_keep_their_order():
    parts = [evaluation.from_logits(torch.eye(3)[i : i + 1], torch.tensor([i])) for i in (2, 0)]
    whole = evaluation.join(parts)
    assert whole.predicted.tolist() == [2, 0]
    assert whole.probabilities.shape == (2, 3)

"""Metrics of one part: counts are summed over any batches, and divided once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor
from torch.nn.functional import nll_loss

from tlcore.results import ClassMetrics, ConfusionMatrix, PartMetrics

NUM_BINS = 15  # Guo et al. 2017, "On Calibration of Modern Neural Networks"


@dataclass(frozen=True)
class Predictions:
    """What a classifier says of N images, on the CPU.

    labels, predicted: [N] int64. probabilities: [N, K] float64, or None where the classifier has none.
    losses: [N] float64 cross-entropy in nats, or None where it is undefined.
    """

    labels: Tensor
    predicted: Tensor
    probabilities: Tensor | None = None
    losses: Tensor | None = None


@dataclass(frozen=True)
class Sums:
    """Counts and sums over images; two of them add up.

    confusion: [K, K] int64, row = true class, column = predicted. loss: sum over images, or None.
    bins: [3, 15] float64, per confidence bin the number of images, of hits, and the sum of confidences; or None.
    """

    confusion: Tensor
    loss: float | None
    bins: Tensor | None

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            confusion=self.confusion + other.confusion,
            loss=None if self.loss is None or other.loss is None else self.loss + other.loss,
            bins=None if self.bins is None or other.bins is None else self.bins + other.bins,
        )


def from_logits(logits: Tensor, labels: Tensor) -> Predictions:
    """Predictions of a network. logits: [N, K] on any device; labels: [N]."""
    log_probabilities = logits.detach().to("cpu", torch.float64).log_softmax(1)
    labels = labels.to("cpu", torch.int64)
    return Predictions(
        labels=labels,
        predicted=log_probabilities.argmax(1),
        probabilities=log_probabilities.exp(),
        losses=nll_loss(log_probabilities, labels, reduction="none"),
    )


def join(parts: Sequence[Predictions]) -> Predictions:
    """Predictions of several batches as one, in their order."""
    probabilities = [p.probabilities for p in parts if p.probabilities is not None]
    losses = [p.losses for p in parts if p.losses is not None]
    return Predictions(
        labels=torch.cat([p.labels for p in parts]),
        predicted=torch.cat([p.predicted for p in parts]),
        probabilities=torch.cat(probabilities) if len(probabilities) == len(parts) else None,
        losses=torch.cat(losses) if len(losses) == len(parts) else None,
    )


def tally(predictions: Predictions, num_classes: int) -> Sums:
    """The sums of one batch."""
    cells = predictions.labels * num_classes + predictions.predicted
    confusion = torch.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)
    loss = None if predictions.losses is None else float(predictions.losses.sum())
    return Sums(confusion, loss, _bins(predictions))


def summarise(batches: Iterable[Predictions], num_classes: int) -> PartMetrics:
    """Metrics over all batches. Raises: ValueError where there is no batch."""
    return metrics(reduce(Sums.__add__, (tally(batch, num_classes) for batch in batches)))


def metrics(sums: Sums) -> PartMetrics:
    """Divide. Balanced accuracy: mean recall over the classes that have images."""
    confusion = sums.confusion.double()
    support = confusion.sum(1)
    number = int(support.sum())
    hits = confusion.diagonal()
    present = support > 0
    return PartMetrics(
        num_images=number,
        accuracy=float(hits.sum() / number),
        balanced_accuracy=float((hits[present] / support[present]).mean()),
        loss=None if sums.loss is None else sums.loss / number,
        ece=None if sums.bins is None else float((sums.bins[1] - sums.bins[2]).abs().sum() / number),
    )


def confusion_matrix(sums: Sums, classes: Sequence[str]) -> ConfusionMatrix:
    """Rows are true classes, columns predicted ones."""
    return ConfusionMatrix(classes=tuple(classes), counts=tuple(tuple(row) for row in sums.confusion.tolist()))


def class_metrics(sums: Sums, classes: Sequence[str]) -> tuple[ClassMetrics, ...]:
    """Precision, recall and F1 of each class; None where it divides by nothing."""
    hits = sums.confusion.diagonal().tolist()
    support = sums.confusion.sum(1).tolist()
    predicted = sums.confusion.sum(0).tolist()
    return tuple(
        ClassMetrics(
            name=name,
            num_images=support[i],
            precision=_ratio(hits[i], predicted[i]),
            recall=_ratio(hits[i], support[i]),
            f1=_ratio(2 * hits[i], support[i] + predicted[i]),
        )
        for i, name in enumerate(classes)
    )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _bins(predictions: Predictions) -> Tensor | None:
    """Bin b holds the confidences in (b/15, (b+1)/15]."""
    if predictions.probabilities is None:
        return None
    confidence = predictions.probabilities.max(1).values
    index = ((confidence * NUM_BINS).ceil().long() - 1).clamp(0, NUM_BINS - 1)
    hit = (predictions.predicted == predictions.labels).double()
    values = torch.stack([torch.ones_like(confidence), hit, confidence])
    return torch.zeros(3, NUM_BINS, dtype=torch.float64).index_add(1, index, values)

"""What a run has to beat without any training: the majority class, and the pretrained network used as it is.

The second answers with the class whose mean of the network's features is nearest by Euclidean distance, the nearest
class mean of Mensink et al. 2013 ("Distance-Based Image Classification", section 4) without a learned metric.
Its features are the stored ones, so all runs of one model share one pass, which is charged to `total_seconds` alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from tlcore.errors import ModelError, StorageError, WeightsError
from tlcore.results import Floor, FloorName
from tlcore.training.device import reset_peak_memory
from tlcore.training.features.store import Extraction, backbone_state, stored_features
from tlcore.training.images.batches import Rows
from tlcore.training.loop.task import PREPARED
from tlcore.training.networks.models import UNCHANGED, build_network
from tlcore.training.outcome import evaluation
from tlcore.training.outcome.evaluation import Predictions
from tlcore.training.prepare import Ground, Prepared
from tlcore.training.weights.loading import WeightsReport, load_backbone

Labels = npt.NDArray[np.int64]
CHUNK = 4096  # images at once, to bound memory


@dataclass(frozen=True)
class ClassMeans:
    """classes: [P] int64, those that have images. means: [P, D] float64."""

    classes: Labels
    means: npt.NDArray[np.float64]


def floors_of(ground: Ground, prepared: Prepared) -> tuple[tuple[Floor, ...], tuple[str, ...]]:
    """The floors of a run, and what must be known where one could not be measured. prepared: at its start.

    A run with a random start has the majority class alone. Nothing that training depends on is changed.
    Raises: RunCancelledError.
    """
    task = prepared.task
    labels = task.source.labels.cpu().numpy()
    parts = {"val": task.val, "test": np.array(ground.split.test, dtype=np.int64)}
    majority = majority_class(labels[task.train])
    answers = {name: np.full(len(rows), majority, dtype=np.int64) for name, rows in parts.items()}
    majority_floor = _scored("majority_class", answers, parts, labels, task.num_classes)
    if prepared.weights is None or prepared.weights.fingerprint is None:
        return (majority_floor,), ()
    try:
        features = _pretrained_features(ground, prepared, prepared.weights)
        found = class_means(features, task.train, labels)
    except (ModelError, WeightsError, StorageError) as problem:
        return (majority_floor,), (f"the pretrained network as it is was not measured: {problem}",)
    answers = {name: nearest(found, features, rows) for name, rows in parts.items()}
    return (majority_floor, _scored("nearest_class_mean", answers, parts, labels, task.num_classes)), ()


def majority_class(labels: Labels) -> int:
    """The most frequent class, the lowest of equally frequent ones. labels: [N]."""
    return int(np.bincount(labels).argmax())


def class_means(features: npt.NDArray[np.float32], rows: Rows, labels: Labels) -> ClassMeans:
    """The mean features of each class that has rows. features: [images, D]. labels: [images].

    Raises: ModelError where the network gave something else than numbers.
    """
    own = labels[rows]
    classes = np.unique(own)
    means = np.stack([features[rows[own == label]].mean(axis=0, dtype=np.float64) for label in classes])
    if not np.isfinite(means).all():
        raise ModelError("its features are not finite numbers")
    return ClassMeans(classes, means)


def nearest(found: ClassMeans, features: npt.NDArray[np.float32], rows: Rows) -> Labels:
    """The class of the nearest mean for each row, the lowest of equally near ones. features: [images, D]."""
    half = (found.means**2).sum(axis=1) / 2  # |x − m|² is smallest where x·m − |m|²/2 is largest
    chunks = [rows[first : first + CHUNK] for first in range(0, len(rows), CHUNK)]
    places = [(features[chunk].astype(np.float64) @ found.means.T - half).argmax(axis=1) for chunk in chunks]
    answers: Labels = found.classes[np.concatenate(places)]
    return answers


def _scored(
    name: FloorName, answers: Mapping[str, Labels], parts: Mapping[str, Rows], labels: Labels, num_classes: int
) -> Floor:
    scores = {
        part: evaluation.summarise(
            [Predictions(torch.from_numpy(labels[rows]), torch.from_numpy(answers[part]))], num_classes
        )
        for part, rows in parts.items()
    }
    return Floor(name=name, val=scores["val"], test=scores["test"])


def _pretrained_features(ground: Ground, prepared: Prepared, weights: WeightsReport) -> npt.NDArray[np.float32]:
    """Of all images, what the head of the unchanged pretrained network would see.

    Raises: WeightsError where there is no such network; ModelError, StorageError, RunCancelledError.
    """
    task, job = prepared.task, prepared.stored.job
    if task.network.changes != UNCHANGED:
        features = stored_features(_unchanged(ground, replace(job, until=PREPARED)))
        reset_peak_memory(ground.device.device)  # the second network is none of the run's own cost
        return features.features
    if weights.match is not None and (weights.match.missing or weights.match.other_shape):
        raise WeightsError("only a part of its weights was loaded, the rest is random")
    return prepared.stored.plain().features


def _unchanged(ground: Ground, job: Extraction) -> Extraction:
    """The same with the library's own network instead of one that was cut or got another head."""
    spec = ground.spec
    with torch.random.fork_rng(devices=[]):
        network = build_network(spec.model, len(ground.dataset.info.classes), job.source.preprocessing.size)
    report = load_backbone(network, spec.weights, ground.weights_path)
    network.module.to(ground.device.device).to(memory_format=torch.channels_last)
    start = backbone_state(network)
    return replace(job, network=network, changes=UNCHANGED, weights=report.fingerprint or "", start=start)

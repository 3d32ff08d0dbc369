"""The phase that fits a classifier on stored features: one pass, one curve point, no gradient."""

import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tlcore.datasets.dataset import Dataset
from tlcore.errors import TrainingError
from tlcore.recipes import FitRecipe
from tlcore.training import classifiers, evaluation
from tlcore.training.batches import Rows
from tlcore.training.checkpoints import State
from tlcore.training.classifiers import Labelled, Linear, Neighbors
from tlcore.training.evaluation import Predictions
from tlcore.training.features import FEATURES_MADE, StoredFeatures, stored_features
from tlcore.training.freezing import apply_trainable
from tlcore.training.loop import Task, begin_phase, check_stop, end_phase, record, save

KNN_FEATURES, KNN_LABELS = "knn.features", "knn.labels"  # beside the network's tensors in a best file


def fit_phase(task: Task, state: State, recipe: FitRecipe, stored: StoredFeatures) -> None:
    """Fit the classifier, fold it into the network's head where it is linear, and add the one point to the curve.

    Charged: the measured time of making the features of the images used here, cached or not, and of fitting.
    Raises: RunCancelledError, TrainingError when the phase is not a strategy's first.
    """
    if state.phase != 0:
        raise TrainingError(
            "Fit must be a strategy's first phase: stored features are those of the weights it starts from"
        )
    apply_trainable(task.network, "head", "eval")
    begin_phase(task, state)
    task.reporter.progressed(FEATURES_MADE, f"fitting {recipe.classifier.replace('_', ' ')}")
    begun = time.perf_counter()
    train, val = labelled(task, stored, task.train), labelled(task, stored, task.val)
    fitted = classifiers.fit(recipe, train, val, task.num_classes, task.seed, lambda: check_stop(task.reporter))
    state.train_seconds += time.perf_counter() - begun + stored.seconds_per_image * (len(task.train) + len(task.val))
    state.notes = (*state.notes, *fitted.notes)
    training = evaluation.summarise([classifiers.predict(fitted.classifier, train)], task.num_classes)
    record(
        task,
        state,
        fitted.val,
        train_loss=training.loss,
        train_accuracy=training.accuracy,
        rates={},
        images_seen=len(task.train),
        extra=_install(task, fitted.classifier),
    )
    end_phase(task, state)
    save(task, state)
    task.reporter.evaluated(state.history, 1)


def labelled(task: Task, stored: StoredFeatures, rows: Rows) -> Labelled:
    """Features and labels of some images."""
    labels = task.source.labels.cpu()[torch.from_numpy(rows)]
    return Labelled(torch.from_numpy(np.asarray(stored.features[rows])), labels)


def feature_predictions(
    task: Task, recipe: FitRecipe, stored: StoredFeatures, tensors: dict[str, Tensor], rows: Rows
) -> Predictions:
    """What the fitted classifier says of some images. tensors: of the run's best file."""
    return classifiers.predict(_installed(task, recipe, tensors), labelled(task, stored, rows))


def features_for(task: Task, dataset: Dataset, weights_fingerprint: str, cache_dir: Path) -> StoredFeatures:
    """The stored features of the network as it is now."""
    return stored_features(
        task.network, task.source, dataset, weights_fingerprint, cache_dir, task.evaluation_batch, task.reporter
    )


def _install(task: Task, classifier: Linear | Neighbors) -> dict[str, Tensor]:
    """Put a linear classifier into the network's head; what k-NN needs beside the network."""
    if isinstance(classifier, Neighbors):
        return {KNN_FEATURES: classifier.features, KNN_LABELS: classifier.labels}
    with torch.no_grad():
        task.network.head.weight.copy_(classifier.weight)
        task.network.head.bias.copy_(classifier.bias)
    return {}


def _installed(task: Task, recipe: FitRecipe, tensors: dict[str, Tensor]) -> Linear | Neighbors:
    """The classifier that `_install` left."""
    if recipe.classifier == "knn":
        labels = tensors[KNN_LABELS]
        return Neighbors(tensors[KNN_FEATURES], labels, min(recipe.neighbors, len(labels)), task.num_classes)
    name = task.network.head_name
    has_probabilities = recipe.classifier == "logistic_regression"
    return Linear(tensors[f"{name}.weight"].cpu(), tensors[f"{name}.bias"].cpu(), has_probabilities)

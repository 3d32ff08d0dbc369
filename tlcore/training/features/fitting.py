"""The phase that fits a classifier on stored features: one pass, one curve point, no gradient."""

import time

import numpy as np
import torch
from torch import Tensor

from tlcore.errors import TrainingError
from tlcore.recipes import FitRecipe
from tlcore.training.features import classifiers
from tlcore.training.features.classifiers import Labelled, Linear, Neighbors
from tlcore.training.features.store import FEATURES_MADE, Features, StoredFeatures, feature_seconds, views_of
from tlcore.training.images.batches import Rows
from tlcore.training.loop.checkpoints import State
from tlcore.training.loop.phase import begin_phase, end_phase, record, save
from tlcore.training.loop.task import Task, check_stop
from tlcore.training.networks.freezing import apply_trainable
from tlcore.training.outcome import evaluation
from tlcore.training.outcome.evaluation import Predictions

WITHOUT_PROBABILITIES = ("linear_svm",)
KNN_FEATURES, KNN_LABELS = "knn.features", "knn.labels"  # beside the network's tensors in a best file


def fit_phase(task: Task, state: State, recipe: FitRecipe, stored: Features) -> None:
    """Fit the classifier, fold it into the network's head where it is linear, and add the one point to the curve.

    Charged: `feature_seconds`, and the time of fitting.
    Raises: RunCancelledError, TrainingError when the phase is not a strategy's first.
    """
    if state.phase != 0:
        raise TrainingError(
            "Fit must be a strategy's first phase: stored features are those of the weights it starts from"
        )
    apply_trainable(task.network, "head", "eval")
    begin_phase(task, state)
    task.reporter.progressed(FEATURES_MADE, f"fitting {recipe.classifier.replace('_', ' ')}")
    cost = feature_seconds(task, stored)
    begun = time.perf_counter()
    train, val = labelled(task, stored.plain(), task.train), labelled(task, stored.plain(), task.val)
    seen = _with_views(task, recipe, stored, train)
    with task.watch.measure("fit"):
        fitted = classifiers.fit(
            recipe, seen, val, task.num_classes, task.seed, lambda: check_stop(task.reporter), task.source.device
        )
    state.fit_seconds = time.perf_counter() - begun + cost
    state.train_seconds += state.fit_seconds
    state.notes = (*state.notes, *fitted.notes)
    training = evaluation.summarise([classifiers.predict(fitted.classifier, train)], task.num_classes)
    record(
        task,
        state,
        fitted.val,
        train_loss=training.loss,
        train_accuracy=training.accuracy,
        rates={},
        images_seen=len(seen.labels),
        has_probabilities=recipe.classifier not in WITHOUT_PROBABILITIES,
        extra=_install(task, fitted.classifier),
    )
    end_phase(task, state)
    save(task, state)
    with task.watch.measure("logging"):
        task.reporter.evaluated(state.history, 1)


def labelled(task: Task, stored: StoredFeatures, rows: Rows) -> Labelled:
    """Features and labels of some images."""
    labels = task.source.labels.cpu()[torch.from_numpy(rows)]
    return Labelled(torch.from_numpy(np.asarray(stored.features[rows])), labels)


def feature_predictions(
    task: Task, recipe: FitRecipe, stored: Features, tensors: dict[str, Tensor], rows: Rows
) -> Predictions:
    """What the fitted classifier says of some images. tensors: of the run's best file."""
    return classifiers.predict(_installed(task, recipe, tensors), labelled(task, stored.plain(), rows))


def _with_views(task: Task, recipe: FitRecipe, stored: Features, train: Labelled) -> Labelled:
    """The training part, followed by its augmented copies with the same labels."""
    views = [stored.view(task.train, task.seed, number) for number in views_of(recipe)]
    if not views:
        return train
    copies = [torch.from_numpy(np.array(view.features)) for view in views]
    return Labelled(torch.cat([train.features, *copies]), train.labels.repeat(1 + len(copies)))


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
    has_probabilities = recipe.classifier not in WITHOUT_PROBABILITIES
    return Linear(tensors[f"{name}.weight"].cpu(), tensors[f"{name}.bias"].cpu(), has_probabilities)

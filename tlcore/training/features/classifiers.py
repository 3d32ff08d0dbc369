"""Classifiers on stored features: logistic regression and a linear SVM, folded into a linear head, and k-NN."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from tlcore.errors import TrainingError
from tlcore.recipes import FitRecipe
from tlcore.results import PartMetrics
from tlcore.training.device import Device
from tlcore.training.features.logistic import LogisticPath, Solution
from tlcore.training.outcome import evaluation
from tlcore.training.outcome.evaluation import Predictions

Array = npt.NDArray[np.float64]
CPU = Device(torch.device("cpu"), "the CPU", torch.float32)
MAX_ITERATIONS = 1_000
COARSE = 1.0  # distance of the first sweep's C values, in decades
FINE = 0.25  # distance of the second sweep's, one coarse step to either side of the best
CONSTANT = 1e-5  # a feature that varies less, relative to its mean, is rounding noise and stays unscaled
KNN_CHUNK = 256  # queries at once, to bound memory
CHUNK = 1024  # images whose features are in float64 at once, likewise


@dataclass(frozen=True)
class Labelled:
    """Features of one part. features: [N, D] float32. labels: [N] int64."""

    features: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Linear:
    """A linear head on unstandardised features. weight: [K, D] float32. bias: [K] float32."""

    weight: Tensor
    bias: Tensor
    has_probabilities: bool = True


@dataclass(frozen=True)
class Neighbors:
    """The reference images of k-NN. features: [N, D] float32 of length 1. labels: [N] int64."""

    features: Tensor
    labels: Tensor
    k: int
    num_classes: int


@dataclass(frozen=True)
class Fitted:
    """A classifier, how it does on validation, and what should be known about its making."""

    classifier: Linear | Neighbors
    val: PartMetrics
    notes: tuple[str, ...] = ()


def fit(
    recipe: FitRecipe,
    train: Labelled,
    val: Labelled,
    num_classes: int,
    seed: int,
    check: Callable[[], None],
    device: Device = CPU,
) -> Fitted:
    """Fit on the training part; C is chosen on the validation part, and nothing is refitted on both.

    check: called before each fit; may raise to stop. device: where a logistic regression is fitted.
    """
    if recipe.classifier == "knn":
        return _nearest(recipe, train, val, num_classes)
    found = np.unique(train.labels.numpy())
    if len(found) < num_classes:
        missing = sorted(set(range(num_classes)) - set(found.tolist()))
        raise TrainingError(f"the training part has no image of the classes {missing}: use more of the data")
    mean, scale = _mean_and_scale(train.features)
    standardised = partial(_standardised, train.features, mean, scale)
    solve = _solver(recipe, standardised, train.labels, num_classes, seed, device)

    def attempt(exponent: float) -> tuple[Fitted, bool]:
        check()
        found = solve(10.0**exponent)
        weight, bias = fold(found.weight, found.bias, mean.numpy(), scale.numpy())
        linear = Linear(weight, bias, recipe.classifier == "logistic_regression")
        return Fitted(linear, evaluation.summarise([predict(linear, val)], num_classes)), found.converged

    return _swept(recipe, attempt)


def predict(classifier: Linear | Neighbors, part: Labelled) -> Predictions:
    """What a classifier says of a part."""
    if isinstance(classifier, Linear):
        logits = part.features @ classifier.weight.T + classifier.bias
        if classifier.has_probabilities:
            return evaluation.from_logits(logits, part.labels)
        return Predictions(labels=part.labels, predicted=logits.argmax(1))
    votes = neighbor_votes(classifier, part.features)
    return Predictions(labels=part.labels, predicted=votes.argmax(1), probabilities=votes)


def neighbor_votes(neighbors: Neighbors, features: Tensor) -> Tensor:
    """Shares [N, K] float64 of each class among the k nearest by cosine, each with one vote. features: [N, D]."""
    shares = []
    for chunk in torch.split(normalize(features.float(), dim=1), KNN_CHUNK):
        nearest = (chunk @ neighbors.features.T).topk(neighbors.k, dim=1).indices
        shares.append(one_hot(neighbors.labels[nearest], neighbors.num_classes).double().mean(1))
    return torch.cat(shares)


def fold(weight: Array, bias: Array, mean: Array, scale: Array) -> tuple[Tensor, Tensor]:
    """A classifier on standardised features as a linear head on the features themselves.

    weight: [K, D], or [1, D] for two classes, whose one score d becomes the two scores -d/2 and d/2, so that
    their softmax is the logistic function of d. mean, scale: [D]. Returns: weight [K, D] and bias [K], float32.
    """
    if len(weight) == 1:
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    folded = weight / scale
    shifted = bias - folded @ mean
    return torch.from_numpy(folded).float(), torch.from_numpy(shifted).float()


def _nearest(recipe: FitRecipe, train: Labelled, val: Labelled, num_classes: int) -> Fitted:
    k = min(recipe.neighbors, len(train.labels))
    notes = (f"k-NN: only {k} training images, so k is {k}, not {recipe.neighbors}",) if k < recipe.neighbors else ()
    neighbors = Neighbors(normalize(train.features, dim=1), train.labels, k, num_classes)
    return Fitted(neighbors, evaluation.summarise([predict(neighbors, val)], num_classes), notes)


def _mean_and_scale(features: Tensor) -> tuple[Tensor, Tensor]:
    """What standardises features [N, D]: float64 [D] each. Raises: TrainingError."""
    chunks = torch.split(features, CHUNK)
    mean = torch.stack([chunk.double().sum(0) for chunk in chunks]).sum(0) / len(features)
    if not mean.isfinite().all():
        raise TrainingError(
            "the network's features of some training images are no finite numbers, so nothing can be fitted on them: "
            "use other weights"
        )
    squares = torch.stack([(chunk.double() - mean).square().sum(0) for chunk in chunks])
    scale = (squares.sum(0) / len(features)).sqrt()
    scale[scale <= CONSTANT * mean.abs()] = 1.0
    return mean, scale


def _standardised(features: Tensor, mean: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
    """Features [N, D] in another number format, computed in float64."""
    out = torch.empty_like(features, dtype=dtype)
    for rows, chunk in zip(torch.split(out, CHUNK), torch.split(features, CHUNK), strict=True):
        rows.copy_((chunk.double() - mean) / scale)
    return out


def _swept(recipe: FitRecipe, attempt: Callable[[float], tuple[Fitted, bool]]) -> Fitted:
    """Sweep log10 of C coarsely, then finely around the best.

    attempt: what log10 of one C leads to, and whether that fit converged.
    """
    tried: dict[float, Fitted] = {}
    unconverged: list[float] = []

    def sweep(exponents: Iterable[float]) -> None:
        for exponent in sorted(set(exponents) - tried.keys()):
            tried[exponent], converged = attempt(exponent)
            if not converged:
                unconverged.append(exponent)

    sweep(_grid(recipe.c_low, recipe.c_high, COARSE))
    centre = _best(tried)
    sweep(_grid(max(centre - COARSE, recipe.c_low), min(centre + COARSE, recipe.c_high), FINE))
    best = _best(tried)
    return Fitted(tried[best].classifier, tried[best].val, _notes(recipe, best, unconverged))


def _solver(
    recipe: FitRecipe,
    standardised: Callable[[torch.dtype], Tensor],
    labels: Tensor,
    num_classes: int,
    seed: int,
    device: Device,
) -> Callable[[float], Solution]:
    """How to fit for one C. standardised: gives features [N, D] in a number format."""
    if recipe.classifier == "logistic_regression":
        return LogisticPath(
            standardised(torch.float32).to(device.device), labels, num_classes, MAX_ITERATIONS, device.dtype
        ).fit
    features = standardised(torch.float64).numpy()
    model = LinearSVC(loss="squared_hinge", dual="auto", max_iter=MAX_ITERATIONS, random_state=seed)

    def solve(c: float) -> Solution:
        converged = _fit_quietly(model.set_params(C=c), features, labels.numpy())
        return Solution(model.coef_, model.intercept_, converged)

    return solve


def _fit_quietly(model: LinearSVC, features: Array, labels: npt.NDArray[np.int64]) -> bool:
    """Fit; whether it converged. Other warnings go on as they came."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(features, labels)
    for warning in caught:
        if not issubclass(warning.category, ConvergenceWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)


def _grid(low: float, high: float, distance: float) -> list[float]:
    number = max(1, round((high - low) / distance)) if high > low else 0
    return [round(float(value), 6) for value in np.linspace(low, high, number + 1)]


def _best(tried: dict[float, Fitted]) -> float:
    """Highest validation accuracy, then lower loss, then smaller C."""
    return min(tried, key=lambda c: (-tried[c].val.accuracy, tried[c].val.loss or 0.0, c))


def _notes(recipe: FitRecipe, best: float, unconverged: list[float]) -> tuple[str, ...]:
    name = recipe.classifier.replace("_", " ")
    notes = [f"{name}: C = {10**best:.3g}, chosen on validation from {10**recipe.c_low:g} to {10**recipe.c_high:g}"]
    if unconverged:
        values = ", ".join(f"{10**c:.3g}" for c in sorted(unconverged))
        effect = "; the chosen C is among them" if best in unconverged else ""
        notes.append(f"{name} did not converge within {MAX_ITERATIONS} iterations at C = {values}{effect}")
    return tuple(notes)

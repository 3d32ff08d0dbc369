"""What guessing comes to: the loss of the best answer that is the same for every image, and hits by luck."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcore.recipes import FitRecipe, Recipe, TrainRecipe

BY_LUCK = 3.0  # standard errors by which the images of one stretch, or hits, may be better than guessing
WELL_ABOVE = 0.25  # of the way from chance to all: images of a class are alike, so untrained answers are lucky in whole


@dataclass(frozen=True)
class Guess:
    """loss: mean cross-entropy in nats over the training images. spread: its standard deviation from image to image."""

    loss: float
    spread: float = 0.0


def guesses_of(recipe: Recipe, labels: NDArray[Any], num_classes: int) -> tuple[Guess, ...]:
    """The guess of each phase. labels: [N ≥ 1] of the training part."""
    return tuple(_guess(phase, labels, num_classes) for phase in recipe.phases)


def lucky_accuracy(labels: NDArray[Any], num_classes: int) -> float:
    """The balanced accuracy that a network which has learned nothing hardly exceeds. labels: [N ≥ 1] of the images.

    Answers that ignore the images hit shares of the K classes that add up to 1: 1/K on average, and more by luck.
    Answers of an untrained network go with the images, and those of one class are alike, which lifts it further.
    """
    counts = np.bincount(labels, minlength=num_classes)
    counts = counts[counts > 0]
    chance = 1 / len(counts)
    error = math.sqrt(chance * (1 - chance) * float(np.sum(1 / counts))) / len(counts)
    return chance + max(BY_LUCK * error, WELL_ABOVE * (1 - chance))


def _guess(phase: TrainRecipe | FitRecipe, labels: NDArray[Any], num_classes: int) -> Guess:
    """What a network comes to that sees no difference between images.

    It answers with the classes' shares of the training part, so that its loss is their entropy, ln K of K equal classes
    (Cover & Thomas 2006, Elements of Information Theory, ch. 2); with equal shares where classes are balanced in
    training; and with label smoothing ε, which it is trained to, with a part ε spread over all classes.
    """
    counts = np.bincount(labels, minlength=num_classes)
    shares, present = counts / counts.sum(), counts > 0
    balanced, smoothing = False, 0.0
    if isinstance(phase, TrainRecipe):
        balanced, smoothing = phase.class_balance != "none", phase.label_smoothing
    answer = present / present.sum() if balanced else shares
    losses = -np.log(((1 - smoothing) * answer + smoothing / num_classes)[present])
    mean = float(np.average(losses, weights=shares[present]))
    return Guess(mean, float(np.average((losses - mean) ** 2, weights=shares[present]) ** 0.5))

"""Per-image predictions of synthetic runs, and the figures counted from them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tlcore.results import ClassMetrics, ConfusionMatrix, PartMetrics


def predictions_frame(
    accuracy: dict[str, float], sizes: dict[str, int], num_classes: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Predictions of one run per split; hard images are hard for every run, as in real life."""
    frames = []
    for split, size in sizes.items():
        labels = np.arange(size) % num_classes
        ease = np.random.default_rng(size).normal(size=size)  # the same images for all runs
        score = ease + rng.normal(scale=0.8, size=size)
        right = score >= np.quantile(score, 1 - accuracy[split])
        predicted = np.where(right, labels, (labels + rng.integers(1, num_classes, size)) % num_classes)
        top = np.where(right, rng.uniform(0.7, 1.0, size), rng.uniform(0.5, 0.8, size))
        probabilities = np.tile(((1 - top) / (num_classes - 1))[:, None], (1, num_classes))
        probabilities[np.arange(size), predicted] = top
        columns = {f"prob_{k}": probabilities[:, k].astype(np.float32) for k in range(num_classes)}
        paths = [f"{split}/{i:05d}.jpg" for i in range(size)]
        frame = pd.DataFrame({"split": split, "path": paths, "label": labels, "predicted": predicted, **columns})
        frames.append(frame.sample(frac=1, random_state=int(rng.integers(2**31))))
    return pd.concat(frames, ignore_index=True)


def part_metrics(frame: pd.DataFrame, split: str) -> PartMetrics:
    """Metrics counted from a run's predictions."""
    part = frame[frame["split"] == split]
    right = part["label"] == part["predicted"]
    truth = part[[c for c in part if c.startswith("prob_")]].to_numpy()[np.arange(len(part)), part["label"]]
    balanced = float(right.groupby(part["label"]).mean().mean())
    return PartMetrics(
        num_images=len(part), accuracy=float(right.mean()), balanced_accuracy=balanced,
        loss=float(-np.log(truth + 1e-9).mean()), ece=0.05,
    )  # fmt: skip


def confusion(frame: pd.DataFrame, split: str, classes: Sequence[str]) -> ConfusionMatrix:
    counts = np.zeros((len(classes), len(classes)), dtype=int)
    part = frame[frame["split"] == split]
    np.add.at(counts, (part["label"].to_numpy(), part["predicted"].to_numpy()), 1)
    return ConfusionMatrix(classes=tuple(classes), counts=tuple(tuple(int(c) for c in row) for row in counts))


def class_metrics(matrix: ConfusionMatrix) -> tuple[ClassMetrics, ...]:
    counts = np.array(matrix.counts)
    found = []
    for k, name in enumerate(matrix.classes):
        true, predicted, right = int(counts[k].sum()), int(counts[:, k].sum()), int(counts[k, k])
        recall, precision = (right / n if n else None for n in (true, predicted))
        f1 = 2 * right / (true + predicted) if true + predicted else None
        found.append(ClassMetrics(name=name, num_images=true, precision=precision, recall=recall, f1=f1))
    return tuple(found)

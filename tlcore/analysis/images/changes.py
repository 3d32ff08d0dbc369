"""Class by class: how much more often A is right than B, with what the seeds and images allow to say of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tlcore.analysis.images.answers import Predictions
from tlcore.analysis.images.pairs import Pair
from tlcore.analysis.images.significance import class_p_values
from tlcore.analysis.statistics.intervals import (
    Basis,
    Estimate,
    Interval,
    difference_estimate,
)
from tlcore.analysis.statistics.multiplicity import holm
from tlcore.analysis.statistics.resampling import resampled_difference, resampling_ratio
from tlcore.errors import ComparisonError
from tlcore.results import ComparisonRecord, Value

LEVEL = 0.05  # of all classes together, after Holm's correction
Seeds = list[NDArray[np.bool_]]  # of one class and each seed that met it: whether A and B were right, [2, N images]
Tested = tuple[Estimate, float | None]
UNTESTED: Tested = (Estimate(0.0, None, "none"), None)  # one image or none


class ClassChange(Value):
    """One class. first, second: share of its images that A and B got right; None for a class without test images.

    images: different test images of the class. change: first − second, with its 95 % `interval` for this class alone.
    basis: the variation in the interval. p_value: two-sided, of no change. adjusted: after Holm's correction for all
    classes, None where one image or none tells nothing.
    """

    name: str
    images: int
    first: float | None = None
    second: float | None = None
    change: float | None = None
    interval: Interval | None = None
    basis: Basis = "none"
    p_value: float | None = None
    adjusted: float | None = None

    @property
    def clear(self) -> bool:
        """Whether the change holds at 95 % for all classes together."""
        return self.adjusted is not None and self.adjusted < LEVEL


@dataclass(frozen=True)
class SeedAnswers:
    """One seed's test images, sorted by path: labels [N], and whether A and B were right, right [2, N]."""

    paths: tuple[str, ...]
    labels: NDArray[np.int64]
    right: NDArray[np.bool_]


def class_changes(record: ComparisonRecord, pair: Pair, predictions: Predictions) -> list[ClassChange]:
    """The change of each class, in the dataset's order. Raises: ComparisonError where A and B met other test images.

    With one test split for all seeds: the two-way interval over seeds and images, or over images with one seed, and
    the tests of `significance`. Where each seed has test images of its own: the corrected resampled t, as of
    `statistics.resampling`.
    """
    seeds = paired_answers(pair, predictions)
    classes = range(len(record.dataset.classes))
    met = [[right for seed in seeds if (right := seed.right[:, seed.labels == k]).shape[1]] for k in classes]
    tested = _over_images(met) if record.spec.split_plan.is_fixed else _over_splits(met, _ratio(record, seeds))
    images = _different_images(seeds, len(classes))
    adjusted = iter(holm([p_value for _, p_value in tested if p_value is not None]))
    return [
        _class_change(name, met[k], images[k], tested[k], None if tested[k][1] is None else next(adjusted))
        for k, name in enumerate(record.dataset.classes)
    ]


def class_change_rows(changes: Sequence[ClassChange], names: tuple[str, str]) -> list[dict[str, object]]:
    """The changes as people read them, the largest first: shares in per cent, changes in points."""
    order = sorted(changes, key=lambda change: -abs(change.change or 0.0))
    return [
        {
            "Class": change.name,
            "Test images": change.images,
            f"A: {names[0]} (%)": _hundred(change.first),
            f"B: {names[1]} (%)": _hundred(change.second),
            "A − B (points)": _hundred(change.change),
            "95 % interval": _interval_words(change.interval),
            "Clear after correction": _clear_words(change),
        }
        for change in order
    ]


def paired_answers(pair: Pair, predictions: Predictions) -> list[SeedAnswers]:
    """Of each seed whether A and B were right, image by image. Raises: ComparisonError for other test images."""
    found = []
    for runs in pair.runs:
        parts = []
        for run in runs:
            frame = predictions[run.run_id]
            parts.append(frame[frame["split"] == "test"].sort_values("path", ignore_index=True))
        first, second = parts
        if not first["path"].equals(second["path"]):
            raise ComparisonError(
                f"{pair.names[0]} and {pair.names[1]} met other test images with seed {runs[0].spec.seed}: compare "
                "runs with one test split"
            )
        right = np.stack([(part["label"] == part["predicted"]).to_numpy(dtype=bool) for part in parts])
        found.append(SeedAnswers(tuple(first["path"]), first["label"].to_numpy(dtype=np.int64), right))
    return found


def _class_change(name: str, met: Seeds, images: int, tested: Tested, adjusted: float | None) -> ClassChange:
    estimate, p_value = tested
    if not met:
        return ClassChange(name=name, images=images)
    first, second = (fmean(float(right[place].mean()) for right in met) for place in (0, 1))
    return ClassChange(
        name=name,
        images=images,
        first=first,
        second=second,
        change=first - second,
        interval=estimate.interval,
        basis=estimate.basis,
        p_value=p_value,
        adjusted=adjusted,
    )


def _over_images(classes: Sequence[Seeds]) -> list[Tested]:
    """Of each class, all of whose images every seed met."""
    rights = {k: np.stack(met, axis=1) for k, met in enumerate(classes) if met and met[0].shape[1] > 1}
    p_values = class_p_values([right[0].astype(np.int64) - right[1] for right in rights.values()])
    known = dict(zip(rights, p_values, strict=True))
    return [
        (difference_estimate(rights[k][0], rights[k][1]), known[k]) if k in rights else UNTESTED
        for k in range(len(classes))
    ]


def _over_splits(classes: Sequence[Seeds], ratio: float) -> list[Tested]:
    """Of each class, of which each seed met images of its own. ratio: as of `resampling_ratio`."""
    found: list[Tested] = []
    for met in classes:
        if max((right.shape[1] for right in met), default=0) < 2:
            found.append(UNTESTED)
            continue
        estimate = resampled_difference(met, ratio)
        found.append((estimate, estimate.p_value))
    return found


def _ratio(record: ComparisonRecord, seeds: Sequence[SeedAnswers]) -> float:
    tested = fmean(len(seed.labels) for seed in seeds) if seeds else 0.0
    return resampling_ratio(record.spec.split_plan, record.dataset.num_images, tested)


def _different_images(seeds: Sequence[SeedAnswers], num_classes: int) -> list[int]:
    """Different test images of each class over all seeds."""
    tables = [pd.DataFrame({"path": seed.paths, "label": seed.labels}) for seed in seeds]
    if not tables:
        return [0] * num_classes
    counts = pd.concat(tables).drop_duplicates("path")["label"].value_counts()
    return [int(counts.get(k, 0)) for k in range(num_classes)]


def _hundred(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)


def _interval_words(interval: Interval | None) -> str:
    return "–" if interval is None else f"{100 * interval[0]:+.1f} to {100 * interval[1]:+.1f}".replace("-", "−")


def _clear_words(change: ClassChange) -> str:
    if change.adjusted is None:
        return "too few images"
    return "yes" if change.clear else "no"

"""Class by class: how much more often A is right than B, with what the seeds and images allow to say of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

import numpy as np
from numpy.typing import NDArray

from tlcore.analysis.images.answers import Predictions
from tlcore.analysis.images.pairs import Pair
from tlcore.analysis.statistics.intervals import (
    Basis,
    Estimate,
    Interval,
    components,
    difference_estimate,
    variance_of_mean,
)
from tlcore.analysis.statistics.resampling import resampled_difference, resampling_ratio
from tlcore.errors import ComparisonError
from tlcore.results import ComparisonRecord, Value

LEVEL = 0.05  # of all classes together, after Holm's correction
_EQUAL = 1e-12  # means that differ by less than this are equal but for rounding


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

    With one test split for all seeds: the two-way interval over seeds and images, and its t test; with one seed the
    images alone, and the exact test of McNemar (1947) on those that one of the two got right. Where each seed has
    test images of its own: the corrected resampled t, as of `statistics.resampling`.
    """
    seeds = paired_answers(pair, predictions)
    fixed = record.spec.split_plan.is_fixed
    ratio = 0.0
    if seeds and not fixed:
        tested = fmean(len(seed.labels) for seed in seeds)
        ratio = resampling_ratio(record.spec.split_plan, record.dataset.num_images, tested)
    plain = [
        _class_change(name, [seed.right[:, seed.labels == k] for seed in seeds], _distinct(seeds, k), fixed, ratio)
        for k, name in enumerate(record.dataset.classes)
    ]
    tested_classes = [change for change in plain if change.p_value is not None]
    adjusted = holm([change.p_value for change in tested_classes if change.p_value is not None])
    by_name = dict(zip((change.name for change in tested_classes), adjusted, strict=True))
    return [change.model_copy(update={"adjusted": by_name.get(change.name)}) for change in plain]


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
            "Clear": _clear_words(change),
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


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values that keep the chance of any false finding (Holm 1979, Scand. J. Statist. 6)."""
    adjusted, least = [1.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        least = max(least, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = least
    return adjusted


def mcnemar(difference: NDArray[np.int64]) -> float:
    """Exact two-sided p-value of no change (McNemar 1947, by the binomial). difference: −1, 0 or 1 per image, [N]."""
    from scipy.special import bdtr

    better, worse = int((difference > 0).sum()), int((difference < 0).sum())
    return min(1.0, 2 * float(bdtr(min(better, worse), better + worse, 0.5))) if better + worse else 1.0


def _class_change(name: str, seeds: list[NDArray[np.bool_]], images: int, fixed: bool, ratio: float) -> ClassChange:
    """seeds: of each one [2, N images of the class]."""
    met = [right for right in seeds if right.shape[1]]
    if not met:
        return ClassChange(name=name, images=images)
    first, second = (fmean(float(right[place].mean()) for right in met) for place in (0, 1))
    estimate, p_value = _over_images(met) if fixed else _over_splits(met, ratio)
    return ClassChange(
        name=name,
        images=images,
        first=first,
        second=second,
        change=first - second,
        interval=estimate.interval,
        basis=estimate.basis,
        p_value=p_value,
    )


def _over_images(seeds: list[NDArray[np.bool_]]) -> tuple[Estimate, float | None]:
    """All seeds met the same images."""
    right = np.stack(seeds, axis=1)
    difference = right[0].astype(np.int64) - right[1]
    count, images = difference.shape
    if images < 2:
        return Estimate(float(difference.mean()), None, "none"), None
    estimate = difference_estimate(right[0], right[1])
    parts = components(difference) if count > 1 else None
    if parts is None or max(parts.seed, parts.image) == 0:
        return estimate, mcnemar(difference[0])
    spread, freedom = variance_of_mean(parts, count, images)
    return estimate, _t_test(estimate.mean, spread, freedom)


def _over_splits(seeds: list[NDArray[np.bool_]], ratio: float) -> tuple[Estimate, float | None]:
    """Each seed met images of its own."""
    if max(right.shape[1] for right in seeds) < 2:
        return Estimate(fmean(float(r[0].mean()) - float(r[1].mean()) for r in seeds), None, "none"), None
    estimate = resampled_difference(seeds, ratio)
    differences = [right[0].astype(np.int64) - right[1] for right in seeds]
    means = [float(difference.mean()) for difference in differences]
    if max(means) - min(means) < _EQUAL:
        return estimate, mcnemar(max(differences, key=len))
    return estimate, _t_test(estimate.mean, (1 / len(means) + ratio) * variance(means), len(means) - 1.0)


def _t_test(mean: float, spread: float, freedom: float) -> float:
    """Two-sided p-value of a mean of 0. spread: the variance of the mean."""
    from scipy.special import stdtr

    return 2 * float(stdtr(freedom, -abs(mean) / spread**0.5))


def _distinct(seeds: Sequence[SeedAnswers], label: int) -> int:
    """Different test images of a class over all seeds."""
    return len({path for seed in seeds for path, of in zip(seed.paths, seed.labels, strict=True) if of == label})


def _hundred(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)


def _interval_words(interval: Interval | None) -> str:
    return "–" if interval is None else f"{100 * interval[0]:+.1f} to {100 * interval[1]:+.1f}"


def _clear_words(change: ClassChange) -> str:
    if change.adjusted is None:
        return "too few images"
    return "yes" if change.clear else "no"

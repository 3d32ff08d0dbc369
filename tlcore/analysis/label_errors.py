"""Likely label errors: images whose given label out-of-sample predictions confidently contradict.

Confident learning (Northcutt, Jiang & Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels",
JAIR 70): a class is confidently predicted where its probability reaches the class's threshold, which is its mean
probability on the images that bear its label. Thresholds are of one run, as runs differ in how sure they are.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tlcore.errors import ComparisonError
from tlcore.results import ComparisonRecord, DatasetSummary, RunRecord, Value

PARTS = ("val", "test")
FEW = 20  # images of a class in one run, below which its threshold, a mean, is noisy
_UNREACHABLE = np.inf
_ROUNDING = 1e-9  # shares of a k-NN often equal a threshold, but for their last digit
_ABSENT = -1
_UNTOLD = (
    "{} start{} from a weights file that does not tell which images it learned from: if it learned from some of these, "
    "wrong labels of those hide. Public weights, such as ImageNet's, have seen none of your own images."
)


class LabelError(Value):
    """One image whose label is likely wrong.

    path: in the dataset version of the runs. margin: p(given) − the highest other, in [−1, 0], the worst nearest −1.
    given_probability, suggested_probability: means over the runs in which the image is out of sample, of which there
    are `runs`; `agreeing` of them predict the suggestion.
    """

    path: str
    given: str
    suggested: str
    margin: float
    given_probability: float
    suggested_probability: float
    runs: int
    agreeing: int


class LabelErrors(Value):
    """The likely label errors of a dataset version, the worst first, and what they rest on.

    dataset_id: of the version whose paths these are. judged: different images that were out of sample in some run,
    of `num_images`. runs_used: runs that judged.
    thresholds: per class the mean over the runs, None for a class that no run has out of sample. limits: what a
    reader must know, one sentence each.
    """

    dataset_id: str
    errors: tuple[LabelError, ...]
    judged: int
    num_images: int
    runs_used: int
    thresholds: dict[str, float | None]
    limits: tuple[str, ...]


@dataclass(frozen=True)
class Judge:
    """One run that may judge labels. parts: where its images are out of sample."""

    run_id: str
    parts: tuple[str, ...]


@dataclass
class _Tally:
    """Sums over runs. Rows: the images seen so far; columns of `predicted` and `thresholds`: runs, then classes."""

    num_classes: int
    images: pd.Index = field(default_factory=lambda: pd.Index([], dtype=object))
    labels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    predicted: list[NDArray[np.int64]] = field(default_factory=list)
    thresholds: list[NDArray[np.float64]] = field(default_factory=list)
    fewest: int | None = None


def judges(
    record: ComparisonRecord, told: Callable[[RunRecord], bool | None] = lambda run: None
) -> tuple[list[Judge], list[str]]:
    """The runs that may judge, and in a sentence each why others may not, or what is not known of them.

    Not one that did not finish or did not learn. Of a run whose weights are another run's only the test images, as
    that run may have learned from the others; the same of one whose weights file tells images that it learned from.
    A file that tells none may be anything: where no run of the record has the very same weights from a public source,
    a sentence says so.
    told: whether the weights file of a run tells that; None where nobody knows.
    """
    found, reasons, silent = [], dict[str, int](), 0
    public = {_fingerprint(run) for run in record.runs if _is_public(run.spec.weights)}
    for run in record.runs:
        reason, kind = _reason_against(run), run.spec.weights.partition(":")[0]
        if reason:
            reasons[reason] = reasons.get(reason, 0) + 1
            continue
        learned = kind == "run" or (kind == "file" and bool(told(run)))
        silent += kind == "file" and not learned and (_fingerprint(run) or "unknown") not in public
        found.append(Judge(run.run_id, ("test",) if learned else PARTS))
    said = [f"Not asked: {_runs(count)} {reason}." for reason, count in reasons.items()]
    return found, said + ([_UNTOLD.format(_runs(silent), "s" * (silent == 1))] if silent else [])


def label_errors(
    dataset: DatasetSummary, predictions: Iterable[tuple[Judge, pd.DataFrame]], notes: Iterable[str] = ()
) -> LabelErrors:
    """What the runs say of the labels. predictions: per run, with columns split, path, label and prob_0 … prob_K−1.

    An image is a likely error where another class has the highest mean probability, and that reaches the mean of
    this class's thresholds over the same runs. Runs without probabilities judge nothing. Frames are taken one by one
    and not kept. notes: further limits to tell.
    Raises: ComparisonError where two runs give an image different labels, so are of different dataset versions.
    """
    num_classes = len(dataset.classes)
    tally, mute = _Tally(num_classes), 0
    for judge, frame in predictions:
        part = frame[frame["split"].isin(judge.parts)]
        probabilities = part[[f"prob_{k}" for k in range(num_classes)]].to_numpy(dtype=np.float64)
        if np.isnan(probabilities).any():
            mute += 1
        elif len(part):
            _add(tally, part, probabilities)
    told = [f"Not asked: {_runs(mute)} without probabilities, such as those of a linear SVM."] if mute else []
    thresholds = zip(dataset.classes, _mean_thresholds(tally.thresholds, num_classes), strict=True)
    return LabelErrors(
        dataset_id=dataset.id,
        errors=tuple(_found(tally, dataset.classes)),
        judged=len(tally.images),
        num_images=dataset.num_images,
        runs_used=len(tally.thresholds),
        thresholds={name: None if np.isinf(threshold) else float(threshold) for name, threshold in thresholds},
        limits=(*notes, *told, *_limits(tally, dataset.num_images)),
    )


def _is_public(weights: str) -> bool:
    return weights != "none" and weights.partition(":")[0] not in ("file", "run")


def _fingerprint(run: RunRecord) -> str | None:
    return run.resolved.weights_fingerprint if run.resolved else None


def _reason_against(run: RunRecord) -> str | None:
    if run.status != "FINISHED" or run.outcome is None:
        return "without a result"
    return "whose training loss stayed at guessing" if run.outcome.did_not_learn else None


def _add(tally: _Tally, part: pd.DataFrame, probabilities: NDArray[np.float64]) -> None:
    """Count one run in. part: its rows out of sample; probabilities: [rows, K]."""
    _grow(tally, part)
    rows = tally.images.get_indexer(part["path"])
    labels = part["label"].to_numpy(dtype=np.int64)
    if (tally.labels[rows] != labels).any():
        path = part["path"].iloc[int(np.argmax(tally.labels[rows] != labels))]
        raise ComparisonError(f"two runs give {path} different labels: ask about runs of one dataset version")
    tally.sums[rows] += probabilities
    predicted = np.full(len(tally.images), _ABSENT)
    predicted[rows] = probabilities.argmax(axis=1)
    tally.predicted.append(predicted)
    own = [probabilities[labels == k, k] for k in range(tally.num_classes)]
    tally.thresholds.append(np.array([p.mean() if len(p) else _UNREACHABLE for p in own]))
    fewest = min((len(p) for p in own if len(p)), default=0)
    tally.fewest = fewest if tally.fewest is None else min(tally.fewest, fewest)


def _grow(tally: _Tally, part: pd.DataFrame) -> None:
    """Rows for the images that no run before had."""
    new = part[~part["path"].isin(tally.images)]
    tally.images = tally.images.append(pd.Index(new["path"], dtype=object))
    tally.labels = np.concatenate([tally.labels, new["label"].to_numpy(dtype=np.int64)])
    known = tally.sums.reshape(-1, tally.num_classes)
    tally.sums = np.concatenate([known, np.zeros((len(new), tally.num_classes))])


def _found(tally: _Tally, classes: Sequence[str]) -> list[LabelError]:
    """The likely errors, the worst first."""
    if not len(tally.images):
        return []
    size = len(tally.images)
    predicted = np.stack([np.pad(p, (0, size - len(p)), constant_values=_ABSENT) for p in tally.predicted], axis=1)
    there = predicted != _ABSENT
    runs = there.sum(axis=1)
    means = tally.sums / runs[:, None]
    best = means.argmax(axis=1)
    found = []
    for row in np.flatnonzero(means.max(axis=1) > means[np.arange(size), tally.labels]):
        suggested, given = int(best[row]), int(tally.labels[row])
        asked = [thresholds for thresholds, present in zip(tally.thresholds, there[row], strict=True) if present]
        if means[row, suggested] >= _mean_thresholds(asked, len(classes))[suggested] - _ROUNDING:
            found.append(
                LabelError(
                    path=tally.images[row],
                    given=classes[given],
                    suggested=classes[suggested],
                    margin=float(means[row, given] - means[row, suggested]),
                    given_probability=float(means[row, given]),
                    suggested_probability=float(means[row, suggested]),
                    runs=int(runs[row]),
                    agreeing=int((predicted[row] == suggested).sum()),
                )
            )
    return sorted(found, key=lambda error: (error.margin, error.path))


def _mean_thresholds(thresholds: Sequence[NDArray[np.float64]], num_classes: int) -> NDArray[Any]:
    """Per class the mean over the runs that have one; a class without any is never reached."""
    if not thresholds:
        return np.full(num_classes, _UNREACHABLE)
    table = np.stack(thresholds)
    has = np.isfinite(table)
    counts = has.sum(axis=0)
    sums = np.where(has, table, 0.0).sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), _UNREACHABLE)


def _limits(tally: _Tally, num_images: int) -> Iterator[str]:
    if not tally.thresholds:
        yield "No run can judge: it must have finished, learned something and tell probabilities."
        return
    unseen = num_images - len(tally.images)
    if unseen > 0:
        yield (
            f"{unseen:,} of {num_images:,} images were for training in every run and are not judged; other seeds, or a "
            "k-fold split, judge more."
        )
    if tally.fewest is not None and tally.fewest < FEW:
        yield (
            f"Some class has {tally.fewest:,} judged image{'s' * (tally.fewest != 1)} in a run: with fewer than {FEW} "
            "its threshold is noisy, so look closely."
        )
    if len(tally.thresholds) == 1:
        yield "One run alone judges: more seeds or strategies make a surer list."
    yield "A list to look at, not a proof: a rare but right picture of its class is listed too."


def _runs(count: int) -> str:
    return f"{count:,} run{'s' * (count != 1)}"

"""Whether probabilities can be believed: reliability, ECE and NLL, before and after temperature scaling.

Temperature scaling (Guo, Pleiss, Sun & Weinberger 2017, "On Calibration of Modern Neural Networks", ICML) divides all
logits by one T > 0, which changes no answer. Logits are known from stored probabilities up to a constant that softmax
ignores: softmax(ln p / T).
"""

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tlcore.analysis.groups import Group
from tlcore.analysis.images.answers import SMALLEST, Predictions, probabilities_of
from tlcore.analysis.statistics.intervals import Interval, wilson_interval
from tlcore.results import RunRecord, Value

NUM_BINS = 15  # Guo et al. 2017
RANGE = (0.05, 20.0)  # of T that is searched: at the ends, probabilities are all but 0 and 1, or all but equal
_TOLERANCE = 1e-6  # of ln T


EXPLAINED = (
    f"ECE (expected calibration error): how far probability and share of right answers lie apart on average, in "
    f"{NUM_BINS} bins; 0 is best. NLL: mean −ln of the probability of the true class; lower is better. Temperature "
    f"scaling divides what the network tells by one number T, so that no answer changes: T above 1 makes it less sure. "
    f"T is chosen on validation images alone, for each run, from {RANGE[0]:g} to {RANGE[1]:g}; the figures are of test "
    f"images, mean over seeds."
)


class Bin(Value):
    """Answers whose probability is in (low, high]. confidence: their mean probability; accuracy: share that was right.

    count: answers over all seeds. interval: 95 % for the accuracy by the number of different `images` (Wilson), as
    seeds answer about the same ones.
    """

    low: float
    high: float
    count: int
    images: int
    confidence: float
    accuracy: float
    interval: Interval


class Scores(Value):
    """Means over seeds. ece: top-label expected calibration error in [0, 1]. nll: mean −ln p(truth), nats."""

    ece: float
    nll: float
    bins: tuple[Bin, ...]


class Calibration(Value):
    """One group's probabilities on test images, before and after scaling by `temperatures`, one per seed.

    unfitted: seeds without a temperature, whose probabilities stay as they are. None of both, and why in `reason`,
    where its classifier has no probabilities.
    """

    name: str
    color: str
    before: Scores | None = None
    after: Scores | None = None
    temperatures: tuple[float, ...] = ()
    unfitted: int = 0
    reason: str = ""


def calibrations(groups: Mapping[str, Group], predictions: Predictions, seed: int | None = None) -> list[Calibration]:
    """One for each group with a finished run. groups: by name. seed: that one alone, instead of all finished."""
    found = []
    for name, group in groups.items():
        runs = [r for r in group.finished if r.run_id in predictions and seed in {None, r.spec.seed}]
        if runs:
            found.append(_calibration(name, group, runs, predictions))
    return found


def calibration_rows(found: Sequence[Calibration]) -> list[dict[str, object]]:
    """As people read them: ECE in points, NLL in nats; None where a classifier has no probabilities."""
    rows: list[dict[str, object]] = []
    for one in found:
        scores = {"before": one.before, "after": one.after}
        row: dict[str, object] = {"Strategy": one.name}
        row |= {f"ECE {w} (points)": None if s is None else round(100 * s.ece, 1) for w, s in scores.items()}
        row |= {f"NLL {w} (nats)": None if s is None else float(f"{s.nll:.3f}") for w, s in scores.items()}
        rows.append({**row, "Temperature T": _temperature_words(one)})
    return rows


def fit_temperature(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float | None:
    """The T in `RANGE` with the lowest NLL on these images. probabilities: [N, K]; labels: [N].

    None where no image is wrong: the NLL falls as T falls to 0, so none is the lowest.
    """
    from scipy.optimize import minimize_scalar

    if (probabilities.argmax(axis=1) == labels).all():
        return None
    bounds = (float(np.log(RANGE[0])), float(np.log(RANGE[1])))
    found = minimize_scalar(
        lambda log_t: nll(scaled(probabilities, float(np.exp(log_t))), labels),
        bounds=bounds,
        method="bounded",
        options={"xatol": _TOLERANCE},
    )
    return float(np.exp(found.x))


def scaled(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """softmax(ln p / T), [N, K]; probabilities below `SMALLEST` count as that."""
    logits = np.log(np.maximum(probabilities, SMALLEST)) / temperature
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = shifted / shifted.sum(axis=1, keepdims=True)
    return shares


def nll(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Mean −ln of the true class's probability, nats; one below `SMALLEST` counts as that."""
    truth = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(truth, SMALLEST)).mean())


def ece(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Top-label expected calibration error (Naeini et al. 2015): Σ_b n_b/N |accuracy_b − confidence_b|.

    confidence: [N] probability of each answer, in `NUM_BINS` bins of equal width, (low, high]; right: [N].
    """
    gaps = np.bincount(_bin_of(confidence), weights=right - confidence, minlength=NUM_BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def _calibration(name: str, group: Group, runs: Sequence[RunRecord], predictions: Predictions) -> Calibration:
    before, after = [], []
    temperatures: list[float] = []
    for run in runs:
        frame = predictions[run.run_id]
        val, test = (frame[frame["split"] == part] for part in ("val", "test"))
        fitted, applied = probabilities_of(run, val), probabilities_of(run, test)
        if fitted is None or applied is None or not len(val) or not len(test):
            return Calibration(name=name, color=group.entry.color, reason=_reason(run))
        temperature = fit_temperature(fitted, val["label"].to_numpy(dtype=np.int64))
        temperatures += [] if temperature is None else [temperature]
        before.append((test, scaled(applied, 1.0)))
        after.append((test, scaled(applied, temperature or 1.0)))
    return Calibration(
        name=name,
        color=group.entry.color,
        before=_scores(before),
        after=_scores(after),
        temperatures=tuple(temperatures),
        unfitted=len(runs) - len(temperatures),
    )


def _scores(seeds: Sequence[tuple[pd.DataFrame, NDArray[np.float64]]]) -> Scores:
    """seeds: each one's test rows with their probabilities [N, K]."""
    eces, nlls, tables = [], [], []
    for part, probabilities in seeds:
        labels = part["label"].to_numpy(dtype=np.int64)
        predicted = part["predicted"].to_numpy(dtype=np.int64)
        confidence = probabilities[np.arange(len(labels)), predicted]
        right = labels == predicted
        eces.append(ece(confidence, right))
        nlls.append(nll(probabilities, labels))
        tables.append(pd.DataFrame({"path": part["path"].to_numpy(), "confidence": confidence, "right": right}))
    return Scores(ece=fmean(eces), nll=fmean(nlls), bins=_bins(pd.concat(tables, ignore_index=True)))


def _bins(table: pd.DataFrame) -> tuple[Bin, ...]:
    """The bins that hold answers. table: path, confidence and right of every answer."""
    found = []
    for index, own in table.groupby(_bin_of(table["confidence"].to_numpy())):
        images, accuracy = int(own["path"].nunique()), float(own["right"].mean())
        found.append(
            Bin(
                low=float(index) / NUM_BINS,
                high=(float(index) + 1) / NUM_BINS,
                count=len(own),
                images=images,
                confidence=float(own["confidence"].mean()),
                accuracy=accuracy,
                interval=wilson_interval(accuracy * images, images),
            )
        )
    return tuple(found)


def _bin_of(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """The bin of each probability: (low, high], so that exactly 1/15 is still in the first."""
    places: NDArray[np.int64] = np.ceil(confidence * NUM_BINS).astype(np.int64) - 1
    return places.clip(0, NUM_BINS - 1)


def _reason(run: RunRecord) -> str:
    phases = run.resolved.recipe.get("phases") if run.resolved else None
    rows = [phase for phase in phases if isinstance(phase, Mapping)] if isinstance(phases, list | tuple) else []
    fitted = {row.get("classifier") for row in rows}
    if "knn" in fitted:
        return "k-NN tells shares of its neighbours' votes, no probabilities."
    if "linear_svm" in fitted:
        return "A linear SVM tells distances to its borders, no probabilities."
    return "Its runs stored no probabilities for validation and test images."


def _temperature_words(one: Calibration) -> str:
    if one.before is None:
        return "no probabilities"
    if not one.temperatures:
        return "not fitted"
    low, high = min(one.temperatures), max(one.temperatures)
    said = f"{fmean(one.temperatures):.2f}" + (f" ({low:.2f} to {high:.2f})" if f"{low:.2f}" != f"{high:.2f}" else "")
    return f"{said}; {one.unfitted} not fitted" if one.unfitted else said

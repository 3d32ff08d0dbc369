"""One table of what runs answered, image by image, and the same of single images for people to read."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tlcore.analysis.images.pairs import Pair
from tlcore.results import RunRecord, Value

# Stored probabilities are float32, where a very small one becomes 0: the smallest normal number of that type stands
# for it (IEEE 754, 2^−126), so that a logarithm is finite, −87.3 at the least.
SMALLEST = float(np.finfo(np.float32).tiny)
Predictions = Mapping[str, pd.DataFrame]


class Answer(Value):
    """One answer to an image. seeds: how many gave it. probability: their mean for it, None where there is none."""

    answer: str
    right: bool
    seeds: int
    probability: float | None


class GroupAnswers(Value):
    """What the seeds of one group answered to an image, the most frequent first.

    right: seeds that were right. truth: mean probability of the true class, None where there are no probabilities.
    """

    name: str
    seeds: int
    right: int
    truth: float | None
    answers: tuple[Answer, ...]


class ImageAnswers(Value):
    """What groups answered to one image. path: in the dataset version of the comparison. label: its true class."""

    path: str
    label: str
    groups: tuple[GroupAnswers, ...]


def probabilities_of(run: RunRecord, part: pd.DataFrame) -> NDArray[np.float64] | None:
    """Probabilities [N, K] of rows of a run's predictions; None for a classifier that has none.

    A linear SVM stores nothing; a k-NN stores shares of its neighbours' votes, which are often exactly 0 and are no
    probabilities: such a run has no loss.
    """
    columns = [f"prob_{k}" for k in range(sum(name.startswith("prob_") for name in part.columns))]
    values: NDArray[np.float64] = part[columns].to_numpy(dtype=np.float64)
    if run.outcome is None or run.outcome.test.loss is None or not columns or np.isnan(values).any():
        return None
    return values


def answers_of(runs: Sequence[RunRecord], predictions: Predictions) -> pd.DataFrame:
    """One row for each run and test image of it.

    Columns: run_id, seed, path, label, predicted (classes as numbers), right (bool), truth (probability of the true
    class), sure (that of the answer), loss (−ln truth, nats); the last three NaN where there are no probabilities.
    """
    tables = [_table(run, predictions[run.run_id]) for run in runs if run.run_id in predictions]
    return pd.concat(tables, ignore_index=True) if tables else _table_without_rows()


def cell_images(
    pair: Pair, predictions: Predictions, true: int, answered: int, who: str = "either"
) -> tuple[pd.DataFrame, int]:
    """Test images of class `true` that some seed answered with class `answered`, most seeds first; and their sum.

    who: `first`, `second` or `either`. Columns: path, first, second (seeds of A and of B that answered so).
    The sum counts an image once for each seed, as the cells of a matrix that is summed over seeds do.
    """
    counts = {}
    for name, place in (("first", 0), ("second", 1)):
        tables = [predictions[runs[place].run_id] for runs in pair.runs]
        cells = [(t["split"] == "test") & (t["label"] == true) & (t["predicted"] == answered) for t in tables]
        paths = [table.loc[cell, "path"] for table, cell in zip(tables, cells, strict=True)]
        counts[name] = pd.concat(paths).value_counts() if paths else pd.Series(dtype=int)
    found = pd.DataFrame(counts).fillna(0).astype(int)
    asked = found["first"] + found["second"] if who == "either" else found[who]
    found = found.assign(asked=asked)[asked > 0].rename_axis("path").reset_index()
    found = found.sort_values(["asked", "path"], ascending=[False, True], ignore_index=True)
    return found.drop(columns="asked"), int(asked.sum())


def image_answers(
    runs: Mapping[str, Sequence[RunRecord]], predictions: Predictions, paths: Sequence[str], classes: Sequence[str]
) -> list[ImageAnswers]:
    """What each group answered to these images, in their order. runs: by the group's name."""
    tables = {}
    for name, own in runs.items():
        parts = {r.run_id: _only(predictions[r.run_id], paths) for r in own if r.run_id in predictions}
        tables[name] = answers_of(own, parts)
    found = []
    for path in paths:
        rows = {name: table[table["path"] == path] for name, table in tables.items()}
        label = next((int(table["label"].iloc[0]) for table in rows.values() if len(table)), None)
        if label is not None:
            told = tuple(_group_answers(name, table, classes) for name, table in rows.items() if len(table))
            found.append(ImageAnswers(path=path, label=classes[label], groups=told))
    return found


def _table(run: RunRecord, frame: pd.DataFrame) -> pd.DataFrame:
    part = frame[frame["split"] == "test"]
    labels, predicted = (part[name].to_numpy(dtype=np.int64) for name in ("label", "predicted"))
    probabilities = probabilities_of(run, part)
    rows = np.arange(len(part))
    truth = np.full(len(part), np.nan) if probabilities is None else probabilities[rows, labels]
    sure = np.full(len(part), np.nan) if probabilities is None else probabilities[rows, predicted]
    return pd.DataFrame(
        {
            "run_id": run.run_id,
            "seed": run.spec.seed,
            "path": part["path"].to_numpy(),
            "label": labels,
            "predicted": predicted,
            "right": labels == predicted,
            "truth": truth,
            "sure": sure,
            "loss": -np.log(np.maximum(truth, SMALLEST)),
        }
    )


def _table_without_rows() -> pd.DataFrame:
    whole, part = np.zeros(0, dtype=np.int64), np.zeros(0)
    return pd.DataFrame(
        {"run_id": np.zeros(0, dtype=object), "seed": whole, "path": np.zeros(0, dtype=object), "label": whole}
        | {"predicted": whole, "right": whole.astype(bool), "truth": part, "sure": part, "loss": part}
    )


def _only(frame: pd.DataFrame, paths: Sequence[str]) -> pd.DataFrame:
    return frame[frame["path"].isin(list(paths))]


def _group_answers(name: str, table: pd.DataFrame, classes: Sequence[str]) -> GroupAnswers:
    given = [
        Answer(
            answer=classes[int(answer)], right=bool(own["right"].all()), seeds=len(own), probability=_mean(own["sure"])
        )
        for answer, own in table.groupby("predicted")
    ]
    return GroupAnswers(
        name=name,
        seeds=len(table),
        right=int(table["right"].sum()),
        truth=_mean(table["truth"]),
        answers=tuple(sorted(given, key=lambda one: -one.seeds)),
    )


def _mean(values: "pd.Series[float]") -> float | None:
    return None if values.isna().any() else float(values.mean())

"""Which images one strategy gets right and another wrong, and on which images all runs disagree."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from tlcore.analysis.images.answers import Predictions, answers_of
from tlcore.analysis.images.changes import paired_answers
from tlcore.analysis.images.pairs import Pair
from tlcore.results import RunRecord, Value

Order = Literal["disagreement", "loss"]


class Overlap(Value):
    """Test images of one seed, mean over seeds: both right, only A, only B, none right."""

    both: float
    only_first: float
    only_second: float
    neither: float


def one_right(pair: Pair, predictions: Predictions) -> pd.DataFrame:
    """In how many seeds A or B alone was right about each test image.

    Columns: path, label (a number), seeds (that tested it), both, only_first, only_second, neither; sorted by path.
    Raises: ComparisonError where A and B met other test images.
    """
    tables = [
        pd.DataFrame(
            {
                "path": seed.paths,
                "label": seed.labels,
                "seeds": 1,
                "both": seed.right.all(axis=0).astype(int),
                "only_first": (seed.right[0] & ~seed.right[1]).astype(int),
                "only_second": (seed.right[1] & ~seed.right[0]).astype(int),
                "neither": (~seed.right.any(axis=0)).astype(int),
            }
        )
        for seed in paired_answers(pair, predictions)
    ]
    if not tables:
        return pd.DataFrame(columns=["path", "label", "seeds", "both", "only_first", "only_second", "neither"])
    return pd.concat(tables).groupby(["path", "label"], as_index=False).sum()


def overlap(table: pd.DataFrame, seeds: int) -> Overlap:
    """The images of one seed by who was right, mean over `seeds`. table: of `one_right`."""
    return Overlap(
        **{name: float(table[name].sum()) / max(1, seeds) for name in ("both", "only_first", "only_second", "neither")}
    )


def right_alone(table: pd.DataFrame, who: Literal["first", "second"]) -> pd.DataFrame:
    """The images that one alone got right in some seed, most seeds first; the other's turn back counts against it."""
    own, other = f"only_{who}", f"only_{'second' if who == 'first' else 'first'}"
    found = table[table[own] > 0]
    return found.sort_values([own, other, "path"], ascending=[False, True, True], ignore_index=True)


def agreement(runs: Sequence[RunRecord], predictions: Predictions) -> pd.DataFrame:
    """How far runs agree on each test image that one of them met; sorted by path.

    Columns: path, label (a number), runs, right (share of the runs in [0, 1]), distinct (different answers), entropy
    (of the answers, bits: 0 where all are the same, log2 of the number of answers where they are evenly spread), loss
    (mean of −ln of the true class's probability over the runs that have one, nats; NaN where none has).
    """
    table = answers_of(runs, predictions)
    grouped = table.groupby("path")
    found = grouped.agg(
        label=("label", "first"), runs=("right", "size"), right=("right", "mean"), loss=("loss", "mean")
    )
    counts = table.groupby(["path", "predicted"]).size()
    shares = counts / counts.groupby(level="path").transform("sum")
    bits = (-shares * np.log2(shares)).groupby(level="path").sum()
    answers = counts.groupby(level="path").size()
    return found.assign(distinct=answers, entropy=bits.clip(lower=0.0)).reset_index()


def in_order(table: pd.DataFrame, order: Order) -> pd.DataFrame:
    """Images of `agreement` on which runs disagree most, or that cost the most loss, first."""
    if order == "loss":
        return table.sort_values(["loss", "right", "path"], ascending=[False, True, True], ignore_index=True)
    return table.sort_values(
        ["entropy", "distinct", "right", "path"], ascending=[False, False, True, True], ignore_index=True
    )


def agreement_rows(table: pd.DataFrame, classes: Sequence[str], limit: int = 10) -> list[dict[str, object]]:
    """The first images of a sorted `agreement` as people read them."""
    return [
        {
            "Image": row.path,
            "True class": classes[row.label],
            "Runs right": f"{round(row.right * row.runs)} of {row.runs}",
            "Different answers": int(row.distinct),
            "Entropy of the answers (bits)": float(round(row.entropy, 2)),
            "Mean loss (nats)": None if np.isnan(row.loss) else float(round(row.loss, 2)),
        }
        for row in table.head(limit).itertuples()
    ]

"""What is told of a table of images, whether it was imported or made from another by edits."""

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import Any

import pandas as pd

from tlcore.datasets.dataset import LeftOut, given_of
from tlcore.datasets.fingerprints import dataset_fingerprint

_OF_ROWS = re.compile(r"[\d,]+ |The given ")  # how an import's notes on its rows begin, which edits may make untrue
MAX_LISTED = 5_000  # files that are named as left out; beyond, they are counted


def in_order(images: pd.DataFrame) -> pd.DataFrame:
    """The rows as every dataset has them: with `label`, the place of `class` among the classes, and sorted.

    Parts that amount to none are emptied. Raises: DatasetError where there are parts but none to train on.
    """
    classes = sorted(set(images["class"]))
    images = images.assign(label=images["class"].map({name: i for i, name in enumerate(classes)}).astype("int64"))
    if given_of(images["part"]) == "none":
        images["part"] = ""
    return images.sort_values(["label", "sha256", "path"], ignore_index=True)


def facts_of(images: pd.DataFrame, id_start: str, left_out: Sequence[LeftOut]) -> dict[str, Any]:
    """The fields of `DatasetInfo` that follow from rows `in_order`. id_start: of the id, before the fingerprint."""
    fingerprint = dataset_fingerprint(zip(images["class"], images["sha256"], strict=True))
    counts = Counter(images["class"])
    return {
        "id": f"{id_start}-{fingerprint[:8]}",
        "fingerprint": fingerprint,
        "classes": tuple(sorted(counts)),
        "num_images": len(images),
        "class_counts": dict(sorted(counts.items())),
        "part_counts": dict(sorted(Counter(images["part"]).items())),
        "given": given_of(images["part"]),
        "short_side": int(median(images[["width", "height"]].min(axis=1))),
        "created_ms": time.time_ns() // 1_000_000,
        "left_out": tuple(left_out[:MAX_LISTED]),
    }


def lasting(notes: Iterable[str]) -> Iterator[str]:
    """Of an import's notes those that no edit makes untrue: on names, a card, a licence; not what counts its images."""
    return (note for note in notes if not _OF_ROWS.match(note))


def gaps(images: pd.DataFrame) -> Iterator[str]:
    """A sentence for each given part that lacks classes. images: with columns part and `class`."""
    for part in sorted(set(images["part"]) - {""}):
        absent = sorted(set(images["class"]) - set(images["class"][images["part"] == part]))
        if absent:
            yield f"The given {part} part has no image of {', '.join(absent)}."

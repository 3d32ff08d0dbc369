"""The table of checks: each looks at a dataset and says what it found. A new check is a new function and a row.

Datasets imported by an earlier version lack what some checks need (`Dataset.images`); those checks then say nothing,
and `_old` says why.
"""

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

import pandas as pd

from tlcore.datasets.dataset import Dataset
from tlcore.datasets.health.common import counted, labels, leave_out_where, singles
from tlcore.datasets.health.findings import Finding, Suggestion
from tlcore.datasets.health.repeats import exact, leaks, near, two_labels
from tlcore.datasets.splits import too_small
from tlcore.datasets.versions.edits import RenameClass

IMBALANCE = 3.0  # times as many images in the largest class as in the smallest, from which it is worth knowing
STRONG_IMBALANCE = 10.0  # from which plain accuracy says little of the small class
BLANK = 0.4  # standard deviation of grey 0…255: even paper saved as JPEG, while the calmest sea of EuroSAT has 0.46
DARK = 12.0  # mean grey of 0…255, about 5 % of full light
MIN_CLASSES = 2
SHOWN_OF_CLASS = 4  # pictures of the smallest and of the largest class
TINY = 32  # pixels of the short side, the input of the smallest networks
_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"), "MPO": (".jpg", ".jpeg", ".mpo"), "PNG": (".png", ".apng"),
    "GIF": (".gif",), "BMP": (".bmp", ".dib"), "TIFF": (".tif", ".tiff"), "WEBP": (".webp",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"), "AVIF": (".avif", ".avifs"), "JPEG2000": (".jp2", ".j2k", ".jpx"),
}  # fmt: skip
Check = Callable[[Dataset], Iterator[Finding]]


def _old(dataset: Dataset) -> Iterator[Finding]:
    if "group" not in dataset.images:
        yield Finding(
            kind="old_import",
            severity="note",
            title="Imported by an earlier version",
            words="Near duplicates, dark and blank images and wrong file endings were not looked for then: delete the "
            "dataset and add its images again to have them found.",
        )


def _too_small(dataset: Dataset) -> Iterator[Finding]:
    small = too_small(dataset)
    if small:
        which = labels(dataset).isin(small)
        some_left = len(dataset.info.classes) - len(small) >= MIN_CLASSES
        named = ", ".join(small)
        yield Finding(
            kind="too_small",
            severity="error",
            title="Classes too small to split" if len(small) > 1 else "A class is too small to split",
            words=f"{' '.join(small.values())} No comparison can be made on this version.",
            groups=singles(dataset.images["path"][which]),
            suggestions=(leave_out_where(f"Leave out {named}", dataset.images, which),) if some_left else (),
        )


def _similar_names(dataset: Dataset) -> Iterator[Finding]:
    by_name: dict[str, list[str]] = {}
    for name in dataset.info.classes:
        by_name.setdefault(" ".join(name.casefold().split()), []).append(name)
    for names in by_name.values():
        if len(names) > 1:
            largest = max(names, key=lambda name: dataset.info.class_counts[name])
            others = [name for name in names if name != largest]
            yield Finding(
                kind=f"similar_names_{largest}",
                severity="warning",
                title="Classes whose names differ by upper and lower case alone",
                words=f"{' and '.join(names)} are {len(names)} classes here. Are they one?",
                groups=singles(dataset.images["path"][labels(dataset).isin(others)]),
                suggestions=(
                    Suggestion(
                        label=f"Merge them into {largest}",
                        edits=tuple(RenameClass(old=name, new=largest) for name in others),
                    ),
                ),
            )


def _imbalance(dataset: Dataset) -> Iterator[Finding]:
    counts = dataset.info.class_counts
    largest, smallest = max(counts, key=lambda name: counts[name]), min(counts, key=lambda name: counts[name])
    ratio = counts[largest] / counts[smallest]
    if ratio >= IMBALANCE:
        named = labels(dataset)
        yield Finding(
            kind="imbalance",
            severity="warning" if ratio >= STRONG_IMBALANCE else "note",
            title="Classes of very different size",
            words=f"{largest} has {ratio:.0f} times as many images as {smallest} ({counts[largest]:,} and "
            f"{counts[smallest]:,}). Look at the balanced accuracy beside the plain one; the setting class_balance "
            "weighs the classes while training.",
            groups=tuple(tuple(dataset.images["path"][named == name][:SHOWN_OF_CLASS]) for name in (smallest, largest)),
        )


def _no_information(dataset: Dataset) -> Iterator[Finding]:
    images = dataset.images
    if "contrast" not in images:
        return
    blank = images["contrast"] < BLANK
    yield from _shown(images, blank, "blank", "Blank images", "one even tone and nothing else")
    dark = (images["brightness"] < DARK) & ~blank
    yield from _shown(images, dark, "dark", "Very dark images", f"hardly any light (mean grey below {DARK:g} of 255)")


def _tiny(dataset: Dataset) -> Iterator[Finding]:
    images = dataset.images
    tiny = images[["width", "height"]].min(axis=1) < TINY
    yield from _shown(images, tiny, "tiny", "Tiny images", f"a short side below {TINY} pixels")


def _endings(dataset: Dataset) -> Iterator[Finding]:
    images = dataset.images
    if "format" not in images:
        return
    wrong = [
        kind in _SUFFIXES and PurePosixPath(path).suffix.lower() not in _SUFFIXES[kind]
        for path, kind in zip(images["path"], images["format"], strict=True)
    ]
    named = images[wrong]
    if len(named):
        yield Finding(
            kind="wrong_ending",
            severity="note",
            title="File endings that do not tell the format",
            words=f"{counted(len(named), 'file')} of another format than the name says, such as "
            f"{named['path'].iloc[0]}, which is {named['format'].iloc[0]}. They are read by their content.",
            groups=singles(named["path"]),
        )


def _left_out(dataset: Dataset) -> Iterator[Finding]:
    left = dataset.info.left_out
    if left and dataset.info.parent is None:  # else they were left out on purpose, as the changes of the version say
        yield Finding(
            kind="left_out",
            severity="note",
            title="Files that were left out",
            words=f"{len(left):,} {'file was' if len(left) == 1 else 'files were'} not taken into the dataset.",
            files=tuple((file.path, file.reason) for file in left),
        )


CHECKS: tuple[Check, ...] = (
    _too_small, _similar_names, two_labels, leaks, _imbalance, exact, near, _no_information, _tiny, _endings,
    _left_out, _old,
)  # fmt: skip


def _shown(images: pd.DataFrame, which: "pd.Series[bool]", kind: str, title: str, words: str) -> Iterator[Finding]:
    count = int(which.sum())
    if count:
        yield Finding(
            kind=kind,
            severity="warning",
            title=title,
            words=f"{counted(count, 'image')} with {words}: a network has little to learn from them.",
            groups=singles(images["path"][which]),
            suggestions=(leave_out_where("Leave them out", images, which),),
        )

"""Which images are for training, validation and test: drawn by content, stratified, reproducible.

An image's place follows from the hash of its bytes, the plan and the seed, never from its name or position. Near
duplicates (column `group`; exact copies alone where a dataset has no such column) count as one: they are drawn
together. Groups with different labels stay in the training part, as no answer to them could be right.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from tlcore.datasets import drawing
from tlcore.datasets.dataset import PARTS, Dataset, DatasetInfo, Split
from tlcore.datasets.drawing import Unit, Units
from tlcore.datasets.duplicates import known_looks, near_across
from tlcore.datasets.fingerprints import split_fingerprint
from tlcore.errors import SplitError
from tlcore.spec import FIXED, SplitPlan, split_plan

TEST_SHARE = 0.2
VAL_SHARE = 0.2
_NEEDED = {"none": 3, "train_val": 2, "train_test": 2, "train_val_test": 1}
_NOTES = {
    "none": "The data brings no split: 20 % of each class is the test part, the same for every run; of the rest, "
    "60 % of all is for training and 20 % for validation, redrawn by seed.",
    "train_val": "The data brings train and val folders only: val is used as the test part, and 20 % of train becomes "
    "the validation part, redrawn by seed.",
    "train_test": "The data brings train and test folders: test is kept, and 20 % of train becomes the validation "
    "part, redrawn by seed.",
    "train_val_test": "The data brings its own train, validation and test folders: they are used as they are.",
}
_REPEATED = "Each seed draws its own parts: 20 % of each class for test, 60 % for training and 20 % for validation."
_FOLDS = (
    "The images of each class are dealt into {0} folds, and each seed is tested on one: seeds 0 to {1} test every "
    "image once, pictures under several classes aside, which train only. The next {0} seeds do so with another deal. A "
    "quarter of the other folds is for validation, drawn by seed."
)


@dataclass(frozen=True)
class PartsLeak:
    """The same picture, or nearly the same, in more than one of the parts that a dataset brings.

    group: the smallest sha256 of these. parts: those that have some of it, in the order of PARTS. paths: all that are
    like one in another part, part by part. exact: identical files lie in two parts; else they are near duplicates only.
    """

    group: str
    parts: tuple[str, ...]
    paths: tuple[str, ...]
    exact: bool


def split_note(info: DatasetInfo, plan: str = FIXED) -> str:
    """For people: where the parts of this dataset come from."""
    wanted = split_plan(plan)
    if wanted.is_fixed or info.given != "none":
        return _NOTES[info.given]
    return _FOLDS.format(wanted.folds, wanted.folds - 1) if wanted.folds else _REPEATED


def make_split(dataset: Dataset, seed: int, fraction: float = 1.0, plan: str = FIXED) -> Split:
    """Row numbers of each part. `fraction` of the training part is kept, nested over fractions of the same seed.

    plan: `fixed`, `repeated` or `kfold:K`, see `spec.SplitPlan`; the test part depends on the seed unless it is fixed.
    Test and validation hold their share of each class to within one image, or its largest group of near duplicates,
    and at least one image of each class that they are drawn from.
    Raises: SplitError for a fraction outside (0, 1], and as `check_splittable`; SpecError for an unknown plan.
    """
    if not 0 < fraction <= 1:
        raise SplitError(f"a fraction of {fraction:g} of the training images cannot be taken: use more than 0, up to 1")
    pools = _checked_pools(dataset, split_plan(plan))
    train, val, test = _draw(dataset.info.given, split_plan(plan), pools, seed)
    kept = [
        drawing.first(units, max(1, drawing.rounded(fraction * drawing.count(units))), f"fraction:{seed}")
        for units in train
    ]
    hashes = dataset.images["sha256"].tolist()
    rows = {"train": _rows(kept), "val": _rows(val), "test": _rows(test)}
    contents = {part: [hashes[row] for row in rows[part]] for part in PARTS}
    return Split(
        **rows,
        num_train_full=len(_rows(train)),
        fingerprint=split_fingerprint(contents),
        test_fingerprint=split_fingerprint({"test": contents["test"]}),
    )


def check_splittable(dataset: Dataset, plan: str = FIXED) -> None:
    """Raises: SplitError naming a class that has too few images, how many, and the minimum; or where the dataset
    brings its own test part and the plan would draw one. SpecError for an unknown plan."""
    _checked_pools(dataset, split_plan(plan))


def too_small(dataset: Dataset) -> dict[str, str]:
    """Classes that have too few images for the usual split, each with a sentence that says so."""
    return {name: f"C{said[1:]}." for name, said in _too_small(dataset.info, _pools(dataset)["train"]).items()}


def leaks_between_parts(dataset: Dataset) -> list[PartsLeak]:
    """Pictures that occur, as exact copies or near duplicates, in more than one given part, by path.

    A given split is used as it is, so these leaks stay; there is none where the parts are drawn. They follow from pairs
    that are alike, so each is found, whatever groups are made of.
    """
    found: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    if dataset.info.given == "none":
        return []
    images = dataset.images[dataset.images["part"] != ""]
    keys = near_across(images, images["part"].tolist()) if known_looks(images) else _keys(images)
    for key, part, path, sha256 in zip(
        keys, images["part"].tolist(), images["path"].tolist(), images["sha256"].tolist(), strict=True
    ):
        if key:
            found[key].append((part, path, sha256))
    leaks = [_leak(key, rows) for key, rows in found.items() if len({part for part, _, _ in rows}) > 1]
    return sorted(leaks, key=lambda leak: leak.paths)


def _leak(key: str, rows: list[tuple[str, str, str]]) -> PartsLeak:
    ordered = sorted(rows, key=lambda row: (PARTS.index(row[0]), row[1]))
    contents = {(part, sha256) for part, _, sha256 in rows}
    return PartsLeak(
        group=key,
        parts=tuple(dict.fromkeys(part for part, _, _ in ordered)),
        paths=tuple(path for _, path, _ in ordered),
        exact=len({sha256 for _, sha256 in contents}) < len(contents),
    )


def _keys(images: pd.DataFrame) -> list[str]:
    """The near-duplicate group of each row; its content where the dataset was imported before there were groups."""
    keys: list[str] = images["group" if "group" in images else "sha256"].tolist()
    return keys


def _checked_pools(dataset: Dataset, plan: SplitPlan) -> dict[str, list[Units]]:
    """Units per given part and class; without given parts all is in `train`. Raises: as `check_splittable`."""
    pools = _pools(dataset)
    if not plan.is_fixed and dataset.info.given != "none":
        raise SplitError(
            f"{dataset.info.name} brings its own test images, and every run is tested on them, so the split {plan} "
            f"cannot draw others: use the split {FIXED}, or add the images again without their train and test folders"
        )
    _check(dataset.info, pools["train"])
    if plan.folds:
        _check_folds(dataset.info, pools["train"], plan)
    return pools


def _pools(dataset: Dataset) -> dict[str, list[Units]]:
    images = dataset.images
    keys, hashes = _keys(images), images["sha256"].tolist()
    grouped: dict[tuple[str, int], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    labels_of: dict[str, set[int]] = defaultdict(set)
    for row, (part, label, key) in enumerate(zip(images["part"].tolist(), images["label"].tolist(), keys, strict=True)):
        grouped[part or "train", label][key].append(row)
        labels_of[key].add(label)

    def unit(key: str, rows: list[int]) -> Unit:
        by_content = sorted(rows, key=hashes.__getitem__) if len(rows) > 1 else rows
        return Unit(key, tuple(by_content), len(labels_of[key]) > 1)

    classes = range(len(dataset.info.classes))
    return {
        part: [[unit(key, rows) for key, rows in grouped[part, label].items()] for label in classes] for part in PARTS
    }


def _check(info: DatasetInfo, train: Sequence[Units]) -> None:
    for problem in _too_small(info, train).values():
        raise SplitError(problem)


def _too_small(info: DatasetInfo, train: Sequence[Units]) -> dict[str, str]:
    """Classes that have too few images for the usual split, each with how many it has and the minimum."""
    needed = _NEEDED[info.given]
    drawn = ("validation and test are" if info.given == "none" else "validation is") if needed > 1 else ""
    found = {}
    for name, units in zip(info.classes, train, strict=True):
        number = len(drawing.drawable(units))
        if len(units) < needed or number < needed - 1:
            where = "" if info.given == "none" else " to train on"
            purpose = f", as {drawn} drawn from it" if drawn else ""
            found[name] = (
                f"class {name!r} has {_different(number)}{where}, but needs at least {needed}{purpose}: add images or "
                f"leave the class out{_counted(units)}"
            )
    return found


def _check_folds(info: DatasetInfo, train: Sequence[Units], plan: SplitPlan) -> None:
    failing = [
        (len(drawing.drawable(units)), name, units)
        for name, units in zip(info.classes, train, strict=True)
        if not drawing.fits(units, plan.folds)
    ]
    if failing:
        number, name, units = min(failing, key=lambda found: found[0])
        needed = plan.folds if plan.folds > 2 else 4
        most = "at most " if number < plan.folds else ""
        raise SplitError(
            f"class {name!r} has {_different(number)}, but the split {plan} needs at least {needed}, as each fold "
            f"tests some and leaves some to train and validate on: use {most}kfold:{number}, add images or leave the "
            f"class out{_counted(units)}"
        )


def _different(number: int) -> str:
    return f"{number} different image{'s' * (number != 1)}"


def _counted(units: Units) -> str:
    """How the images were counted, where that is not plain to see."""
    return " (copies and near duplicates count as one)" if drawing.count(units) > len(units) else ""


def _draw(
    given: str, plan: SplitPlan, pools: dict[str, list[Units]], seed: int
) -> tuple[list[Units], list[Units], list[Units]]:
    """Train, val and test."""
    train, val, test = pools["train"], pools["val"], pools["test"]
    if given == "train_val_test":
        return train, val, test
    totals, share = [drawing.count(units) for units in train], VAL_SHARE
    if given == "train_val":
        test = val
    elif plan.folds:
        test = drawing.deal(train, plan.folds, f"fold:{seed // plan.folds}")[seed % plan.folds]
        train = drawing.without(train, test)
        totals, share = [drawing.count(units) for units in train], VAL_SHARE / (1 - TEST_SHARE)
    elif given == "none":
        purpose = "test" if plan.is_fixed else f"test:{seed}"
        test, train = drawing.take_share(train, totals, TEST_SHARE, purpose, leave=2)
    val, train = drawing.take_share(train, totals, share, f"val:{seed}", leave=1)
    return train, val, test


def _rows(classes: Sequence[Units]) -> tuple[int, ...]:
    return tuple(sorted(row for units in classes for unit in units for row in unit.rows))

"""Which images are for training, validation and test: drawn by content, stratified, reproducible.

An image's place follows from the hash of its bytes (and, for validation, the seed), never from its name or position.
Exact copies count as one: they are drawn together. Copies with different labels stay in the training part, as no
answer to them could be right.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tlcore.datasets.dataset import PARTS, Dataset, DatasetInfo, Split
from tlcore.datasets.fingerprints import rank, split_fingerprint
from tlcore.errors import SplitError

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


@dataclass(frozen=True)
class _Copies:
    """Identical files of one class. rows: their row numbers. contradictory: another class holds the same file."""

    sha256: str
    rows: tuple[int, ...]
    contradictory: bool


_Class = list[_Copies]


def split_note(info: DatasetInfo) -> str:
    """One sentence for people: where the parts of this dataset come from."""
    return _NOTES[info.given]


def make_split(dataset: Dataset, seed: int, fraction: float = 1.0) -> Split:
    """Row numbers of each part. `fraction` of the training part is kept, nested over fractions of the same seed.

    The test part does not depend on the seed. Every part holds the shares of each class to within one image (more
    where exact copies must stay together), and at least one image of each class that it draws from.
    Raises: SplitError for a fraction outside (0, 1], and as `check_splittable`.
    """
    if not 0 < fraction <= 1:
        raise SplitError(f"a fraction of {fraction:g} of the training images cannot be taken: use more than 0, up to 1")
    pools = _pools(dataset)
    _check(dataset.info, pools["train"])
    train, val, test = _draw(dataset.info.given, pools, seed)
    kept = _take_fraction(train, seed, fraction)
    hashes = dataset.images["sha256"].tolist()
    rows = {"train": _rows(kept), "val": _rows(val), "test": _rows(test)}
    contents = {part: [hashes[row] for row in rows[part]] for part in PARTS}
    return Split(
        **rows,
        num_train_full=len(_rows(train)),
        fingerprint=split_fingerprint(contents),
        test_fingerprint=split_fingerprint({"test": contents["test"]}),
    )


def check_splittable(dataset: Dataset) -> None:
    """Raises: SplitError naming a class that has too few images, how many, and the minimum."""
    _check(dataset.info, _pools(dataset)["train"])


def _pools(dataset: Dataset) -> dict[str, list[_Class]]:
    """Copies per given part and class; without given parts all is in `train`."""
    images = dataset.images
    grouped: dict[tuple[str, int], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    labels_of: dict[str, set[int]] = defaultdict(set)
    columns = (images["part"].tolist(), images["label"].tolist(), images["sha256"].tolist())
    for row, (part, label, sha256) in enumerate(zip(*columns, strict=True)):
        grouped[part or "train", label][sha256].append(row)
        labels_of[sha256].add(label)
    return {
        part: [
            [_Copies(sha, tuple(rows), len(labels_of[sha]) > 1) for sha, rows in grouped[part, label].items()]
            for label in range(len(dataset.info.classes))
        ]
        for part in PARTS
    }


def _check(info: DatasetInfo, train: Sequence[_Class]) -> None:
    needed = _NEEDED[info.given]
    drawn = ("validation and test" if info.given == "none" else "validation") if needed > 1 else ""
    for name, copies in zip(info.classes, train, strict=True):
        drawable = sum(not c.contradictory for c in copies)
        if len(copies) < needed or drawable < needed - 1:
            where = "" if info.given == "none" else " to train on"
            purpose = f", as {drawn} are drawn from it" if drawn else ""
            raise SplitError(
                f"class {name!r} has {drawable} different image{'s' * (drawable != 1)}{where}, but needs at least "
                f"{needed}{purpose}: add images or leave the class out"
            )


def _draw(given: str, pools: dict[str, list[_Class]], seed: int) -> tuple[list[_Class], list[_Class], list[_Class]]:
    train, val, test = pools["train"], pools["val"], pools["test"]
    totals = [_count(copies) for copies in train]
    if given == "train_val_test":
        return train, val, test
    if given == "train_val":
        test = val
    elif given == "none":
        test, train = _take_share(train, totals, TEST_SHARE, "test", leave=2)
    val, train = _take_share(train, totals, VAL_SHARE, f"val:{seed}", leave=1)
    return train, val, test


def _take_share(
    classes: Sequence[_Class], totals: Sequence[int], share: float, purpose: str, leave: int
) -> tuple[list[_Class], list[_Class]]:
    """Split every class into (taken, rest); `share` is of `totals`, `leave` is how many different images must stay,
    all but one of them fit to be drawn next."""
    both = [
        _take(copies, max(1, _rounded(share * total)), purpose, leave)
        for copies, total in zip(classes, totals, strict=True)
    ]
    return [taken for taken, _ in both], [rest for _, rest in both]


def _take(copies: _Class, target: int, purpose: str, leave: int) -> tuple[_Class, _Class]:
    """Draw images of one class by lot until there are `target`, never splitting copies and never beyond the target.

    At least one is drawn: the smallest set of copies, if none fits.
    """
    drawable = sorted((c for c in copies if not c.contradictory), key=lambda c: rank(purpose, c.sha256))
    most = min(len(copies) - leave, len(drawable) - leave + 1)
    taken: _Class = []
    count = 0
    for candidate in drawable:
        if count + len(candidate.rows) <= target and len(taken) < most:
            taken.append(candidate)
            count += len(candidate.rows)
    if not taken:
        taken = [min(drawable, key=lambda c: len(c.rows))]
    gone = {c.sha256 for c in taken}
    return taken, [c for c in copies if c.sha256 not in gone]


def _take_fraction(classes: Sequence[_Class], seed: int, fraction: float) -> list[_Class]:
    """The first images of each class in an order that depends on the seed alone, so fractions are nested."""
    return [_first(copies, max(1, _rounded(fraction * _count(copies))), seed) for copies in classes]


def _first(copies: _Class, count: int, seed: int) -> _Class:
    ordered = sorted(copies, key=lambda c: rank(f"fraction:{seed}", c.sha256))
    singles = [_Copies(c.sha256, (row,), c.contradictory) for c in ordered for row in c.rows]
    return singles[:count]


def _count(copies: Iterable[_Copies]) -> int:
    return sum(len(c.rows) for c in copies)


def _rounded(value: float) -> int:
    """To the nearest whole number, halves up; the small term absorbs what binary fractions miss."""
    return int(value + 0.5 + 1e-9)


def _rows(classes: Iterable[_Class]) -> tuple[int, ...]:
    return tuple(sorted(row for copies in classes for c in copies for row in c.rows))

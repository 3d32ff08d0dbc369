"""The table of checks: each looks at a dataset and says what it found. A new check is a new function and a row.

Datasets imported by an earlier version lack what some checks need (`Dataset.images`); those checks then say nothing,
and `_old` says why.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath

import pandas as pd

from tlcore.datasets.dataset import PARTS, Dataset
from tlcore.datasets.health.findings import Finding, Group, Suggestion
from tlcore.datasets.splits import leaks_between_parts, too_small
from tlcore.datasets.versions.edits import LeaveOut, Move, Relabel, RenameClass, keep_one, leave_out_all

IMBALANCE = 3.0  # times as many images in the largest class as in the smallest, from which it is worth knowing
STRONG_IMBALANCE = 10.0  # from which plain accuracy says little of the small class
BLANK = 0.4  # standard deviation of grey 0…255: even paper saved as JPEG, while the calmest sea of EuroSAT has 0.46
DARK = 12.0  # mean grey of 0…255, about 5 % of full light
MIN_CLASSES = 2
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
        which = _labels(dataset).isin(small)
        some_left = len(dataset.info.classes) - len(small) >= MIN_CLASSES
        named = ", ".join(small)
        yield Finding(
            kind="too_small",
            severity="error",
            title="Classes too small to split" if len(small) > 1 else "A class is too small to split",
            words=f"{' '.join(small.values())} No comparison can be made on this version.",
            groups=_singles(dataset.images["path"][which]),
            suggestions=(_leave_out(f"Leave out {named}", dataset.images, which),) if some_left else (),
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
                groups=_singles(dataset.images["path"][_labels(dataset).isin(others)]),
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
        yield Finding(
            kind="imbalance",
            severity="warning" if ratio >= STRONG_IMBALANCE else "note",
            title="Classes of very different size",
            words=f"{largest} has {ratio:.0f} times as many images as {smallest} ({counts[largest]:,} and "
            f"{counts[smallest]:,}). Look at the balanced accuracy beside the plain one; the setting class_balance "
            "weighs the classes while training.",
        )


def _exact(dataset: Dataset) -> Iterator[Finding]:
    images = dataset.images
    groups = _groups(images, "sha256", images.groupby("sha256")["label"].transform("nunique") == 1)
    if groups:
        extra = sum(len(group) - 1 for group in groups)
        yield Finding(
            kind="exact_duplicates",
            severity="note",
            title="The same file more than once",
            words=f"{_copies(extra)}, in {_counted(len(groups), 'group')}. Where the split is "
            "drawn here, copies stay on one side; they still weigh more than other images.",
            groups=groups,
            suggestions=(Suggestion(label="Keep one of each", edits=(keep_one(groups),)),),
        )


def _near(dataset: Dataset) -> Iterator[Finding]:
    images = dataset.images
    if "group" not in images:
        return
    per_group = images.groupby("group")
    groups = _groups(
        images, "group", (per_group["label"].transform("nunique") == 1) & (per_group["sha256"].transform("nunique") > 1)
    )
    if groups:
        extra = sum(len(group) - 1 for group in groups)
        yield Finding(
            kind="near_duplicates",
            severity="note",
            title="Nearly the same picture more than once",
            words=f"{sum(map(len, groups)):,} images in {_counted(len(groups), 'group')} look nearly the same: the "
            "same picture saved anew, smaller or brighter, or the next of a series. Where a split is drawn, they stay "
            f"on one side. Keeping one of each leaves out {extra:,}.",
            groups=groups,
            suggestions=(Suggestion(label="Keep one of each", edits=(keep_one(groups),)),),
        )


def _two_labels(dataset: Dataset) -> Iterator[Finding]:
    """Copies, or near duplicates, under more than one class."""
    images = dataset.images
    exact = _groups(images, "sha256", images.groupby("sha256")["label"].transform("nunique") > 1)
    if exact:
        yield Finding(
            kind="two_labels",
            severity="error",
            title="The same file under two classes",
            words=f"{_pictures(len(exact))} in more than one class, so one label at least is wrong.{_kept(dataset)}",
            groups=exact,
            suggestions=_one_label(dataset, exact),
        )
    if "group" not in images:
        return
    taken = {path for group in exact for path in group}
    across = images.groupby("group")["label"].transform("nunique") > 1
    near = tuple(group for group in _groups(images, "group", across) if not taken.issuperset(group))
    if near:
        yield Finding(
            kind="near_two_labels",
            severity="warning",
            title="Nearly the same picture under two classes",
            words=f"{_counted(len(near), 'group')} of pictures that look nearly the same but are in different classes: "
            f"a wrong label, or a difference that is hard to see.{_kept(dataset)}",
            groups=near,
            suggestions=_one_label(dataset, near),
        )


def _leaks(dataset: Dataset) -> Iterator[Finding]:
    leaks = leaks_between_parts(dataset)
    part_of = dict(zip(dataset.images["path"], dataset.images["part"], strict=True))
    for exact in (True, False):
        groups = tuple(leak.paths for leak in leaks if leak.exact == exact)
        if groups:
            yield Finding(
                kind="leak" if exact else "near_leak",
                severity="error" if exact else "warning",
                title="The same picture in two parts" if exact else "Nearly the same picture in two parts",
                words=f"{_pictures(len(groups))} in more than one of the given parts, so networks are chosen or "
                "tested on what was seen before, and results look too good.",
                groups=groups,
                suggestions=_one_part(groups, part_of),
            )


def _one_part(groups: tuple[Group, ...], part_of: dict[str, str]) -> tuple[Suggestion, ...]:
    """Keep each group in its last part alone (test, else validation), or move all of it to the training part."""
    last = {group: max((part_of[path] for path in group), key=PARTS.index) for group in groups}
    earlier = tuple(path for group in groups for path in group if part_of[path] != last[group])
    moved = tuple(path for group in groups for path in group if part_of[path] != "train")
    return (
        Suggestion(label="Keep those for testing alone", edits=(LeaveOut(paths=earlier),)),
        Suggestion(label="Move them all to train", edits=(Move(paths=moved, part="train"),)),
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
            words=f"{_counted(len(named), 'file')} of another format than the name says, such as "
            f"{named['path'].iloc[0]}, which is {named['format'].iloc[0]}. They are read by their content.",
            groups=_singles(named["path"]),
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
    _too_small, _similar_names, _two_labels, _leaks, _imbalance, _exact, _near, _no_information, _tiny, _endings,
    _left_out, _old,
)  # fmt: skip


def _shown(images: pd.DataFrame, which: "pd.Series[bool]", kind: str, title: str, words: str) -> Iterator[Finding]:
    count = int(which.sum())
    if count:
        yield Finding(
            kind=kind,
            severity="warning",
            title=title,
            words=f"{_counted(count, 'image')} with {words}: a network has little to learn from them.",
            groups=_singles(images["path"][which]),
            suggestions=(_leave_out("Leave them out", images, which),),
        )


def _one_label(dataset: Dataset, groups: tuple[Group, ...]) -> tuple[Suggestion, ...]:
    """Leave the groups out or, where there is one alone, relabel it to one of the classes that it is found in.

    Of several groups each may belong to another class: their pictures are ticked and relabelled by hand.
    """
    label_of = dict(zip(dataset.images["path"], _labels(dataset), strict=True))
    suggestions = [Suggestion(label="Leave them all out", edits=(leave_out_all(groups),))]
    for name in sorted({label_of[path] for path in groups[0]}) if len(groups) == 1 else ():
        paths = tuple(path for path in groups[0] if label_of[path] != name)
        suggestions.append(Suggestion(label=f"All are {name}", edits=(Relabel(paths=paths, label=name),)))
    return tuple(suggestions)


def _groups(images: pd.DataFrame, key: str, which: "pd.Series[bool]") -> tuple[Group, ...]:
    """Paths of the chosen images that share a key, where at least two do, in the order of the first path."""
    found = images[which].sort_values("path").groupby(key, sort=False)["path"].agg(tuple)
    return tuple(sorted(group for group in found if len(group) > 1))


def _singles(paths: Iterable[str]) -> tuple[Group, ...]:
    return tuple((path,) for path in sorted(paths))


def _leave_out(label: str, images: pd.DataFrame, which: "pd.Series[bool]") -> Suggestion:
    return Suggestion(label=label, edits=(LeaveOut(paths=tuple(sorted(images["path"][which]))),))


def _labels(dataset: Dataset) -> "pd.Series[str]":
    """The class of each image by name."""
    return dataset.images["label"].map(dict(enumerate(dataset.info.classes)))


def _copies(count: int) -> str:
    return "1 file is an exact copy of another" if count == 1 else f"{count:,} files are exact copies of others"


def _pictures(count: int) -> str:
    return "1 picture is" if count == 1 else f"{count:,} pictures are"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _kept(dataset: Dataset) -> str:
    """What the split does with pictures under several classes, where it is drawn here."""
    return " They are used for training only, where they teach both." if dataset.info.given == "none" else ""

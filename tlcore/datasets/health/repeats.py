"""Checks for pictures that are there more than once: within a class, under several classes, in several parts."""

from collections.abc import Iterator

import pandas as pd

from tlcore.datasets.dataset import PARTS, Dataset
from tlcore.datasets.duplicates import known_looks, near_across
from tlcore.datasets.health.common import counted, labels
from tlcore.datasets.health.findings import Finding, Group, Suggestion
from tlcore.datasets.splits import leaks_between_parts
from tlcore.datasets.versions.edits import LeaveOut, Move, Relabel, keep_one, leave_out_all


def exact(dataset: Dataset) -> Iterator[Finding]:
    """Copies within a class."""
    images = dataset.images
    groups = _groups(images, "sha256", images.groupby("sha256")["label"].transform("nunique") == 1)
    if groups:
        extra = sum(len(group) - 1 for group in groups)
        yield Finding(
            kind="exact_duplicates",
            severity="note",
            title="The same file more than once",
            words=f"{_copies(extra)}, in {counted(len(groups), 'group')}. Where the split is "
            "drawn here, copies stay on one side; they still weigh more than other images.",
            groups=groups,
            suggestions=(Suggestion(label="Keep one of each", edits=(keep_one(groups),)),),
        )


def near(dataset: Dataset) -> Iterator[Finding]:
    """Near duplicates within a class."""
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
            words=f"{sum(map(len, groups)):,} images in {counted(len(groups), 'group')} look nearly the same: the "
            "same picture saved anew, smaller or brighter, or the next of a series. Where a split is drawn, they stay "
            f"on one side. Keeping one of each leaves out {extra:,}.",
            groups=groups,
            suggestions=(Suggestion(label="Keep one of each", edits=(keep_one(groups),)),),
        )


def two_labels(dataset: Dataset) -> Iterator[Finding]:
    """Copies, or near duplicates, under more than one class."""
    images = dataset.images
    same = _groups(images, "sha256", images.groupby("sha256")["label"].transform("nunique") > 1)
    if same:
        yield Finding(
            kind="two_labels",
            severity="error",
            title="The same file under two classes",
            words=f"{_pictures(len(same))} in more than one class, so one label at least is wrong.{_kept(dataset)}",
            groups=same,
            suggestions=_one_label(dataset, same),
        )
    if "group" not in images:
        return
    taken = {path for group in same for path in group}
    alike = tuple(group for group in _across(images) if not taken.issuperset(group))
    if alike:
        yield Finding(
            kind="near_two_labels",
            severity="warning",
            title="Nearly the same picture under two classes",
            words=f"{counted(len(alike), 'group')} of pictures that look nearly the same but are in different classes: "
            f"a wrong label, or a difference that is hard to see.{_kept(dataset)}",
            groups=alike,
            suggestions=_one_label(dataset, alike),
        )


def leaks(dataset: Dataset) -> Iterator[Finding]:
    """Copies and near duplicates in more than one of the given parts."""
    found = leaks_between_parts(dataset)
    part_of = dict(zip(dataset.images["path"], dataset.images["part"], strict=True))
    for same in (True, False):
        groups = tuple(leak.paths for leak in found if leak.exact == same)
        if groups:
            yield Finding(
                kind="leak" if same else "near_leak",
                severity="error" if same else "warning",
                title="The same picture in two parts" if same else "Nearly the same picture in two parts",
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


def _one_label(dataset: Dataset, groups: tuple[Group, ...]) -> tuple[Suggestion, ...]:
    """Leave the groups out or, where there is one alone, relabel it to one of the classes that it is found in.

    Of several groups each may belong to another class: their pictures are ticked and relabelled by hand.
    """
    label_of = dict(zip(dataset.images["path"], labels(dataset), strict=True))
    suggestions = [Suggestion(label="Leave them all out", edits=(leave_out_all(groups),))]
    for name in sorted({label_of[path] for path in groups[0]}) if len(groups) == 1 else ():
        paths = tuple(path for path in groups[0] if label_of[path] != name)
        suggestions.append(Suggestion(label=f"All are {name}", edits=(Relabel(paths=paths, label=name),)))
    return tuple(suggestions)


def _groups(images: pd.DataFrame, key: str, which: "pd.Series[bool]") -> tuple[Group, ...]:
    """Paths of the chosen images that share a key, where at least two do, in the order of the first path."""
    found = images[which].sort_values("path").groupby(key, sort=False)["path"].agg(tuple)
    return tuple(sorted(group for group in found if len(group) > 1))


def _across(images: pd.DataFrame) -> tuple[Group, ...]:
    """Paths of pictures that are like one of another class, whatever else is in their near-duplicate groups."""
    if not known_looks(images):
        return _groups(images, "group", images.groupby("group")["label"].transform("nunique") > 1)
    paired = images.assign(pair=near_across(images, images["label"].tolist()))
    return _groups(paired, "pair", paired["pair"] != "")


def _copies(count: int) -> str:
    return "1 file is an exact copy of another" if count == 1 else f"{count:,} files are exact copies of others"


def _pictures(count: int) -> str:
    return "1 picture is" if count == 1 else f"{count:,} pictures are"


def _kept(dataset: Dataset) -> str:
    """What the split does with pictures under several classes, where it is drawn here."""
    return " They are used for training only, where they teach both." if dataset.info.given == "none" else ""

"""Images in: whatever people have becomes a checked dataset, whole or not at all."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from tlcore.datasets.dataset import Dataset, DatasetInfo, LeftOut
from tlcore.datasets.describing import MAX_LISTED, facts_of, in_order
from tlcore.datasets.duplicates import comparing, near_groups
from tlcore.datasets.files import Limits, Progress, Stop, never, silent, stage
from tlcore.datasets.intake.cards import NO_CARD
from tlcore.datasets.intake.discovery import HOW, Found
from tlcore.datasets.intake.gathering import Gathered, gather
from tlcore.datasets.intake.matching import Entry
from tlcore.datasets.intake.sources import find_source
from tlcore.datasets.names import MAX_CLASS_CHARACTERS, UniquePaths, class_name, slug
from tlcore.datasets.pictures.inspection import Inspected, inspect_files, inspector_command
from tlcore.datasets.staging import check_space, place_file, staging, unchanging
from tlcore.datasets.store import land
from tlcore.datasets.versions.card import DataCard, fill_card, put_card
from tlcore.errors import DatasetError
from tlcore.settings import Settings, get_settings

_CHECKED = 0.95  # the part of an import that is done when every image was decoded
MAX_NAMED = 5  # classes in a note
_LOOKS = ["brightness", "contrast", "colour", "phash", "look"]
_FACTS = ["sha256", "width", "height", "mode", "format", "num_bytes", *_LOOKS]
_COLUMNS = ["path", "label", "part", *_FACTS, "group"]


def add_dataset(
    source: Path | str,
    name: str | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
    should_stop: Stop | None = None,
) -> DatasetInfo:
    """Make a dataset from a zip, tar, folder, table of paths and labels, web address or public set.

    source: a web address and `torchvision:NAME` are text; what is on this disk stays as it is. The same content again
    gives the dataset that is there. progress: called with 0…1 and a few words.
    Raises: DatasetError (ArchiveError) when the source cannot be used, NotFoundError for an unknown public
    set, StorageError, RunCancelledError; then nothing is left behind.
    """
    settings = settings or get_settings()
    bring = find_source(source, settings)
    tell, stop = progress or silent, should_stop or never
    with staging(settings.datasets) as folder, unchanging(str(source)):
        limits = Limits(settings.max_dataset_files, int(settings.max_dataset_gb * 1e9))
        brought = bring(folder, limits, tell, stop)
        gathered = gather(brought, folder, limits, tell, stop)
        gathered = replace(gathered, found=_tidied(gathered.found))
        found, target = gathered.found, folder / "dataset"
        if not gathered.ours:
            check_space(folder, sum(entry.file.stat().st_size for entry in found.entries))
        images, refused = _check(gathered, target, stage(tell, gathered.share, _CHECKED), stop)
        found = replace(found, left_out=refused + found.left_out)
        images["group"] = near_groups(images, comparing(stage(tell, _CHECKED, 1.0), stop))
        dataset = _described(images, found, name or gathered.brought.name or brought.name, brought.told, target)
        card = gathered.brought.card
        if card != NO_CARD:
            put_card(target, card)
        tell(1.0, f"{dataset.info.num_images:,} images")
        info = land(dataset, target, settings)
        if card != NO_CARD and target.exists():  # the content is there already, so that the folder does not stay
            info = _with_card(info, card, settings)
        return info


def _with_card(info: DatasetInfo, card: DataCard, settings: Settings) -> DatasetInfo:
    """The card that came along goes to the dataset that is there, where that has none."""
    if fill_card(info.id, card, settings):
        return info
    note = f"{info.id} has another data card, which is kept; the card in this source was not taken."
    return info.model_copy(update={"notes": (*info.notes, note)})


def _tidied(found: Found) -> Found:
    """Classes with names that edits and folders could have too; those that differ by spaces alone become one.

    Raises: DatasetError where two other names would become one.
    """
    names = {entry.label: class_name(entry.label) for entry in found.entries}
    taken: dict[str, str] = {}
    for old, new in sorted(names.items()):
        other = taken.setdefault(new, old.strip())
        if other != old.strip():
            raise DatasetError(
                f"the classes {other!r} and {old.strip()!r} would both be called {new!r}, as the name of a class has "
                f"no / and \\ and at most {MAX_CLASS_CHARACTERS} characters: rename one of them"
            )
    met = sorted({new for old, new in names.items() if old != new and new in names})
    notes = [f"Classes whose names differ by spaces alone are one class: {', '.join(met)}."] if met else []
    changed = [f"{old!r} is called {new!r}" for old, new in sorted(names.items()) if old.strip() != new]
    if changed:
        more = f" and {len(changed) - MAX_NAMED:,} more" if len(changed) > MAX_NAMED else ""
        notes.append(f"Names of classes that no folder can have were changed: {', '.join(changed[:MAX_NAMED])}{more}.")
    entries = [replace(entry, label=names[entry.label]) for entry in found.entries]
    return replace(found, entries=entries, notes=[*found.notes, *notes])


@dataclass
class _Placing:
    """Where files were put, in the order in which they are inspected."""

    gathered: Gathered
    target: Path
    paths: list[str] = field(default_factory=list)
    names: UniquePaths = field(default_factory=UniquePaths)
    folders: dict[str, str] = field(default_factory=dict)
    folder_names: UniquePaths = field(default_factory=UniquePaths)

    def one_by_one(self) -> Iterator[Path]:
        """Put each file into the dataset just before it is inspected: what is checked is what is kept."""
        for entry in self.gathered.found.entries:
            if entry.label not in self.folders:
                self.folders[entry.label] = self.folder_names.take([entry.label])
            above = [entry.part] if entry.part else []
            path = self.names.take([*above, self.folders[entry.label], entry.below[-1]])
            self.paths.append(path)
            place_file(entry.file, self.target / "files" / path, self.gathered.ours, self.gathered.root)
            yield self.target / "files" / path


def _check(gathered: Gathered, target: Path, tell: Progress, should_stop: Stop) -> tuple[pd.DataFrame, list[LeftOut]]:
    """Place and decode every file; returns the table of good ones (with class names) and the refused ones."""
    placing, entries = _Placing(gathered, target), gathered.found.entries
    rows: list[tuple[object, ...]] = []
    refused: list[LeftOut] = []
    verdicts = inspect_files(placing.one_by_one(), inspector_command(target / "thumbnails"), should_stop)
    with closing(verdicts):
        for done, (index, verdict) in enumerate(verdicts, start=1):
            entry, path = entries[index], placing.paths[index]
            if verdict.refused is not None:
                (target / "files" / path).unlink()
                refused.append(LeftOut(path="/".join(entry.below), reason=verdict.refused))
            else:
                rows.append(_row(entry, path, verdict))
            if done % 20 == 0 or done == len(entries):
                tell(done / len(entries), f"Checked {done:,} of {len(entries):,} images")
    refused.sort(key=lambda left: left.path)
    return pd.DataFrame(rows, columns=["path", "class", "part", *_FACTS]), refused


def _row(entry: Entry, path: str, verdict: Inspected) -> tuple[object, ...]:
    return (path, entry.label, entry.part, *(getattr(verdict, name) for name in _FACTS))


def _described(images: pd.DataFrame, found: Found, name: str, source: str, target: Path) -> Dataset:
    _require_classes(images, found, source)
    images = in_order(images)
    facts = facts_of(images, slug(name), found.left_out)
    info = DatasetInfo(
        **facts,
        name=name,
        total_bytes=int(images["num_bytes"].sum()),
        source=source,
        notes=(*found.notes, *_remarks(images, len(found.left_out))),
    )
    return Dataset(info, images[_COLUMNS], target / "files")


def _require_classes(images: pd.DataFrame, found: Found, source: str) -> None:
    classes = sorted(set(images["class"]))
    out = found.left_out
    first = f"; {len(out):,} files were left out, such as {out[0].path}: {out[0].reason}" if out else ""
    if not classes:
        raise DatasetError(f"no usable images in {source}{first}: {HOW}")
    if len(classes) == 1:
        raise DatasetError(f"{source} has one class only, {classes[0]!r}{first}: at least two are needed; {HOW}")


def _remarks(images: pd.DataFrame, num_left_out: int) -> Iterator[str]:
    copies = len(images) - images["sha256"].nunique()
    if copies:
        yield f"{copies:,} files are exact copies of others; where the split is drawn here, copies stay together."
    alike = images["sha256"].nunique() - images["group"].nunique()
    if alike:
        yield f"{alike:,} more look nearly the same as others; where the split is drawn here, they stay together too."
    labels = images.groupby("sha256")["label"].nunique()
    if (labels > 1).any():
        yield f"{_occur(labels)} under more than one class; a drawn split uses them for training only."
    for part in sorted(set(images["part"]) - {""}):
        absent = sorted(set(images["class"]) - set(images["class"][images["part"] == part]))
        if absent:
            yield f"The given {part} part has no image of {', '.join(absent)}."
    parts = images[images["part"] != ""].groupby("sha256")["part"].nunique()
    if (parts > 1).any():
        yield f"{_occur(parts)} in more than one of the given parts: results may look too good."
    if num_left_out > MAX_LISTED:
        yield f"{num_left_out:,} files were left out; the first {MAX_LISTED:,} are listed."


def _occur(numbers: "pd.Series[int]") -> str:
    """How many pictures are in several places, with the verb."""
    count = int((numbers > 1).sum())
    return "1 picture occurs" if count == 1 else f"{count:,} pictures occur"

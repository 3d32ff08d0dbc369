"""`python -m tlcore dataset edit`, `versions`, `card`, `export`, `delete` and `label-errors`."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from tlcore.cli.output import bar, note, say, table
from tlcore.datasets.dataset import DatasetInfo
from tlcore.service import datasets as service
from tlcore.service import label_errors as label_error_service
from tlcore.service import versions as editing

LEAVE_OUT_HELP = "an image that the new version lacks, by its path in this one; repeatable"
MOVE_HELP = "PATH=PART: an image for another of the parts train, val and test that the data brought; repeatable"
RELABEL_HELP = "PATH=CLASS: an image of another class, which may be new; repeatable"
RENAME_HELP = "OLD=NEW: a class with another name; one that there is already takes its images in; repeatable"
KEEP_HELP = "of each group of copies and near duplicates within a class, only the first stays"
MANY = 50


def edit(
    dataset: str,
    leave_out: Annotated[list[str], typer.Option(metavar="PATH", help=LEAVE_OUT_HELP)] = [],  # noqa: B006
    move: Annotated[list[str], typer.Option(metavar="PATH=PART", help=MOVE_HELP)] = [],  # noqa: B006
    relabel: Annotated[list[str], typer.Option(metavar="PATH=CLASS", help=RELABEL_HELP)] = [],  # noqa: B006
    rename_class: Annotated[list[str], typer.Option(metavar="OLD=NEW", help=RENAME_HELP)] = [],  # noqa: B006
    keep_one: Annotated[bool, typer.Option("--keep-one", help=KEEP_HELP)] = False,
) -> None:
    """Make a new version of a dataset; the old one and its runs stay. Edits are done in the order of these options."""
    old = service.get_dataset(dataset)
    edits = editing.parse_edits(old.id, leave_out, move, relabel, rename_class, keep_one)
    with bar("version") as tell:
        new = editing.derive_version(old.id, edits, tell)
    say(new.id)
    for change in new.changes if new.parent == old.id else ():
        say(change)
    for text in new.notes:
        say(text)
    for line in _counts(old, new):
        say(line)


def versions(dataset: str) -> None:
    """All versions of a dataset, oldest first, and what was changed from one to the next."""
    rows = []
    for version in editing.versions_of(service.get_dataset(dataset).id):
        info = version.info
        facts = [f"{info.num_images:,}", str(len(info.classes))] if info else ["–", "–"]
        words = " ".join(info.changes) or "imported" if info else "deleted"
        rows.append([str(version.version), version.id, version.parent or "–", *facts, words])
    table("", ["version", "id ", "made from ", "images", "classes", "changes "], rows)


def card(
    dataset: str,
    source: Annotated[str | None, typer.Option(help="where the images come from")] = None,
    licence: Annotated[str | None, typer.Option(help="under which terms they may be used")] = None,
    notes: Annotated[str | None, typer.Option(help="anything else worth knowing")] = None,
) -> None:
    """The data card of a dataset; the fields that are given are changed first."""
    info = service.get_dataset(dataset)
    changes = any(text is not None for text in (source, licence, notes))
    shown = editing.write_card(info.id, source, licence, notes) if changes else editing.read_card(info.id)
    say(f"{info.id}  ({info.name})")
    for name in ("source", "licence", "notes"):
        say(f"{name}: {getattr(shown, name) or 'not said'}")


def export(dataset: str, to: Annotated[Path, typer.Option(metavar="FILE.zip", help="a new file")]) -> None:
    """A dataset as a zip of class folders, with labels.csv and its card."""
    info = service.get_dataset(dataset)
    with bar("export") as tell:
        made = editing.export_zip(info.id, to, tell)
    say(str(made))


def delete(dataset: str, yes: Annotated[bool, typer.Option("--yes", help="do not ask; for scripts")] = False) -> None:
    """Remove one version of a dataset from the disk; results of its runs stay."""
    info = service.get_dataset(dataset)
    service.require_unused(info.id)
    freed = editing.freed_bytes(info.id)
    others = [v.id for v in editing.versions_of(info.id) if v.info is not None and v.id != info.id]
    stay = f"; {', '.join(others)} {'stays' if len(others) == 1 else 'stay'}" if others else ""
    made = editing.num_comparisons(info.id)
    runs = f"; results of {made:,} comparison{'s' * (made != 1)} on it stay" if made else ""
    note(f"{info.id}: {info.num_images:,} images; deleting it frees {freed / 1e6:,.1f} MB{stay}{runs}")
    if not yes:
        typer.confirm("Delete it?", abort=True, err=True)
    service.delete_dataset(info.id)
    say(f"deleted {info.id}, {freed / 1e6:,.1f} MB freed{stay}")


def label_errors(
    comparison: Annotated[str, typer.Argument(help="a comparison, or a dataset for all that were made on it")],
    limit: Annotated[int, typer.Option(min=1, help="how many to list, the likeliest first")] = MANY,
) -> None:
    """Images whose label is likely wrong, judged by runs that did not train on them."""
    found = label_error_service.label_errors(comparison)
    rows = [
        [e.path, e.given, e.suggested, f"{e.given_probability:.2f}", f"{e.suggested_probability:.2f}",
         f"{e.agreeing} of {e.runs}"]
        for e in found.errors[:limit]
    ]  # fmt: skip
    if rows:
        table("", ["path ", "label ", "likely ", "p(label)", "p(likely)", "runs that say so"], rows)
    listed = f"; the first {limit:,} are listed" if len(found.errors) > limit else ""
    count = f"{len(found.errors):,} likely label error{'s' * (len(found.errors) != 1)}"
    say(f"{count} among {found.judged:,} judged images of {found.dataset_id}{listed}")
    for text in found.limits:
        note(text)
    if rows:
        note(f"to correct one: python -m tlcore dataset edit {found.dataset_id} --relabel PATH=CLASS")


def _counts(old: DatasetInfo, new: DatasetInfo) -> list[str]:
    """How many images there are now, where that changed."""
    lines = [f"{new.num_images:,} images in {len(new.classes)} classes (were {old.num_images:,} in {len(old.classes)})"]
    kinds = ((old.class_counts, new.class_counts), (old.part_counts, new.part_counts))
    for before, after in kinds:
        for name in sorted({*before, *after} - {""}):
            if before.get(name, 0) != after.get(name, 0):
                lines.append(f"  {name}: {after.get(name, 0):,} (were {before.get(name, 0):,})")
    return lines


COMMANDS: dict[str, Callable[..., None]] = {
    "edit": edit,
    "versions": versions,
    "card": card,
    "export": export,
    "delete": delete,
    "label-errors": label_errors,
}

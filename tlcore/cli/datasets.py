"""`python -m tlcore dataset …`."""

from typing import Annotated

import typer

from tlcore.cli import versions
from tlcore.cli.output import bar, say, table
from tlcore.datasets.dataset import DatasetInfo
from tlcore.service import datasets as service
from tlcore.service import pictures
from tlcore.spec import FIXED

SHOWN_GROUPS = 25  # of a finding's groups of images
app = typer.Typer()
for _name, _command in versions.COMMANDS.items():
    app.command(_name)(_command)


@app.command()
def add(
    source: Annotated[
        str,
        typer.Argument(
            help="zip, tar (.gz, .bz2, .xz), folder, CSV or JSONL of paths and labels, https://… of an archive, or "
            "torchvision:NAME (see `dataset sources`)"
        ),
    ],
    name: Annotated[str | None, typer.Option(help="how to call it; default: the file's or the set's name")] = None,
) -> None:
    """Add a dataset; prints its id and what was found. Ctrl-C ends it, and nothing is kept."""
    info = add_with_progress(source, name)
    show_info(info)
    found = [f for f in pictures.health(info.id).findings if f.kind != "left_out"]
    for finding in found:
        say(f"{finding.severity}: {finding.title}")
    if found:
        say(f"more of it: python -m tlcore dataset check {info.id}, or the Datasets page")


@app.command()
def sources() -> None:
    """Public sets that can be added by name: `dataset add torchvision:NAME`."""
    rows = [
        [s.source, s.shows, f"{s.num_classes}", f"{s.num_images:,}", s.pixels, megabytes(s), s.licence]
        for s in service.public_sets()
    ]
    columns = ["set ", "shows ", "classes", "images", "pixels ", "download", "licence "]
    table("", columns, rows)
    say("numbers and licences as far as known; read the set's own terms before you use it")


def megabytes(entry: service.PublicSet) -> str:
    """The size of a set's download; `by hand` where torchvision cannot download it."""
    if entry.by_hand:
        return "by hand"
    return f"{entry.download_mb / 1000:,.1f} GB" if entry.download_mb >= 1000 else f"{entry.download_mb} MB"


@app.command("list")
def list_all() -> None:
    """All datasets, newest first."""
    rows = [[d.id, d.name, f"{d.num_images:,}", str(len(d.classes)), d.given] for d in service.list_datasets()]
    table("", ["id ", "name ", "images", "classes", "folders "], rows)


@app.command()
def show(dataset: str) -> None:
    """What a dataset holds."""
    show_info(service.get_dataset(dataset))


@app.command()
def check(
    dataset: str,
    split: Annotated[str, typer.Option(metavar="PLAN", help="fixed, repeated or kfold:K, as of compare")] = FIXED,
) -> None:
    """What is wrong with a dataset, whether it can be split, and whether its files are whole."""
    info = service.get_dataset(dataset)
    show_info(info)
    for finding in pictures.health(info.id).findings:
        say(f"{finding.severity}: {finding.title}: {finding.words}")
        for group in finding.groups[:SHOWN_GROUPS]:
            say(f"  {', '.join(group)}")
        if len(finding.groups) > SHOWN_GROUPS:
            say(f"  and {len(finding.groups) - SHOWN_GROUPS:,} more: look at them on the Datasets page")
    sizes = service.split_sizes(info.id, plan=split)
    say(service.split_note(info, split))
    say(f"split for seed 0: {sizes['train']} train, {sizes['val']} validation, {sizes['test']} test")
    damaged = service.damaged_files(info.id)
    for file in damaged:
        say(f"damaged: {file.path}: {file.reason}; delete the dataset and add it again")
    if damaged:
        raise typer.Exit(1)


def add_with_progress(source: str, name: str | None = None) -> DatasetInfo:
    """Resolve a dataset id, path, address or public set, with a bar while it is imported."""
    with bar("dataset") as tell:
        return service.resolve_dataset(source, name, tell)


def show_info(info: DatasetInfo) -> None:
    """A dataset's facts, one line each."""
    say(f"{info.id}  ({info.name})")
    say(f"{info.num_images:,} images in {len(info.classes)} classes, fingerprint {info.fingerprint[:16]}")
    if info.parent:
        say(f"version {info.version}, made from {info.parent}: {' '.join(info.changes)}")
    for name in info.classes:
        say(f"  {name}: {info.class_counts[name]:,}")
    for text in info.notes:
        say(text)
    for left in info.left_out:
        say(f"left out: {left.path}: {left.reason}")

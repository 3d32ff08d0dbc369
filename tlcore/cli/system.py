"""`python -m tlcore models` and `doctor`."""

from typing import Annotated

import typer

from tlcore.cli.output import say, table
from tlcore.service import models as service
from tlcore.service import system


def models(
    filter_: Annotated[str, typer.Argument(metavar="FILTER", help="part of a name")] = "",
    limit: Annotated[int, typer.Option(min=1, max=5000)] = 40,
) -> None:
    """Models of timm and torchvision; those whose weights are here come first."""
    found = [entry for entry in service.catalogue() if filter_.lower() in entry.model.lower()]
    rows = [[e.model, "here" if e.usable_now else "download" if e.weight_tags else "none"] for e in found[:limit]]
    table("", ["model ", "ImageNet weights "], rows)
    if len(found) > limit:
        say(f"{len(found) - limit:,} more: name a part of the model, or raise --limit")


def doctor(
    relocate: Annotated[bool, typer.Option("--relocate", help="mend stored paths after the home was moved")] = False,
) -> None:
    """Check this installation: libraries, devices, disk, store, workers."""
    if relocate:
        say(f"{system.relocate()} stored paths now point to this home")
    checks = system.doctor()
    for check in checks:
        say(f"{'ok     ' if check.ok else 'PROBLEM'} {check.name}: {check.message}")
    if not all(check.ok for check in checks):
        raise typer.Exit(1)

"""`python -m tlcore doctor`."""

from typing import Annotated

import typer

from tlcore.cli.output import say
from tlcore.service import system


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

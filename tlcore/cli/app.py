"""The command line. Exit 0 on success, 1 when a run failed, 2 on bad input with one clear line on stderr."""

import sys
from collections.abc import Callable
from typing import NoReturn

import click
import typer

from tlcore.cli import compare, datasets, runs, system
from tlcore.errors import TlcoreError

app = typer.Typer(
    name="tlcore",
    help="Transfer learning, fine-tuning or training from scratch, compared on your own images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(datasets.app, name="dataset", help="Add, list, show and check datasets.")
COMMANDS: tuple[Callable[..., None], ...] = (
    compare.demo,
    compare.compare,
    compare.report,
    runs.predict,
    runs.export,
    runs.runs,
    system.models,
    system.doctor,
)
for command in COMMANDS:
    app.command()(command)


def main() -> NoReturn:
    """Run the command line and turn errors that a person can act on into one line and exit code 2."""
    try:
        sys.exit(app(standalone_mode=False))
    except (TlcoreError, click.UsageError) as error:
        text = error.format_message() if isinstance(error, click.UsageError) else str(error)
        sys.stderr.write(f"error: {' '.join(text.split())}\n")
        sys.exit(2)
    except click.exceptions.Abort:
        sys.exit(1)

"""The command line. Exit 0 on success, 1 when a run failed, 2 on bad input with one clear line on stderr."""

import sys
from collections.abc import Callable
from typing import NoReturn

import typer

from tlcore.cli import compare, datasets, lr_finder, models, runs, sources, strategies, system, versions
from tlcore.errors import TlcoreError

app = typer.Typer(
    name="tlcore",
    help="Transfer learning, fine-tuning or training from scratch, compared on your own images.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(datasets.app, name="dataset", help="Add, list, show, check and edit datasets.")
for name, command in versions.COMMANDS.items():
    datasets.app.command(name)(command)
app.add_typer(strategies.app, name="strategies")
COMMANDS: tuple[Callable[..., None], ...] = (
    compare.demo,
    compare.compare,
    compare.report,
    compare.settle,
    runs.predict,
    runs.export,
    runs.runs,
    runs.retry,
    sources.train_source,
    lr_finder.lr_find,
    models.models,
    system.doctor,
)
for command in COMMANDS:
    app.command()(command)


UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # click's own, or the copy that newer typer brings


def main() -> NoReturn:
    """Run the command line and turn errors that a person can act on into one line and exit code 2."""
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], prog_name="python -m tlcore", standalone_mode=False))
    except UsageError as error:
        _refuse(error.format_message())  # type: ignore[attr-defined]
    except TlcoreError as error:
        _refuse(str(error))
    except typer.Abort:
        sys.exit(1)


def _refuse(message: str) -> NoReturn:
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    sys.exit(2)

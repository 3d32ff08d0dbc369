"""The command line. Exit 0 on success, 1 when a run failed, 2 on bad input with one clear line on stderr, 130 after
Ctrl-C.

What a command needs is imported when it is called, so that `--help` answers at once.
"""

import sys
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

import typer
from typer.core import TyperGroup

from tlcore.cli import INTERRUPTED
from tlcore.errors import TlcoreError


class Command(NamedTuple):
    """Where a command is, as `module:function` of this package (a Typer of several commands: `module:app`), and its
    first line of help, which is also that of the function."""

    place: str
    help: str


COMMANDS = {
    "demo": Command("compare:demo", "The whole job with no network: sample data, all strategies, table and verdict."),
    "compare": Command("compare:compare", "Run a matched family of strategies and compare them."),
    "report": Command("compare:report", "The result of a comparison: table and verdict, or files."),
    "settle": Command(
        "compare:settle",
        "Add seeds for the strategies still in contention until the verdict is settled; each look needs more evidence.",
    ),
    "predict": Command("runs:predict", "What a run's best network says of some photographs."),
    "export": Command(
        "runs:export",
        "Weights, labels, preprocessing and a short script that needs only torch and timm or torchvision.",
    ),
    "runs": Command("runs:runs", "Recent comparisons, newest first; or the runs of one."),
    "retry": Command(
        "runs:retry", "Queue runs again that failed or were cancelled, from their checkpoint where one is kept."
    ),
    "profile": Command("runs:profile", "Where the time of runs went, part by part, and what holds each strategy back."),
    "train-source": Command(
        "sources:train_source",
        "Train a backbone on a source dataset; prints the weights (run:ID) to use for a target.",
    ),
    "lr-find": Command("lr_finder:lr_find", "Try growing learning rates on the training images, and suggest one."),
    "models": Command(
        "models:models",
        "Models of timm and torchvision: size, work, licence, known accuracy, and whether they can be used now.",
    ),
    "doctor": Command("system:doctor", "Check this installation: libraries, devices, disk, store, workers."),
    "dataset": Command("datasets:app", "Add, list, show, check and edit datasets."),
    "strategies": Command("strategies:app", "The built-in strategies and your own; `list` without a command."),
}


class OnCall(TyperGroup):
    """Knows the names and first lines of its commands; imports the one that is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The called command by its name, with what is left of the words. Raises: UsageError where there is none."""
        name, known, rest = super().resolve_command(ctx, args)
        return name, None if known is None or name is None else load(name), rest


def load(name: str) -> Any:
    """A command of `COMMANDS`, with its options."""
    module, _, attribute = COMMANDS[name].place.partition(":")
    found = getattr(import_module(f"tlcore.cli.{module}"), attribute)
    holder = _typer()
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name, help=COMMANDS[name].help)
    else:
        holder.command(name)(found)
    return typer.main.get_group(holder).commands[name]


def _typer(**more: Any) -> typer.Typer:
    return typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None, add_completion=False, **more)


app = _typer(
    name="tlcore",
    help="Transfer learning, fine-tuning or training from scratch, compared on your own images.",
    cls=OnCall,
)
for _name, _command in COMMANDS.items():
    app.command(_name, help=_command.help)(lambda: None)


UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # click's own, or the copy that newer typer brings


def main() -> NoReturn:
    """Run the command line and turn errors that a person can act on into one line and exit code 2."""
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], prog_name="python -m tlcore", standalone_mode=False))
    except UsageError as error:
        _refuse(error.format_message())  # type: ignore[attr-defined]
    except TlcoreError as error:
        _refuse(str(error))
    except typer.Abort as asked:
        sys.exit(INTERRUPTED if isinstance(asked.__cause__, KeyboardInterrupt) else 1)


def _refuse(message: str) -> NoReturn:
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    sys.exit(2)

"""`python -m tlcore strategies`: the built-in strategies, and a person's own."""

from pathlib import Path
from typing import Annotated

import typer

from tlcore.cli.output import check_writable, note, say, table
from tlcore.service import strategies as service
from tlcore.strategies import STRATEGIES, Strategy

app = typer.Typer(invoke_without_command=True)


@app.callback()
def strategies(context: typer.Context) -> None:
    """The built-in strategies and your own; `list` without a command."""
    if context.invoked_subcommand is None:
        list_()


@app.command("list")
def list_() -> None:
    """Every strategy that can be named, the built-in ones first."""
    rows = [_row(entry, "built-in") for entry in STRATEGIES.values()]
    for found in service.saved():
        rows.append(_row(found.strategy, "own") if found.strategy else [found.name, "own, unusable", "", ""])
        if found.problem:
            note(f"{found.name}: {found.problem}")
    table("", ["name ", "kind ", "phases", "what it does "], rows)


@app.command()
def show(name: str) -> None:
    """What a strategy does, phase by phase."""
    entry = service.find(name)
    say(f"{entry.id}: {entry.label}")
    say(entry.description)
    if entry.also_called:
        say(f"also called: {', '.join(entry.also_called)}")
    for number, phase in enumerate(entry.phases, 1):
        say(f"phase {number}: {_words(phase)}")


@app.command()
def export(name: str, to: Annotated[Path | None, typer.Option(help="file to write; default: stdout")] = None) -> None:
    """A strategy as YAML, built-in ones under a new name: a start for your own."""
    text = service.export(name)
    if to is None:
        say(text.rstrip("\n"))
        return
    check_writable(to)
    to.write_text(text, encoding="utf-8")
    note(f"wrote {to}")


@app.command()
def save(
    file: Path,
    replace: Annotated[bool, typer.Option("--replace", help="take the place of one of the same name")] = False,
) -> None:
    """Check a YAML file and keep it, so that its name can be given to `compare --strategy`."""
    entry = service.save(service.read_text(file), file.name, replace)
    say(f"saved {entry.id}: {len(entry.phases)} phases; use it with --strategy {entry.id}")


@app.command()
def remove(name: str) -> None:
    """Delete one of your own strategies; comparisons that used it keep its definition."""
    service.remove(name)
    say(f"removed {name}")


def _row(entry: Strategy, kind: str) -> list[str]:
    return [entry.id, kind, str(len(entry.phases)), entry.label]


def _words(phase: object) -> str:
    """A phase with its fields, such as `Train: trainable head, share 0.33, recipe head`."""
    values = {k: v for k, v in vars(phase).items() if not k.startswith("__") and v != {}}
    said = ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items())
    return f"{type(phase).__name__.lower()}: {said}"

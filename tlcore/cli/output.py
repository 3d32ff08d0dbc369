"""What the command line prints: tables on stdout, progress on stderr."""

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tlcore.cli import INTERRUPTED
from tlcore.errors import StorageError
from tlcore.results import STATE_WORDS, ComparisonResult, FloorResult, RunResult, StrategyResult, Verdict
from tlcore.spec import split_plan

PIPED_WIDTH = 200  # columns where stdout is a file or a pipe, so that tables are not folded
# No emoji: a class may be called `a:b:`, which rich would take for one.
out = Console(soft_wrap=True, emoji=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True, soft_wrap=True, emoji=False)


@contextmanager
def bar(what: str) -> Iterator[Callable[[float, str], None]]:
    """A progress bar for work that leaves nothing behind when Ctrl-C ends it; yields what is told how far it is."""
    try:
        with terminated_as_interrupted(), progress() as bars:
            task = bars.add_task(what, total=1.0)
            yield lambda done, message: bars.update(task, completed=done, description=message)
    except KeyboardInterrupt:
        note("cancelled: nothing was kept")
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends the work as Ctrl-C does, so that it can put its place in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def say(text: str) -> None:
    """One line of result on stdout, with no markup read into it."""
    out.print(text, markup=False, emoji=False, highlight=False)


def note(text: str) -> None:
    """One line of news on stderr."""
    err.print(text, markup=False, emoji=False, highlight=False)


def note_without_bars(text: str) -> None:
    """One line of news on stderr where it is no terminal, so that it has no `progress`."""
    if not err.is_terminal:
        note(text)


@contextmanager
def progress() -> Iterator[Progress]:
    """Progress bars on stderr; silent where stderr is no terminal."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=err, disable=not err.is_terminal) as bars:
        yield bars


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """A plain table; columns whose heading ends in a space are left-aligned, others right."""
    drawn = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        drawn.add_column(column.strip(), justify="left" if column.endswith(" ") else "right", overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    out.print(drawn, markup=False, emoji=False)


def check_writable(path: Path) -> None:
    """A file can be written here, or the path is `-`: asked before the work, not after. Raises: StorageError."""
    if str(path) == "-":
        return
    try:
        path.open("a").close()
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}; name a file in a folder that exists") from error


def write_json(path: Path, value: object) -> None:
    """Write JSON to a file, or to stdout for `-`. Raises: StorageError."""
    check_writable(path)
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if str(path) == "-":
        out.file.write(text)
    else:
        path.write_text(text, encoding="utf-8")


def percent(value: float | None) -> str:
    """An accuracy as a percentage with one decimal, or a dash where there is none."""
    return "–" if value is None else f"{100 * value:.1f}"


def seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def show_result(result: ComparisonResult) -> None:
    """The table of strategies and the verdict."""
    ranked = sorted(result.strategies, key=lambda s: -(s.test_accuracy_mean or 0))
    columns = ["model ", "strategy ", "data", "seeds", "test accuracy %", "95 % interval", "train s"]
    table("", columns, [*(_row(result, s) for s in ranked), *(_floor_row(floor) for floor in result.floors)])
    for run in result.runs:
        if run.error:
            note(f"{run.strategy} on {run.model}, seed {run.seed}: {STATE_WORDS[run.status]}: {run.error}")
    show_tuning(result)
    plan = split_plan(result.split)
    if not plan.is_fixed:
        say(f"\nsplit {plan}: {plan.words}")
    _show_verdict(result.verdict)


def _show_verdict(verdict: Verdict) -> None:
    """Over everything, then within each model where there are several, then what it speaks of."""
    say(f"\n{'Provisional: ' if verdict.provisional else ''}{verdict.text}")
    for model, own in verdict.by_model.items():
        say(f"\nWithin {model}: {own.text}")
    if verdict.claim:
        say(f"\n{verdict.claim}")


def show_tuning(result: ComparisonResult) -> None:
    """How many trials tuned runs had, what each chose, and what part of the time the others took."""
    tuned = [run for run in result.runs if run.num_trials]
    if not tuned:
        return
    whole = sum(run.train_seconds or 0 for run in tuned)
    spent = sum(run.tuning_seconds or 0 for run in tuned)
    numbers = sorted({run.num_trials for run in tuned})
    trials = " to ".join(str(number) for number in (numbers[0], numbers[-1])[: len(numbers)])
    share = f"; trials that were not chosen took {spent:.1f} of {whole:.1f} s ({spent / whole:.0%})" if whole else ""
    say(f"\ntuned: {trials} trials per run{share}")
    several = len(result.models) > 1, len({run.fraction for run in tuned}) > 1
    for run in tuned:
        name = f"{run.model} / {run.strategy}" if several[0] else run.strategy
        part = f", {run.fraction:.0%} of the data" if several[1] else ""
        say(f"  {name}, seed {run.seed}{part}: {_chosen(run)}")


def _chosen(run: RunResult) -> str:
    """`learning_rate=0.003, weight_decay=0.0005`, as `--set` takes them."""
    if run.chosen is None:
        return "no trial could be chosen"
    said = (f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}" for key, value in run.chosen.items())
    return ", ".join(said) or "the recipe's own settings"


def _floor_row(floor: FloorResult) -> list[str]:
    accuracy = percent(floor.test_accuracy_mean)
    interval = _interval(floor.test_accuracy_ci95)
    return [floor.model, floor.label, f"{floor.fraction:.0%}", str(floor.num_seeds), accuracy, interval, seconds(None)]


def _interval(ends: tuple[float, float] | None) -> str:
    return f"{percent(ends[0])} to {percent(ends[1])}" if ends else "–"


def _row(result: ComparisonResult, entry: StrategyResult) -> list[str]:
    mine = [
        run.train_seconds
        for run in result.runs
        if (run.model, run.strategy, run.fraction) == (entry.model, entry.strategy, entry.fraction)
        and run.train_seconds is not None
    ]
    return [
        entry.model,
        entry.label,
        f"{entry.fraction:.0%}",
        str(entry.num_seeds),
        percent(entry.test_accuracy_mean),
        _interval(entry.test_accuracy_ci95),
        seconds(sum(mine) / len(mine) if mine else None),
    ]

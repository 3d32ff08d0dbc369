"""`python -m tlcore lr-find`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tlcore.cli import INTERRUPTED
from tlcore.cli.compare import BATCH_HELP, PARTIAL_HELP, SET_HELP, batch_of
from tlcore.cli.datasets import add_with_progress
from tlcore.cli.output import check_writable, note, progress, say, table, write_json
from tlcore.results import RateFinding
from tlcore.service import datasets, lr_finder, plans

ROWS = 12  # of the table: so many of the rates that were tried


def lr_find(
    dataset: Annotated[str, typer.Option(help="dataset id, or a path to import")],
    model: Annotated[str, typer.Option(help="timm name, or torchvision:NAME")],
    strategy: Annotated[str, typer.Option(help="whose first gradient phase is tried")] = "fine_tuning",
    weights: Annotated[str, typer.Option(help="imagenet, a timm tag, file:PATH, run:ID or none")] = "imagenet",
    allow_partial_weights: Annotated[bool, typer.Option("--allow-partial-weights", help=PARTIAL_HELP)] = False,
    low: Annotated[float | None, typer.Option(help="first rate; default 1e-7")] = None,
    high: Annotated[float | None, typer.Option(help="last rate; default 10")] = None,
    steps: Annotated[int | None, typer.Option(help="optimiser steps; default 100")] = None,
    seed: Annotated[int, typer.Option(help="of the split, the start and the order")] = 0,
    image_size: Annotated[int | None, typer.Option(help="pixels; default: the model's own")] = None,
    batch_size: Annotated[str | None, typer.Option(metavar="N|auto", help=BATCH_HELP)] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:INDEX")] = "auto",
    num_threads: Annotated[int | None, typer.Option(help="CPU threads")] = None,
    set_: Annotated[list[str], typer.Option("--set", help=SET_HELP)] = [],  # noqa: B006
    html: Annotated[Path | None, typer.Option(help="draw the loss in a self-contained HTML file")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the result as JSON; - for stdout")] = None,
) -> None:
    """Try growing learning rates on the training images, and suggest one."""
    for file in filter(None, (html, json_file)):
        check_writable(file)
    datasets.require_source(dataset)
    asked: dict[str, Any] = {
        "model": model, "strategy": strategy, "weights": weights, "low": low, "high": high, "steps": steps,
        "seed": seed, "overrides": plans.parse_overrides(set_, [strategy]), "image_size": image_size,
        "batch_size": batch_of(batch_size), "allow_partial_weights": allow_partial_weights, "device": device,
        "num_threads": num_threads,
    }  # fmt: skip
    lr_finder.require_sensible(**asked)
    job_id = lr_finder.submit(add_with_progress(dataset), **asked)
    _watch(job_id)
    _tell(lr_finder.finding(job_id), html, json_file)


def _tell(found: RateFinding | None, html: Path | None, json_file: Path | None) -> None:
    if found is None:
        raise typer.Exit(1)
    if html is not None:
        html.write_text(lr_finder.finding_html(found), encoding="utf-8")
        note(f"wrote {html}")
    if json_file is not None:
        write_json(json_file, found.model_dump(mode="json"))
    if str(json_file) != "-":
        _show(found)


def _watch(job_id: str) -> None:
    try:
        with progress() as bars:
            bar = bars.add_task("learning rate", total=1.0)
            for job in lr_finder.watch(job_id):
                bars.update(bar, completed=job.progress, description=f"learning rate: {job.message}")
    except KeyboardInterrupt:
        lr_finder.cancel(job_id)
        note("cancelled")
        raise typer.Exit(INTERRUPTED) from None


def _show(found: RateFinding) -> None:
    """Some of the rates with their loss, then the suggestion and how to use it."""
    every = max(1, -(-len(found.rates) // ROWS))
    shown = list(zip(found.rates, found.losses, found.smoothed, strict=True))[::every]
    rows = [[f"{rate:.2e}", f"{loss:.3f}", f"{mean:.3f}"] for rate, loss, mean in shown]
    table("", ["learning rate", "loss", "smoothed loss"], rows)
    for said in found.notes:
        note(said)
    if found.diverged:
        note("the loss diverged before the highest rate, so the search ended there")
    if found.suggestion is None:
        say("no suggestion: the loss fell at none of these rates; try other --low, --high or more --steps")
        return
    rules = ", ".join(f"{n} {v:.2g}" for n, v in (("valley", found.valley), ("steepest", found.steepest)) if v)
    say(f"\nsuggestion: {found.suggestion:.2g} ({rules}); the recipe's own rate is {found.recipe_rate:.2g}")
    if found.caution:
        note(f"caution: {found.caution}")
    say(f"use it: compare … {' '.join(lr_finder.how_to_use(found))}")

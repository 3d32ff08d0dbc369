"""`python -m tlcore compare`, `demo` and `report`."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from tlcore.cli import INTERRUPTED
from tlcore.cli.datasets import add_with_progress
from tlcore.cli.output import check_writable, note, note_without_bars, progress, say, show_result, write_json
from tlcore.errors import SpecError
from tlcore.results import DEFAULT_MARGIN, STATE_WORDS, ComparisonResult
from tlcore.service import comparisons, datasets, growing, models, plans, reports
from tlcore.service import demo as demo_service
from tlcore.spec import FIXED

JsonFile = Annotated[Path | None, typer.Option("--json", help="write the result as JSON; - for stdout")]
STRATEGY_HELP = (
    "name, one with settings (partial_fine_tuning:last_groups=2), or your own (file:my.yaml, or its name once saved); "
    "`python -m tlcore strategies` lists them; repeatable"
)
SET_HELP = "STRATEGY.KEY=VALUE, or STRATEGY.2.KEY=VALUE for its second phase alone; repeatable"
SPLIT_HELP = (
    "test images: fixed, the same for every seed; repeated, drawn anew by each seed; kfold:K, seed s tests fold s % K "
    "of shuffle s // K, so that K seeds test every image once (pictures under several classes train only)"
)
BATCH_HELP = "default: 32, or 64 from 2,000 training images; auto: the largest that memory holds"
TUNE_HELP = "trials per run, the best on validation is kept: N times the time"
MARGIN_HELP = "points of test accuracy below which a difference does not matter"
Margin = Annotated[float, typer.Option(min=0.0, max=50.0, help=MARGIN_HELP)]
PARTIAL_HELP = "take weights files of which only a part fits"


def compare(
    dataset: Annotated[str, typer.Option(help="dataset id, or a path to import")],
    model: Annotated[list[str], typer.Option(help="timm name, or torchvision:NAME; repeatable")],
    strategy: Annotated[list[str], typer.Option(help=STRATEGY_HELP)],
    weights: Annotated[list[str], typer.Option(help="[MODEL=]imagenet, a timm tag, file:PATH, run:ID or none")] = [],  # noqa: B006
    allow_partial_weights: Annotated[bool, typer.Option("--allow-partial-weights", help=PARTIAL_HELP)] = False,
    scratch_model: Annotated[str | None, typer.Option(help="another network for from_scratch, usually smaller")] = None,
    split: Annotated[str, typer.Option(metavar="PLAN", help=SPLIT_HELP)] = FIXED,
    seeds: Annotated[str | None, typer.Option(help="comma-separated; default: 0, or 0 to K-1 for kfold:K")] = None,
    epochs: Annotated[int | None, typer.Option(help="budget of every run; default: 5 on a CPU, else 500 steps")] = None,
    steps: Annotated[int | None, typer.Option(help="budget in optimiser steps")] = None,
    seconds: Annotated[float | None, typer.Option(help="budget in training seconds")] = None,
    tune: Annotated[int, typer.Option(help=TUNE_HELP)] = 0,
    fractions: Annotated[str, typer.Option(help="parts of the training images, comma-separated")] = "1",
    image_size: Annotated[int | None, typer.Option(help="pixels; default: the model's own")] = None,
    batch_size: Annotated[str | None, typer.Option(metavar="N|auto", help=BATCH_HELP)] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:INDEX")] = "auto",
    num_threads: Annotated[int | None, typer.Option(help="CPU threads; part of what makes runs repeatable")] = None,
    set_: Annotated[list[str], typer.Option("--set", help=SET_HELP)] = [],  # noqa: B006
    add_to: Annotated[str | None, typer.Option(help="comparison to add these runs to")] = None,
    margin: Margin = 100 * DEFAULT_MARGIN,
    json_file: JsonFile = None,
    detach: Annotated[bool, typer.Option("--detach", help="print the comparison's id and return at once")] = False,
) -> None:
    """Run a matched family of strategies and compare them."""
    overrides = plans.parse_overrides(set_, strategy)
    numbers = None if seeds is None else _numbers("--seeds", seeds, int)
    parts = _numbers("--fractions", fractions, float)
    datasets.require_source(dataset)
    asked: dict[str, Any] = {
        "models": model, "strategies": strategy, "weights": weights, "overrides": overrides,
        "allow_partial_weights": allow_partial_weights, "scratch_model": scratch_model, "epochs": epochs,
        "steps": steps, "seconds": seconds, "tune": tune, "image_size": image_size,
        "batch_size": batch_of(batch_size), "device": device, "num_threads": num_threads, "split": split,
        "seeds": numbers, "fractions": parts,
    }  # fmt: skip
    plans.require_sensible(**asked)
    _require_writable(json_file)
    models.warm_up(device)  # what was asked for makes sense, so that a worker will have something to do
    spec = plans.make_spec(add_with_progress(dataset), **asked)
    _launch(plans.make_plan(spec), add_to, json_file, detach, margin / 100)


def demo(json_file: JsonFile = None) -> None:
    """The whole job with no network: sample data, all strategies, table and verdict."""
    _require_writable(json_file)
    models.warm_up()
    plan = demo_service.make_plan()
    note(demo_service.describe())
    _launch(plan, None, json_file, detach=False)


def report(
    comparison: str,
    html: Annotated[Path | None, typer.Option(help=f"write {reports.FORMS['html'].help}")] = None,
    md: Annotated[Path | None, typer.Option(help=f"write {reports.FORMS['md'].help}, as Markdown")] = None,
    csv: Annotated[Path | None, typer.Option(help=f"write {reports.FORMS['csv'].help}")] = None,
    margin: Margin = 100 * DEFAULT_MARGIN,
    json_file: JsonFile = None,
) -> None:
    """The result of a comparison: table and verdict, or files."""
    wanted: dict[reports.Form, Path | None] = {"html": html, "md": md, "csv": csv}
    reading = reports.read(comparison)
    for form, path in wanted.items():
        if path is not None:
            check_writable(path)
            path.write_text(reports.report_of(reading, form, margin / 100), encoding="utf-8")
            note(f"wrote {path}")
    _show(reports.result_of_reading(reading, margin / 100), json_file)
    _tell_notes(comparison)


def settle(
    comparison: str,
    margin: Margin = 100 * DEFAULT_MARGIN,
    looks: Annotated[int, typer.Option(min=2, max=growing.MAX_LOOKS, help="looks at the results, at most")] = (
        growing.MAX_LOOKS
    ),
    json_file: JsonFile = None,
) -> None:
    """Add seeds for the strategies still in contention until the verdict is settled; each look needs more evidence."""
    _require_writable(json_file)
    while True:
        found = growing.decision(comparison, margin / 100)
        more = growing.next_round(found) if found else None
        if found is None or more is None or found.record.looks >= looks:
            break
        names = ", ".join(f"{model} / {strategy}" for model, strategy in more.cells)
        note(f"look {found.record.looks}: not settled; {len(more.seeds)} more seeds for {names}")
        before = _job_ids(comparison)
        growing.add_round(found, more)
        watch(comparison, before)
    stopped = "its runs cannot be compared" if found is None else growing.obstacle(found)
    note(f"no more seeds: {stopped or f'it was looked at {looks} times, as asked'}")
    result = comparisons.result(comparison, margin / 100)
    _show(result, json_file)
    if any(run.status != "FINISHED" for run in result.runs):
        raise typer.Exit(1)


def _launch(
    plan: plans.Plan, add_to: str | None, json_file: Path | None, detach: bool, margin: float = DEFAULT_MARGIN
) -> None:
    before = _job_ids(add_to) if add_to else set()
    comparison_id = comparisons.submit(plan, add_to=add_to)
    count = "1 run" if len(plan.runs) == 1 else f"{len(plan.runs)} runs"
    note(f"comparison {comparison_id}: {count} of {plan.spec.budget} on {plan.device}: {plan.device_reason}")
    if detach:
        say(comparison_id)
        return
    watch(comparison_id, before)
    result = comparisons.result(comparison_id, margin)
    _show(result, json_file)
    _tell_notes(comparison_id)
    _tell_where(comparison_id)
    note(f"MLflow: {comparisons.mlflow_command()}")
    if any(run.status != "FINISHED" for run in result.runs):
        raise typer.Exit(1)


def _require_writable(file: Path | None) -> None:
    if file is not None:
        check_writable(file)


def _job_ids(comparison_id: str) -> set[str]:
    return {job.id for job in comparisons.jobs_of(comparison_id)}


def watch(comparison_id: str, before: Collection[str] = ()) -> None:
    """Bars of progress until all runs of a comparison have ended; Ctrl-C cancels them. Raises: Exit.

    In a file or a pipe: a line when one of its runs ends. before: jobs that it had already, which are no news.
    """
    try:
        with progress() as bars:
            tasks: dict[str, int] = {}
            ended: set[str] = set()
            for jobs in comparisons.watch(comparison_id):
                for job in jobs:
                    if job.id not in tasks:
                        tasks[job.id] = bars.add_task(job.title, total=1.0)
                    bars.update(tasks[job.id], completed=job.progress, description=f"{job.title}: {job.message}")  # type: ignore[arg-type]
                news = [job for job in jobs if job.id not in before]
                for job in news:
                    if job.ended_ms and job.id not in ended:
                        ended.add(job.id)
                        why = f": {job.error.splitlines()[0]}" if job.error else ""
                        note_without_bars(f"{job.title}: {STATE_WORDS[job.status]}, {len(ended)} of {len(news)}{why}")
    except KeyboardInterrupt:
        comparisons.cancel(comparison_id)
        note("cancelled; finished runs are kept")
        _tell_where(comparison_id)
        note(f"go on: python -m tlcore retry {comparison_id}")
        raise typer.Exit(INTERRUPTED) from None


def _show(result: ComparisonResult, json_file: Path | None) -> None:
    if json_file is not None:
        write_json(json_file, result.model_dump(mode="json"))
    if str(json_file) != "-":
        show_result(result)


def _tell_notes(comparison_id: str) -> None:
    for line in comparisons.notes(comparison_id):
        note(f"note: {line}")


def _tell_where(comparison_id: str) -> None:
    note(f"runs: python -m tlcore runs {comparison_id}")
    note(f"report: python -m tlcore report {comparison_id} --html report.html")


def _numbers(option: str, text: str, kind: type[int] | type[float]) -> tuple[int | float, ...]:
    try:
        return tuple(kind(item) for item in text.split(",") if item.strip())
    except ValueError:
        raise SpecError(f"{option} {text!r} is not a list of numbers such as 0,1,2") from None


def batch_of(text: str | None) -> int | str | None:
    """A number, or `auto`; anything else is left for the spec to refuse."""
    return int(text) if text is not None and text.isdecimal() else text

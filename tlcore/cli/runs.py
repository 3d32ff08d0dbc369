"""`python -m tlcore predict`, `export`, `runs`, `retry` and `profile`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from tlcore.cli.output import check_writable, note, percent, say, table, write_json
from tlcore.results import STATE_WORDS
from tlcore.service import comparisons, insights, take_home


def predict(
    run: str,
    images: list[Path],
    json_file: Annotated[Path | None, typer.Option("--json", help="write every class's probability")] = None,
) -> None:
    """What a run's best network says of some photographs."""
    answers = take_home.predict([run], images)[run]
    for answer in answers:
        sure = None if answer.confidence is None else answer.confidence
        say(f"{answer.path}: {answer.predicted}" + ("" if sure is None else f" ({percent(sure)} %)"))
    if json_file is not None:
        write_json(json_file, [answer.model_dump(mode="json") for answer in answers])


def export(run: str, to: Annotated[Path, typer.Option(help="folder to write")]) -> None:
    """Weights, labels, preprocessing and a short script that needs only torch and timm or torchvision."""
    take_home.export(run, to)
    for file in sorted(to.iterdir()):
        say(str(file))


def runs(
    comparison: Annotated[str | None, typer.Argument(help="list the runs of this comparison instead")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
    offset: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Recent comparisons, newest first; or the runs of one."""
    if comparison is not None:
        _runs_of(comparison)
        return
    rows = [
        [
            c.comparison_id,
            datetime.fromtimestamp(c.created_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M"),
            c.dataset_name,
            ", ".join(c.models),
            str(len(c.strategies)),
            f"{c.counts.get('FINISHED', 0)}/{sum(c.counts.values())}",
            STATE_WORDS[c.status],
        ]
        for c in comparisons.list_comparisons(limit, offset)
    ]
    table("", ["comparison ", "created (UTC) ", "dataset ", "models ", "strategies", "runs done", "status "], rows)


def retry(run: Annotated[list[str], typer.Argument(help="runs, or comparisons for all such runs of theirs")]) -> None:
    """Queue runs again that failed or were cancelled, from their checkpoint where one is kept."""
    say(f"queued again: {', '.join(comparisons.retry_runs(run))}")


def profile(
    name: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="a comparison, a run, or runs:ID,ID; default: the newest that ran"),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write seconds as JSON; - for stdout")] = None,
) -> None:
    """Where the time of runs went, part by part, and what holds each strategy back."""
    if json_file is not None:
        check_writable(json_file)
    told, found = insights.profile(name)
    note(told)
    if json_file is not None:
        write_json(json_file, insights.time_rows(found))
        if str(json_file) == "-":
            return
    for title, rows in found.tables:
        names = list(rows[0])
        say(f"\n{title}")
        table("", [f"{names[0]} ", *names[1:]], [[row[name] for name in names] for row in rows])
    say("")
    for line in found.sentences:
        say(line)
    note(insights.TIME_EXPLAINED)


def _runs_of(comparison: str) -> None:
    rows = [
        [
            run.run_id,
            run.strategy,
            run.model,
            str(run.seed),
            f"{run.fraction:.0%}",
            percent(run.test.accuracy),
            STATE_WORDS[run.status],
        ]
        for run in comparisons.result(comparison).runs
    ]
    table("", ["run ", "strategy ", "model ", "seed", "data", "test accuracy %", "status "], rows)

"""`python -m tlcore models`."""

from pathlib import Path
from typing import Annotated

import typer

from tlcore.cli.output import note, percent, say, table, write_json
from tlcore.service import catalogue, model_words
from tlcore.service import models as service
from tlcore.service.catalogue import CatalogueEntry, Speed

_COLUMNS = ["model ", "weights ", "weight tags ", "plain recipe ", "M parameters", "GMACs", "input px", "file MB",
            "ImageNet top-1 %", "license ", "images/s (batch 1, 32) "]  # fmt: skip


def models(
    filter_: Annotated[str, typer.Argument(metavar="FILTER", help="part of a name, or a pattern with *")] = "",
    library: Annotated[str | None, typer.Option(help="timm or torchvision")] = None,
    max_parameters: Annotated[float | None, typer.Option(min=0, help="at most so many million parameters")] = None,
    usable: Annotated[bool, typer.Option("--usable", help="only models whose weights are on this machine")] = False,
    sort: Annotated[str | None, typer.Option(help=f"one of {', '.join(catalogue.SORTS)}")] = None,
    speed: Annotated[
        list[str], typer.Option(metavar="MODEL", help="measure it on this machine first; repeatable")
    ] = [],  # noqa: B006
    device: Annotated[str, typer.Option(help="where to measure: auto, cpu, cuda or cuda:INDEX")] = "auto",
    limit: Annotated[int, typer.Option(min=1, max=5000)] = 40,
    json_file: Annotated[Path | None, typer.Option("--json", help="write all that match; - for stdout")] = None,
) -> None:
    """Models of timm and torchvision: size, work, licence, known accuracy, and whether they can be used now."""
    everything = service.catalogue()
    measured = [catalogue.find(everything, model).model for model in dict.fromkeys(speed)]
    for model in measured:
        _measure(model, device)
    known, files = service.speeds(), service.weight_files()
    offered = everything if filter_ or not measured else [entry for entry in everything if entry.model in measured]
    found = catalogue.select(offered, filter_, library, max_parameters, usable, sort, known, files)
    if json_file is not None:
        write_json(json_file, [catalogue.as_row(entry, known.get(entry.model), files) for entry in found])
        if str(json_file) == "-":
            return
    if not filter_ and not speed:
        for advice in catalogue.BEGINNERS:
            say(f"{advice.word}: {advice.model} – {advice.why}")
        say("")
    if not found:
        note(model_words.why_none(filter_ or ", ".join(speed), usable))
        return
    table("", _COLUMNS, [_row(entry, known.get(entry.model), files) for entry in found[:limit]])
    for entry in found[:limit]:
        for file in [] if entry.usable_now else catalogue.fitting(entry, files):
            note(f"weights of {entry.model} are here as a file: give them as --weights file:{file}")
        if entry.problem:
            note(f"{entry.model} cannot be used: {entry.problem}")
    if len(found) > limit:
        say(f"{len(found) - limit:,} more: name a part of the model, or raise --limit")


def _measure(model: str, device: str) -> None:
    note(f"measuring {model} …")
    found = service.measure_speed(model, device)
    for batch in catalogue.SPEED_BATCHES:
        say(f"batch {batch}: {found.forward[batch]:.1f} images/s forward, {found.step[batch]:.1f} images/s in training")
    threads = "1 thread" if found.num_threads == 1 else f"{found.num_threads} threads"
    say(f"{model} at {found.image_size} px on {found.device} ({found.dtype}, {threads})")


def _row(entry: CatalogueEntry, speed: Speed | None, files: list[Path]) -> list[str]:
    missing = "download" if entry.weight_tags else "none"
    state = "here" if entry.usable_now else "file" if catalogue.is_here(entry, files) else missing
    row = catalogue.as_row(entry)
    return [
        entry.model,
        "not usable" if entry.problem else state,
        model_words.tags_in_words(entry),
        model_words.plain_in_words(entry),
        _shown(row["parameters_millions"]),
        _shown(row["gmacs"]),
        _shown(row["input_px"]),
        _shown(row["file_mb"]),
        percent(entry.accuracy),
        row["license"] or "–",
        "–" if speed is None else ", ".join(f"{speed.forward[batch]:.0f}" for batch in catalogue.SPEED_BATCHES),
    ]


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:,.5g}"

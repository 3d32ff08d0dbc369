"""`python -m tlcore train-source`."""

from typing import Annotated, Any

import typer

from tlcore.cli.compare import BATCH_HELP, PARTIAL_HELP, SET_HELP, TUNE_HELP, batch_of, watch
from tlcore.cli.datasets import add_with_progress
from tlcore.cli.output import note, percent, say
from tlcore.results import STATE_WORDS
from tlcore.service import comparisons, datasets, plans, sources


def train_source(
    dataset: Annotated[str, typer.Option(help="source dataset: id, or a path to import")],
    model: Annotated[str, typer.Option(help="timm name, or torchvision:NAME")],
    strategy: Annotated[str, typer.Option(help="from_scratch, fine_tuning, …")] = sources.DEFAULT_STRATEGY,
    weights: Annotated[str | None, typer.Option(help="imagenet, a timm tag, file:PATH or run:ID to start from")] = None,
    allow_partial_weights: Annotated[bool, typer.Option("--allow-partial-weights", help=PARTIAL_HELP)] = False,
    seed: Annotated[int, typer.Option()] = 0,
    epochs: Annotated[int | None, typer.Option(help="budget; default: 5 on a CPU, else 500 steps")] = None,
    steps: Annotated[int | None, typer.Option(help="budget in optimiser steps")] = None,
    seconds: Annotated[float | None, typer.Option(help="budget in training seconds")] = None,
    tune: Annotated[int, typer.Option(help=TUNE_HELP)] = 0,
    image_size: Annotated[int | None, typer.Option(help="pixels; default: the model's own")] = None,
    batch_size: Annotated[str | None, typer.Option(metavar="N|auto", help=BATCH_HELP)] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:INDEX")] = "auto",
    num_threads: Annotated[int | None, typer.Option(help="CPU threads")] = None,
    set_: Annotated[list[str], typer.Option("--set", help=SET_HELP)] = [],  # noqa: B006
) -> None:
    """Train a backbone on a source dataset; prints the weights (run:ID) to use for a target."""
    datasets.require_source(dataset)
    asked: dict[str, Any] = {
        "model": model, "strategy": strategy, "weights": weights, "seeds": (seed,), "epochs": epochs, "steps": steps,
        "seconds": seconds, "tune": tune, "image_size": image_size, "batch_size": batch_of(batch_size),
        "device": device, "num_threads": num_threads, "allow_partial_weights": allow_partial_weights,
        "overrides": plans.parse_overrides(set_, [strategy]),
    }  # fmt: skip
    sources.require_sensible(**asked)
    plan = sources.plan_source(add_with_progress(dataset), **asked)
    comparison_id = sources.submit(plan)
    note(f"comparison {comparison_id}: {plan.spec.budget} on {plan.device}: {plan.device_reason}")
    watch(comparison_id)
    record = comparisons.record(comparison_id)
    for run in record.runs:
        if run.status != "FINISHED":
            note(f"{run.spec.name}: {STATE_WORDS[run.status]}: {run.error}")
    done = sources.of_record(record)
    for source in done:
        note(f"test accuracy on {source.dataset_name}: {percent(source.test_accuracy)} %")
        note(f"use it: python -m tlcore compare --dataset TARGET --model {source.model} --weights {source.weights} …")
        say(source.weights)
    if not done:
        raise typer.Exit(1)

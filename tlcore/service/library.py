"""The comparison as a Python function: `from tlcore import compare`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypedDict, Unpack

from tlcore.results import ComparisonResult
from tlcore.service import comparisons, datasets, plans
from tlcore.strategies import CORE, SettingValue


class Options(TypedDict, total=False):
    """What may be left out of `compare`; each has the command line's default.

    seeds: 0 or greater; each draws its own train/validation split, initialisation and order. One, or as many as a
        k-fold split has folds, where none is given.
    split: `fixed`, the same test images for every seed; `repeated`, drawn anew by each; `kfold:K`, seed s tests fold
        s % K of shuffle s // K. The last two need a dataset that brings no test part of its own.
    epochs, steps, seconds: the budget of every run; at most one, else the recipes' default.
    fractions: parts of the training images, in (0, 1].
    image_size: pixels; None for the model's own.
    batch_size: images; None for the recipe's, `auto` for the largest that the device's memory holds.
    device: `auto`, `cpu`, `cuda` or `cuda:INDEX`. num_threads: CPU threads of a run; None for all cores.
    overrides: recipe values per strategy, by field name of `tlcore.recipes` TrainRecipe, FitRecipe or NetworkRecipe;
        `2.learning_rate` is that of the strategy's second phase alone.
    scratch_model: another, usually smaller, network for the strategies with a random start.
    tune: trials per run, of which the best on validation is the run; 0 for the recipe's own values alone.
    allow_partial_weights: take a weights file of which only a part fits.
    title: shown in lists.
    """

    seeds: Sequence[int]
    split: str
    epochs: int | None
    steps: int | None
    seconds: float | None
    fractions: Sequence[float]
    image_size: int | None
    batch_size: int | Literal["auto"] | None
    device: str
    num_threads: int | None
    overrides: Mapping[str, Mapping[str, SettingValue]] | None
    scratch_model: str | None
    tune: int
    allow_partial_weights: bool
    title: str


def compare(
    dataset: str | Path,
    *,
    models: Sequence[str],
    strategies: Sequence[str] = CORE,
    weights: str | Mapping[str, str] = "imagenet",
    progress: Callable[[float], None] | None = None,
    **options: Unpack[Options],
) -> ComparisonResult:
    """Run every model with every strategy and seed on a dataset, wait, and return the result.

    The runs go through the same queue, workers and MLflow store as those of the dashboard, which shows them too.

    Args:
        dataset: id of a dataset, or path of a folder, archive or CSV to import.
        models: timm names, or `torchvision:NAME`.
        strategies: ids of `tlcore.strategies.STRATEGIES`, unambiguous aliases, names of saved strategies or
            `file:my.yaml`, also with settings of their own (`partial_fine_tuning:last_groups=2`); the five of
            `tlcore.strategies.CORE` by default.
        weights: `imagenet`, a timm tag, `file:PATH`, `run:RUN_ID` or `none`; for all models, or per model.
        progress: called with the finished part of the comparison, 0…1.
        options: seeds, budget and the rest, see `Options`.

    Returns: the JSON contract as a value. Runs that failed are in it, with their error.

    Raises: SpecError, DatasetError, SplitError, ModelError, WeightsError, DeviceError, StorageError.
    """
    items = [weights] if isinstance(weights, str) else [f"{model}={source}" for model, source in weights.items()]
    if "seeds" in options:
        options["seeds"] = tuple(options["seeds"])
    if "fractions" in options:
        options["fractions"] = tuple(options["fractions"])
    info = datasets.resolve_dataset(str(dataset))
    spec = plans.make_spec(info, models=models, strategies=strategies, weights=items, **options)
    comparison_id = comparisons.submit(plans.make_plan(spec))
    for jobs in comparisons.watch(comparison_id):
        if progress is not None:
            progress(sum(job.progress for job in jobs) / max(1, len(jobs)))
    return comparisons.result(comparison_id)

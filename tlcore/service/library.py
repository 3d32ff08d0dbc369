"""The comparison as a Python function: `from tlcore import compare`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tlcore.results import ComparisonResult
from tlcore.service import comparisons, datasets, plans
from tlcore.spec import OverrideValue
from tlcore.strategies import STRATEGIES


def compare(
    dataset: str | Path,
    *,
    models: Sequence[str],
    strategies: Sequence[str] = tuple(STRATEGIES),
    weights: str | Mapping[str, str] = "imagenet",
    seeds: Sequence[int] = (0,),
    epochs: int | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    fractions: Sequence[float] = (1.0,),
    image_size: int | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    num_threads: int | None = None,
    overrides: Mapping[str, Mapping[str, OverrideValue]] | None = None,
    progress: Callable[[float], None] | None = None,
) -> ComparisonResult:
    """Run every model with every strategy and seed on a dataset, wait, and return the result.

    The runs go through the same queue, workers and MLflow store as those of the dashboard, which shows them too.

    Args:
        dataset: id of a dataset, or path of a folder, archive or CSV to import.
        models: timm names, or `torchvision:NAME`.
        strategies: ids of `tlcore.strategies.STRATEGIES`, or unambiguous aliases; all of them by default.
        weights: `imagenet`, a timm tag, `file:PATH`, `run:RUN_ID` or `none`; for all models, or per model.
        seeds: 0 or greater; each draws its own train/validation split, initialisation and order.
        epochs, steps, seconds: the budget of every run; at most one, else the recipes' default.
        fractions: parts of the training images, in (0, 1].
        image_size: pixels; None for the model's own. batch_size: None for the recipe's.
        device: `auto`, `cpu`, `cuda` or `cuda:INDEX`. num_threads: CPU threads of a run; None for all cores.
        overrides: recipe values per strategy, by field name of `tlcore.recipes.TrainRecipe` or `FitRecipe`.
        progress: called with the finished part of the comparison, 0…1.

    Returns: the JSON contract as a value. Runs that failed are in it, with their error.

    Raises: SpecError, DatasetError, SplitError, ModelError, WeightsError, DeviceError, StorageError.
    """
    items = [weights] if isinstance(weights, str) else [f"{model}={source}" for model, source in weights.items()]
    spec = plans.make_spec(
        datasets.resolve_dataset(str(dataset)),
        models=models,
        strategies=strategies,
        weights=items,
        epochs=epochs,
        steps=steps,
        seconds=seconds,
        overrides=overrides,
        seeds=tuple(seeds),
        fractions=tuple(fractions),
        image_size=image_size,
        batch_size=batch_size,
        device=device,
        num_threads=num_threads,
    )
    comparison_id = comparisons.submit(plans.make_plan(spec))
    for jobs in comparisons.watch(comparison_id):
        if progress is not None:
            progress(sum(job.progress for job in jobs) / max(1, len(jobs)))
    return comparisons.result(comparison_id)

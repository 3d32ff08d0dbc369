"""Everything that is wrong with a comparison at once, for a form: `make_plan` stops at the first problem."""

from collections.abc import Iterator
from contextlib import contextmanager

from tlcore.datasets import splits, store
from tlcore.errors import TlcoreError
from tlcore.recipes import DataFacts, require_steps
from tlcore.service import models
from tlcore.service.plans import Plan, make_plan, recipe_of
from tlcore.settings import get_settings
from tlcore.spec import ComparisonSpec


def check(spec: ComparisonSpec) -> tuple[Plan | None, list[str]]:
    """The plan where it can be launched, else None and one line for each problem."""
    try:
        return make_plan(spec), []
    except TlcoreError as error:
        return None, _problems(spec) or [str(error)]


def _problems(spec: ComparisonSpec) -> list[str]:
    found: list[str] = []
    data: DataFacts | None = None
    with _noting(found):
        dataset = store.load_dataset(spec.dataset_id, get_settings())
        for fraction in spec.fractions:
            split = splits.make_split(dataset, spec.seeds[0], fraction, spec.split)
            data = DataFacts(num_train=split.num_train_full, short_side=dataset.info.short_side)
    with _noting(found):
        models.check_device(spec.device)
    for model in spec.all_models:
        _check_model(spec, model, data, found)
    return list(dict.fromkeys(found))


def _check_model(spec: ComparisonSpec, model: str, data: DataFacts | None, found: list[str]) -> None:
    runs = {run.strategy: run for run in spec.runs() if run.model == model}
    with _noting(found):
        facts = models.model_facts(model)
        for run in runs.values():
            with _noting(found):
                if data is not None:
                    recipe = recipe_of(run, data, facts)
                    require_steps(recipe, spec.budget, data.num_train)
                    models.require_recipe(run, recipe)
        if any(run.entry.needs_weights for run in runs.values()):
            models.require_weights({model: spec.weights_of(model)}, spec.allow_partial_weights)


@contextmanager
def _noting(found: list[str]) -> Iterator[None]:
    try:
        yield
    except TlcoreError as error:
        found.append(str(error))

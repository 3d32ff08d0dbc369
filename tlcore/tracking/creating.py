"""Making comparisons and runs in MLflow: parents, children, params as asked, the dataset as an input."""

import json
import time
from collections.abc import Mapping
from typing import Any

from tlcore.errors import SpecError
from tlcore.results import DatasetSummary
from tlcore.settings import Settings
from tlcore.spec import ComparisonSpec, RunSpec
from tlcore.tracking import tags
from tlcore.tracking.store import Store, connect, translated


def create_comparison(
    settings: Settings, spec: ComparisonSpec, dataset: DatasetSummary, owner: str, purpose: str = ""
) -> str:
    """Make the parent run of a comparison; returns its id.

    purpose: what it was made for, by which `list_comparisons` finds it; empty for none but to compare.
    Raises: StorageError.
    """
    store = connect(settings)
    title = spec.title or default_title(spec, dataset)
    own = {tags.KIND: "comparison", tags.OWNER: owner, tags.HOME: store.home_id, tags.USER: owner}
    if purpose:
        own[tags.PURPOSE] = purpose
    with translated(settings):
        run = store.client.create_run(store.experiment_id, tags=own, run_name=title)
        comparison_id = str(run.info.run_id)
        _write_params(store, comparison_id, _comparison_params(spec, dataset))
        _describe(store, comparison_id, spec, dataset)
        _log_dataset(store, comparison_id, dataset)
    return comparison_id


def extend_comparison(
    settings: Settings, comparison_id: str, spec: ComparisonSpec, dataset: DatasetSummary, looks: int = 1
) -> None:
    """Reopen a comparison whose grid has grown to `spec`. looks: as of `ComparisonRecord`.

    Raises: NotFoundError, StorageError.
    """
    store = connect(settings)
    with translated(settings):
        _describe(store, comparison_id, spec, dataset, looks)
        store.client.update_run(comparison_id, status="RUNNING")


def create_run(settings: Settings, comparison_id: str, spec: RunSpec, dataset: DatasetSummary, owner: str) -> str:
    """Make one SCHEDULED run of a comparison; returns its id.

    Raises: SpecError when the spec is too long to be kept, StorageError.
    """
    text = require_storable(spec)
    store = connect(settings)
    own = {
        tags.KIND: "run",
        tags.OWNER: owner,
        tags.USER: owner,
        tags.HOME: store.home_id,
        tags.PARENT: comparison_id,
        tags.SPEC: text,
    }
    with translated(settings):
        run = store.client.create_run(store.experiment_id, tags=own, run_name=spec.name)
        run_id = str(run.info.run_id)
        _write_params(store, run_id, run_params(spec))
        _log_dataset(store, run_id, dataset)
        store.client.update_run(run_id, status="SCHEDULED")  # create_run starts as RUNNING
    return run_id


def require_storable(spec: RunSpec) -> str:
    """The spec as it is kept in MLflow. Raises: SpecError when it is too long for that."""
    text = spec.model_dump_json(exclude_defaults=True)
    params = run_params(spec)
    longest = max(params, key=lambda key: len(params[key]))
    for what, length, limit in (
        ("settings", len(text), tags.MAX_TAG),
        (longest.replace("_", " "), len(params[longest]), tags.MAX_PARAM),
    ):
        if length > limit:
            raise SpecError(f"the {what} of {spec.name} take {length:,} characters, {limit:,} at most: shorten them")
    return text


def default_title(spec: ComparisonSpec, dataset: DatasetSummary) -> str:
    """A comparison's name where its owner gave none."""
    count = len(spec.strategies)
    strategies = spec.strategies[0] if count == 1 else f"{count} strategies"
    models = spec.models[0] if len(spec.models) == 1 else f"{len(spec.models)} models"
    return f"{dataset.name} · {models} · {strategies}"


def run_params(spec: RunSpec) -> dict[str, str]:
    """A run's params: the spec as asked, one level deep; `default` stands for what was left to the recipe."""
    asked = spec.model_dump(mode="json", exclude={"budget", "overrides"})
    budget = {f"budget_{k}": v for k, v in spec.budget.as_dict().items()}
    overrides = {f"override_{k}": v for k, v in spec.overrides.items()}
    return {k: "default" if v is None else str(v) for k, v in {**asked, **budget, **overrides}.items()}


def _comparison_params(spec: ComparisonSpec, dataset: DatasetSummary) -> dict[str, str]:
    return {
        "dataset_id": dataset.id,
        "budget": str(spec.budget),
        "split": spec.split,
        "models": ", ".join(spec.models),
        "strategies": ", ".join(spec.strategies),
        "seeds": ", ".join(map(str, spec.seeds)),
        "fractions": ", ".join(map(str, spec.fractions)),
        "device": spec.device,
    }


def _write_params(store: Store, run_id: str, params: Mapping[str, str]) -> None:
    from mlflow.entities import Param

    store.client.log_batch(run_id, params=[Param(key, value) for key, value in params.items()])


def _describe(store: Store, comparison_id: str, spec: ComparisonSpec, dataset: DatasetSummary, looks: int = 1) -> None:
    """What lists show of a comparison goes to tags, the whole of it to a file: class names can be many."""
    from mlflow.entities import RunTag

    shown = {
        tags.TITLE: spec.title or default_title(spec, dataset),
        tags.DATASET_ID: dataset.id,
        tags.DATASET_NAME: dataset.name,
        tags.MODELS: _short_list(spec.models),
        tags.STRATEGIES: _short_list(spec.strategies),
    }
    whole = {"spec": spec.model_dump(mode="json"), "dataset": dataset.model_dump(mode="json"), "looks": looks}
    store.client.log_text(comparison_id, json.dumps(whole), tags.COMPARISON_FILE)
    store.client.log_batch(comparison_id, tags=[RunTag(key, value) for key, value in shown.items()])


def _short_list(names: tuple[str, ...]) -> str:
    """JSON of as many names as a tag can hold."""
    while len(text := json.dumps(names)) > tags.MAX_TAG:
        names = names[:-1]
    return text


def _log_dataset(store: Store, run_id: str, dataset: DatasetSummary) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    profile: dict[str, Any] = {"num_images": dataset.num_images, "num_classes": dataset.num_classes, **dataset.splits}
    entity = Dataset(
        name=dataset.name,
        digest=dataset.fingerprint[:32],  # MLflow's limit is 36
        source_type="local",
        source=json.dumps({"dataset_id": dataset.id, "fingerprint": dataset.fingerprint}),
        profile=json.dumps(profile),
    )
    store.client.log_inputs(run_id, [DatasetInput(entity, [InputTag("mlflow.data.context", "training")])])


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000

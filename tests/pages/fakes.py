"""A store full of synthetic comparisons behind the service's own functions, for pages that need no training."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from tests.records import FACTS, START_MS, Example, example
from tlcore.errors import NotFoundError
from tlcore.results import ComparisonRecord, ComparisonSummary, JobView, RunRecord
from tlcore.service import comparisons, models, recorded, take_home
from tlcore.service.take_home import Prediction

FINISHED, RUNNING, BROKEN = "f" * 32, "a" * 32, "b" * 32
CATALOGUE = [
    models.CatalogueEntry(model="resnet18", library="timm", weight_tags=("a1_in1k",), note="small and fast"),
    models.CatalogueEntry(model="mobilenetv2_100", library="timm", usable_now=True),
    models.CatalogueEntry(model="torchvision:squeezenet1_1", library="torchvision"),
]
CPU = models.DeviceInfo(id="cpu", name="A processor, 2 cores", dtype="float32", reason="no CUDA device was found")


def renamed(found: Example, comparison_id: str, **changed: object) -> Example:
    """The example under another id, with runs of its own."""
    runs = tuple(
        run.model_copy(update={"comparison_id": comparison_id, "run_id": f"{comparison_id[:6]}{run.run_id[6:]}"})
        for run in found.record.runs
    )
    record = found.record.model_copy(update={"comparison_id": comparison_id, "runs": runs, **changed})
    tables = {f"{comparison_id[:6]}{run_id[6:]}": frame for run_id, frame in found.predictions.items()}
    return Example(record, tables)


def three_examples() -> list[Example]:
    """A finished, a running and a failed comparison."""
    going = example(seeds=(0, 1), status={("fine_tuning", 1): "RUNNING", ("staged_fine_tuning", 1): "SCHEDULED"})
    broken = example(strategies=("fine_tuning", "from_scratch"), seeds=(0,), status={("from_scratch", 0): "FAILED"})
    return [
        renamed(example(classes=("ants", "bees", "a wasp with a very long name")), FINISHED),
        renamed(going, RUNNING),
        renamed(broken, BROKEN, status="FAILED"),
    ]


class Store:
    """The examples as the service would give them; `asked` notes what a page asked to be done."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples = {found.record.comparison_id: found for found in examples}
        self.asked: list[tuple[object, ...]] = []

    def record(self, comparison_id: str) -> ComparisonRecord:
        if comparison_id not in self.examples:
            raise NotFoundError(f"there is no comparison {comparison_id!r}: open one from the list")
        return self.examples[comparison_id].record

    def all_predictions(self, whole: ComparisonRecord) -> dict[str, pd.DataFrame]:
        return self.examples[whole.comparison_id].predictions

    def predictions(self, run_id: str) -> pd.DataFrame:
        return next(e.predictions[run_id] for e in self.examples.values() if run_id in e.predictions)

    def list_comparisons(self, limit: int = 20, offset: int = 0) -> list[ComparisonSummary]:
        known = [self.summary(e.record) for e in self.examples.values() if e.record.recorded_on is None]
        return known[offset : offset + limit]

    def summary(self, record: ComparisonRecord) -> ComparisonSummary:
        counts: dict[str, int] = {}
        for run in record.runs:
            counts[run.status] = counts.get(run.status, 0) + 1
        return ComparisonSummary(
            comparison_id=record.comparison_id, title="", dataset_id=record.dataset.id, status=record.status,
            dataset_name=record.dataset.name, models=record.spec.models, strategies=record.spec.strategies,
            counts=counts, owner=record.owner, created_ms=record.created_ms,
        )  # fmt: skip

    def jobs_of(self, comparison_id: str) -> list[JobView]:
        return [job_of(run) for run in self.record(comparison_id).runs]

    def all_jobs(self, limit: int = 200) -> list[JobView]:
        return [job_of(run) for e in self.examples.values() for run in e.record.runs][:limit]

    def predict(self, run_ids: list[str], images: list[Path]) -> dict[str, list[Prediction]]:
        self.asked.append(("predict", tuple(run_ids), len(images)))
        answer = {"predicted": "ants", "probabilities": {"ants": 0.75, "bees": 0.25}, "seconds": 0.1}
        return {run_id: [Prediction(path=str(path), **answer) for path in images] for run_id in run_ids}

    def note(self, what: str):
        """A function that only notes that it was called, and with what."""
        return lambda *args, **kwargs: self.asked.append((what, *args))


def job_of(run: RunRecord) -> JobView:
    status = {"SCHEDULED": "QUEUED", "KILLED": "CANCELLED"}.get(run.status, run.status)
    return JobView(
        id=run.run_id, kind="run", title=run.spec.name, status=status, progress=0.4 if status == "RUNNING" else 0.0,
        message="training, epoch 3 of 6", comparison_id=run.comparison_id, eta_seconds=75.0, created_ms=START_MS,
    )  # fmt: skip


def install(patch: pytest.MonkeyPatch, examples: Sequence[Example]) -> Store:
    """Put the examples behind the service."""
    store = Store(examples)
    for name in ("record", "predictions", "all_predictions", "list_comparisons", "jobs_of", "all_jobs"):
        patch.setattr(comparisons, name, getattr(store, name))
    for name in ("cancel", "cancel_run", "retry_runs"):
        patch.setattr(comparisons, name, store.note(name))
    patch.setattr(comparisons, "log_tail", lambda run_id, lines=40: "epoch 1: validation accuracy 0.91")
    patch.setattr(take_home, "predict", store.predict)
    patch.setattr(recorded, "record", lambda: store.record(recorded.RECORDED_ID))
    install_answers(patch)
    return store


def install_answers(patch: pytest.MonkeyPatch) -> None:
    """Put fixed answers in the place of questions that need torch."""
    patch.setattr(models, "catalogue", lambda: list(CATALOGUE))
    patch.setattr(models, "source_runs", lambda: [])
    patch.setattr(models, "devices", lambda: (CPU,))
    patch.setattr(models, "model_facts", lambda name: FACTS.model_copy(update={"model": name}))
    patch.setattr(models, "check_device", lambda asked: ("cpu", CPU.reason))
    patch.setattr(models, "require_weights", lambda sources, allow_partial=False: None)
    patch.setattr(models, "preflight", lambda *_: ("cpu", CPU.reason))
    patch.setattr(models, "ask_once", lambda request: [{"forward": 60.0, "step": 20.0}])


def recording() -> Example:
    """What would be shipped."""
    found = example(strategies=("fine_tuning", "feature_extraction"), seeds=(0,))
    return renamed(found, recorded.RECORDED_ID, recorded_on="1 Nov 2026 on two CPU cores")

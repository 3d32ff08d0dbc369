"""Likely label errors of a dataset version, from the predictions of the comparisons that were made on it."""

from collections.abc import Callable, Iterator

import pandas as pd

from tlcore import tracking
from tlcore.analysis import label_errors as analysis
from tlcore.analysis.label_errors import Judge, LabelError, LabelErrors
from tlcore.datasets import store
from tlcore.datasets.splits import leaks_between_parts
from tlcore.errors import NotFoundError
from tlcore.results import ComparisonRecord, DatasetSummary, RunRecord
from tlcore.service import recorded
from tlcore.service.datasets import get_dataset
from tlcore.service.plans import summarise
from tlcore.settings import get_settings

__all__ = ["LabelError", "LabelErrors", "label_errors"]
MAX_COMPARISONS = 20
MAX_RUNS = 60


def label_errors(id_: str) -> LabelErrors:
    """What finished runs say against the labels: those of one comparison, or of the newest on a dataset version.

    id_: of a comparison, or of a dataset version, or the name of one where no other has it.
    At most `MAX_RUNS` runs of at most `MAX_COMPARISONS` comparisons are asked; where there are more, it says so.
    Raises: NotFoundError for what is neither or for a name that several have, StorageError.
    """
    dataset, records, notes = _gathered(id_)
    notes += _leaks(dataset.id)
    judges: list[Judge] = []
    told = _told()
    for record in records:
        found, reasons = analysis.judges(record, told)
        judges += found
        notes += reasons
    if len(judges) > MAX_RUNS:
        notes.append(f"Of {len(judges):,} runs the newest {MAX_RUNS} were asked.")
    return analysis.label_errors(dataset, _predictions(judges[:MAX_RUNS]), notes)


def _told() -> Callable[[RunRecord], bool | None]:
    """Whether a run's weights file told images that it learned from, by what the run itself noted when it started.

    The file may be gone or another one now. Runs of the same weights are asked once.
    """
    known: dict[tuple[str, str | None], bool | None] = {}

    def told(run: RunRecord) -> bool | None:
        key = run.spec.weights, run.resolved.weights_fingerprint if run.resolved else None
        if known.get(key) is None:
            try:
                noted = tracking.load_trained_on(get_settings(), run.run_id)
            except NotFoundError:  # a recording, or deleted since
                noted = None
            known[key] = len(noted.steps) > 1 if noted else None
        return known[key]

    return told


def _leaks(dataset_id: str) -> list[str]:
    """What to say where given parts share pictures: runs have seen those, and repeat a wrong label of them."""
    try:
        dataset = store.load_dataset(dataset_id, get_settings())
    except NotFoundError:  # deleted since; its runs' predictions are still there
        return []
    seen = sum("train" in leak.parts for leak in leaks_between_parts(dataset))
    if not seen:
        return []
    return [
        f"{seen:,} of the pictures in given validation and test parts were trained on too; wrong labels there hide."
    ]


def _gathered(id_: str) -> tuple[DatasetSummary, list[ComparisonRecord], list[str]]:
    """The dataset version, the comparisons to ask, newest first, and what to say of the choice."""
    settings = get_settings()
    if all(id_ not in (info.id, info.name) for info in store.list_datasets(settings)):
        record = _record(id_)
        return record.dataset, [record], []
    info = get_dataset(id_)
    found = tracking.list_comparisons(settings, MAX_COMPARISONS + 1, dataset_id=info.id)
    records = [tracking.load_comparison(settings, c.comparison_id, False) for c in found[:MAX_COMPARISONS]]
    notes = [f"The newest {MAX_COMPARISONS} comparisons were asked."] if len(found) > MAX_COMPARISONS else []
    return summarise(info, {}), records, notes


def _record(comparison_id: str) -> ComparisonRecord:
    if comparison_id == recorded.RECORDED_ID:
        return recorded.record()
    try:
        return tracking.load_comparison(get_settings(), comparison_id, with_history=False)
    except NotFoundError as error:
        raise NotFoundError(
            f"{comparison_id!r} is neither a comparison nor a dataset version: see `python -m tlcore runs` and "
            "`python -m tlcore dataset list`"
        ) from error


def _predictions(judges: list[Judge]) -> Iterator[tuple[Judge, pd.DataFrame]]:
    for judge in judges:
        known = recorded.predictions(judge.run_id)
        yield judge, tracking.load_predictions(get_settings(), judge.run_id) if known is None else known

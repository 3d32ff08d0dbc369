"""A comparison as a file: the forms there are, and one of them made."""

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from tlcore.analysis.comparison import result_of
from tlcore.analysis.report import as_html, as_markdown, document_of, runs_csv
from tlcore.errors import NotFoundError
from tlcore.results import DEFAULT_MARGIN, ComparisonRecord, ComparisonResult
from tlcore.service import comparisons, pictures

Form = Literal["html", "md", "json", "csv"]


@dataclass(frozen=True)
class FormWords:
    """label: for a button. mime: its media type. help: what is in it."""

    label: str
    mime: str
    help: str


FORMS: dict[Form, FormWords] = {
    "html": FormWords("Report (HTML)", "text/html", "everything in one file, which works offline and prints"),
    "md": FormWords("Markdown", "text/markdown", "the same without figures"),
    "json": FormWords("JSON", "application/json", "verdict, strategies and runs for programs"),
    "csv": FormWords("Runs (CSV)", "text/csv", "one row per run for a spreadsheet"),
}


@dataclass(frozen=True)
class Reading:
    """A comparison as it was at one moment: what is made of one reading agrees, also while runs end.

    predictions: by run id.
    """

    record: ComparisonRecord
    predictions: dict[str, pd.DataFrame]


def read(comparison_id: str) -> Reading:
    """Raises: NotFoundError."""
    record = comparisons.record(comparison_id)
    return Reading(record, comparisons.all_predictions(record))


def report(comparison_id: str, form: Form, margin: float = DEFAULT_MARGIN) -> str:
    """The whole comparison as one file, read now. Raises: NotFoundError."""
    return report_of(read(comparison_id), form, margin)


def result_of_reading(reading: Reading, margin: float = DEFAULT_MARGIN) -> ComparisonResult:
    """The JSON contract's value."""
    return comparisons.whole_result(reading.record, reading.predictions, margin)


def report_of(reading: Reading, form: Form, margin: float = DEFAULT_MARGIN) -> str:
    """The whole comparison as one file. margin: accuracy in [0, 1] below which a difference does not matter."""
    record, predictions = reading.record, reading.predictions
    if form == "json":
        return result_of_reading(reading, margin).model_dump_json(indent=2) + "\n"
    if form == "csv":
        return runs_csv(result_of(record, predictions, margin))
    document = document_of(record, predictions, margin, _health(record.dataset.id))
    return as_html(document) if form == "html" else as_markdown(document)


def _health(dataset_id: str) -> list[str] | None:
    """What was found in a dataset, one line each; None where it is not here any more."""
    try:
        found = pictures.health(dataset_id)
    except NotFoundError:
        return None
    return [f"{finding.title}: {finding.words}" for finding in found.findings]

"""The runs of a comparison as CSV, one row each, for a spreadsheet or a statistics package."""

import csv
import io
import json
from collections.abc import Mapping

from tlcore.results import ComparisonResult, RunResult

PARTS = ("test", "val", "train")


def runs_csv(result: ComparisonResult) -> str:
    """Every run with its figures, as of the JSON contract; what does not exist is empty. Accuracies in [0, 1]."""
    rows = [_row(run) for run in result.runs]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["run_id"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _row(run: RunResult) -> Mapping[str, object]:
    data = run.model_dump(mode="json", exclude={"chosen"})
    parts = {f"{part}_{name}": value for part in PARTS for name, value in data.pop(part).items()}
    chosen = "; ".join(f"{key}={value}" for key, value in (run.chosen or {}).items())
    return {**{key: _safe(value) for key, value in data.items()}, **parts, "chosen": _safe(chosen)}


def _safe(value: object) -> object:
    """Text that a spreadsheet would take for a formula gets a quote before it; what has parts is JSON."""
    if isinstance(value, dict | list):
        return json.dumps(value)
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value

"""The embedded default: pictures and a backbone that the project made itself, compared like anything else."""

import tempfile
from pathlib import Path

from tlcore.demo import cells
from tlcore.service import comparisons, datasets, plans, recorded
from tlcore.service.plans import Plan
from tlcore.service.recorded import RECORDED_ID

__all__ = ["RECORDED_ID", "describe", "make_plan", "save_recording"]


def make_plan() -> Plan:
    """Draw the sample's pictures, add them as a dataset, and plan the comparison of all strategies on them."""
    cell = cells.CELLS[cells.DEFAULT_CELL]
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / cell.id
        cells.make_dataset_folder(cell, pictures)
        dataset = datasets.add_dataset(pictures, cell.title)
    return plans.make_plan(plans.make_spec(dataset, **cells.demo_spec_arguments(cell)))


def describe() -> str:
    """The sample in one sentence."""
    return cells.CELLS[cells.DEFAULT_CELL].description


def save_recording(comparison_id: str, recorded_on: str) -> None:
    """Make a finished comparison the recorded one. recorded_on: date and machine, for people."""
    whole = comparisons.record(comparison_id)
    recorded.save(whole, comparisons.all_predictions(whole), recorded_on)

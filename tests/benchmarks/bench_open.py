"""Opening a comparison of 100 finished runs: `python -m tests.benchmarks.bench_open [--repeats 3] [--seeds 20]`.

5 strategies × 20 seeds, 1,000 test images in 10 classes, real artifacts in a temporary home, MLflow's own store.
Three arms, interleaved, in one process that has used MLflow and settled, as a dashboard has after its first page:
`plain` reads every file of every run from MLflow, and each run's predictions by its id; `first` meets an empty store
of what was read; `again` a full one. Prints medians and ratios of `service.views.view`, all that the Compare page
shows: seconds on the wall, and of the processor, which other programs disturb less.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from unittest import mock

import pandas as pd

from tests.records import Example, example
from tlcore import tracking
from tlcore.results import ComparisonRecord, RunRecord
from tlcore.service import comparisons, system, views
from tlcore.settings import Settings, get_settings
from tlcore.tracking import kept

ARMS = ("plain", "first", "again")
CLASSES = tuple(f"class {number}" for number in range(10))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench_open_") as folder:
        os.environ["TLCORE_HOME"] = str(Path(folder) / "home")
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        comparison_id = fill(get_settings(), example(seeds=range(options.seeds), classes=CLASSES, num_test=1000))
        tracking.list_comparisons(get_settings())  # imports MLflow
        system.settle()  # as the dashboard does then
        measured: dict[str, list[tuple[float, float]]] = {arm: [] for arm in ARMS}
        for _ in range(options.repeats):
            for arm in ARMS:
                measured[arm].append(opened(arm, comparison_id))
    show(measured)


def fill(settings: Settings, found: Example) -> str:
    """Put every run, with all its files but a model, into MLflow; the comparison's id."""
    comparison_id = tracking.create_comparison(settings, found.record.spec, found.record.dataset, "bench")
    for run in found.record.runs:
        run_id = tracking.create_run(settings, comparison_id, run.spec, found.record.dataset, "bench")
        tracking.start_run(settings, run_id)
        tracking.log_resolved(settings, run_id, run.resolved)
        tracking.log_points(settings, run_id, run.history, len(run.history))
        tracking.log_outcome(settings, run_id, run.outcome, run.history[-1].timestamp_ms, run.history[-1].step)
        with tempfile.TemporaryDirectory() as work:
            write_files(Path(work), run, found.predictions[run.run_id])
            tracking.upload_artifacts(settings, run_id, Path(work))
        tracking.end_run(settings, run_id, "FINISHED")
    tracking.close_comparison(settings, comparison_id)
    return comparison_id


def opened(arm: str, comparison_id: str) -> tuple[float, float]:
    """Seconds of one opening: on the wall, and of the processor."""
    if arm != "again":
        kept.clear(get_settings())
    with plainly() if arm == "plain" else nullcontext():
        begun, worked = time.perf_counter(), time.process_time()
        views.view(comparison_id)
        return time.perf_counter() - begun, time.process_time() - worked


@contextmanager
def plainly() -> Iterator[None]:
    """Nothing is kept, and predictions are read run by run."""

    def one_by_one(whole: ComparisonRecord) -> dict[str, pd.DataFrame]:
        return {run.run_id: tracking.load_predictions(get_settings(), run.run_id) for run in whole.runs}

    with ExitStack() as stack:
        for name in ("recall", "recall_frame", "keep", "keep_frame"):
            stack.enter_context(mock.patch.object(kept, name, return_value=None))
        stack.enter_context(mock.patch.object(comparisons, "all_predictions", one_by_one))
        yield


def write_files(work: Path, run: RunRecord, predictions: pd.DataFrame) -> None:
    """What a worker leaves of a finished run, with a model of a few bytes."""
    files, model = work / "artifacts", work / "model"
    files.mkdir()
    model.mkdir()
    plain = run.model_dump(mode="json")
    contents = {"outcome": "outcome", "resolved": "resolved", "history": "history", "confusion_matrix": "confusion"}
    for name, field in {**contents, "per_class": "per_class"}.items():
        (files / f"{name}.json").write_text(json.dumps(plain[field], indent=1), encoding="utf-8")
    # As in real life, all runs list the images of one test split in one order.
    predictions.sort_values(["split", "path"]).to_parquet(files / "predictions.parquet")
    (model / "model.json").write_text(json.dumps({"format": 1, "classes": list(CLASSES)}))
    (model / "weights.safetensors").write_bytes(b"none")


def show(measured: dict[str, list[tuple[float, float]]]) -> None:
    medians = {arm: [statistics.median(kind) for kind in zip(*found, strict=True)] for arm, found in measured.items()}
    print(f"{'':8}{'wall':>9}{'processor':>12}   plain is so many times as long (wall, processor)")
    for arm, (wall, processor) in medians.items():
        ratios = f"{medians['plain'][0] / wall:.1f}, {medians['plain'][1] / processor:.1f}"
        print(f"{arm:8}{wall:7.2f} s{processor:10.2f} s   {ratios}")
    print("wanted: 1 s of the wall for `first` and `again`")


if __name__ == "__main__":
    main()

"""From Launch to the first step and the first point of the curve, in a warm worker.

    TLCORE_TEST_DATA=… TLCORE_TEST_WEIGHTS=… python -m tests.benchmarks.bench_start [--device cuda] [--repeats 5]

Photos of ants and bees, mobilenetv2_100 at 96 px, fine-tuning; queue, supervisor, worker and MLflow as the
product has them, in a temporary home. The first launch starts the worker and decodes the images, and is told apart.
A page shows what MLflow and the queue hold at its next look, every 2 seconds.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tests.benchmarks.bench_compare import given
from tests.benchmarks.timing import device_of, line
from tests.helpers_jobs import stop_everything
from tlcore.service import comparisons, datasets, plans
from tlcore.settings import get_settings

MODEL = "mobilenetv2_100"
EPOCHS = {"cpu": 1, "cuda": 40}  # of few images: a run has to last until its progress is told, every 0.5 s
PATIENCE = 300.0  # seconds until a launch is given up
POLL = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    photos = given("TLCORE_TEST_DATA", get_settings().test_data, "hymenoptera_data")
    weights = given("TLCORE_TEST_WEIGHTS", get_settings().test_weights, f"{MODEL}.timm.safetensors")
    epochs = EPOCHS[device_of(options.device).device.type]
    with tempfile.TemporaryDirectory(prefix="bench_start_") as folder:
        os.environ["TLCORE_HOME"] = str(Path(folder).resolve() / "home")
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        try:
            dataset = datasets.resolve_dataset(str(photos), None, lambda done, message: None)
            found = []
            for seed in range(1 + options.repeats):
                found.append(launch(dataset, weights, options.device, epochs, seed))
                print(f"launch {seed + 1}: {words(*found[-1])}", flush=True)
        finally:
            stop_everything(get_settings())
    line("launch", "first step / first point", "target")
    line("the first, with no worker and no decoded images", words(*found[0]), "")
    warm = [median(each) for each in zip(*found[1:], strict=True)]
    line(f"in a warm worker, median of {options.repeats}", words(*warm), "1 s on a CPU, 2 s on a GPU / 10 s")


def launch(dataset: datasets.DatasetInfo, weights: Path, device: str, epochs: int, seed: int) -> tuple[float, float]:
    """Seconds from the launch to the first step, and to the first point in MLflow."""
    spec = plans.make_spec(
        dataset, models=[MODEL], strategies=["fine_tuning"], weights=[f"file:{weights}"],
        epochs=epochs, image_size=96, seeds=(seed,), device=device,
    )  # fmt: skip
    begun = time.perf_counter()
    comparison = comparisons.submit(plans.make_plan(spec))
    step = until(lambda: any("step" in job.message for job in comparisons.jobs_of(comparison)), begun)
    point = until(lambda: any(run.history for run in comparisons.record(comparison).runs), begun)
    until(lambda: all(job.settled and job.ended_ms for job in comparisons.jobs_of(comparison)), begun)
    return step, point


def until(holds: Callable[[], object], begun: float) -> float:
    """Seconds since `begun` when it holds."""
    while not holds():
        if time.perf_counter() - begun > PATIENCE:
            sys.exit(f"nothing after {PATIENCE:.0f} s")
        time.sleep(POLL)
    return time.perf_counter() - begun


def words(step: float, point: float) -> str:
    return f"{step:.2f} s / {point:.2f} s"


if __name__ == "__main__":
    main()

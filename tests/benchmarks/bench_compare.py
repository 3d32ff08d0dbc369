"""The product against the plain script that a person would write: `python -m tests.benchmarks.bench_compare`.

Photos of ants and bees, mobilenetv2_100 with ImageNet weights, 3 epochs on the CPU, each arm a process of its own with
its start-up. The script (`plain_script.py`) does four strategies in float32; the product does five.
Needs TLCORE_TEST_DATA (with hymenoptera_data/) and TLCORE_TEST_WEIGHTS (with mobilenetv2_100.timm.safetensors).
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.helpers_jobs import stop_everything
from tlcore.settings import Settings, get_settings, python_environment
from tlcore.strategies import CORE

SCRIPT = Path(__file__).with_name("plain_script.py")
MODEL = "mobilenetv2_100"
ARMS = ("plain", "product")


def main() -> None:
    options = read_options()
    photos = given("TLCORE_TEST_DATA", get_settings().test_data, "hymenoptera_data")
    weights = given("TLCORE_TEST_WEIGHTS", get_settings().test_weights, f"{MODEL}.timm.safetensors")
    measured: dict[str, list[tuple[float, dict[str, float]]]] = {arm: [] for arm in ARMS}
    for repeat in range(options.repeats):
        for arm in ARMS if repeat % 2 == 0 else reversed(ARMS):
            seconds, accuracies = run_arm(arm, photos, weights, options.epochs)
            measured[arm].append((seconds, accuracies))
            print(f"repeat {repeat + 1}, {arm}: {seconds:.1f} s", flush=True)
    show(measured)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The product's compare against a plain script, interleaved.")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.repeats < 1:
        parser.error(f"--repeats must be 1 or more, not {options.repeats}")
    return options


def given(variable: str, folder: Path | None, name: str) -> Path:
    """What the environment points to; ends the program where it is absent."""
    path = folder / name if folder is not None else None
    if path is None or not path.exists():
        sys.exit(f"no {name}: set {variable} to the folder that holds it (now {folder})")
    return path.resolve()


def run_arm(arm: str, photos: Path, weights: Path, epochs: int) -> tuple[float, dict[str, float]]:
    """Seconds of the whole process, and the accuracy of each strategy. A fresh, empty home for each."""
    with tempfile.TemporaryDirectory(prefix="bench_compare_") as folder:
        out = Path(folder) / "out.json"
        command = product(photos, weights, epochs, out) if arm == "product" else plain(photos, weights, epochs, out)
        settings = Settings(home=Path(folder).resolve() / "home")
        environment = python_environment(TLCORE_HOME=str(settings.root))
        environment.pop("MLFLOW_TRACKING_URI", None)
        begun = time.perf_counter()
        try:
            done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
            seconds = time.perf_counter() - begun
        finally:
            stop_everything(settings)  # the supervisor and its warm worker stay up for the next command
        if done.returncode != 0:
            sys.exit(f"the {arm} arm failed with {done.returncode}:\n{done.stderr or done.stdout}")
        return seconds, read_accuracies(json.loads(out.read_text(encoding="utf-8")))


def plain(photos: Path, weights: Path, epochs: int, out: Path) -> list[str]:
    return [sys.executable, str(SCRIPT), str(photos), str(weights), str(epochs), str(out)]


def product(photos: Path, weights: Path, epochs: int, out: Path) -> list[str]:
    strategies = [word for name in CORE for word in ("--strategy", name)]
    command = [sys.executable, "-m", "tlcore", "compare", "--dataset", str(photos), "--model", MODEL, *strategies]
    command += ["--weights", f"file:{weights}", "--seeds", "0", "--epochs", str(epochs), "--device", "cpu"]
    return [*command, "--json", str(out)]


def read_accuracies(result: dict[str, Any]) -> dict[str, float]:
    """Accuracy on the val folder by strategy; it is the test part of either arm."""
    return {run["strategy"]: run["test"]["accuracy"] for run in result["runs"]}


def show(measured: dict[str, list[tuple[float, dict[str, float]]]]) -> None:
    medians = {arm: statistics.median(seconds for seconds, _ in found) for arm, found in measured.items()}
    print(f"\n{'median of each arm':24}{'plain':>10}{'product':>10}")
    for name in CORE:
        print(f"{name:24}" + "".join(f"{cell(measured[arm], name):>10}" for arm in ARMS))
    counts = {arm: len(found[0][1]) for arm, found in measured.items()}
    print(f"{'strategies':24}" + "".join(f"{counts[arm]:>10}" for arm in ARMS))
    print(f"{'seconds':24}" + "".join(f"{medians[arm]:>10.1f}" for arm in ARMS))
    print(f"the product takes {medians['product'] / medians['plain']:.2f} of the plain script's time")


def cell(found: Sequence[tuple[float, dict[str, float]]], strategy: str) -> str:
    values = [accuracies[strategy] for _, accuracies in found if strategy in accuracies]
    return f"{statistics.median(values):.3f}" if values else "–"


if __name__ == "__main__":
    main()

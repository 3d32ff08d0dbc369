"""The product against what a person would do instead.

    python -m tests.benchmarks.bench_compare [--device cuda] [--repeats 2]

Photos of ants and bees, mobilenetv2_100 with ImageNet weights, 3 epochs, each arm a process of its own with
its start-up. The script (`plain_script.py`) does four strategies in float32; the product does five. Where fastai is
installed (it is optional: `pip install -e .[fastai]`), `fastai_script.py` is an arm, too. Seconds of one strategy are
those within the process: of fastai from its data loaders to the last validation, of the product with scores on all
parts.
Needs TLCORE_TEST_DATA (with hymenoptera_data/) and TLCORE_TEST_WEIGHTS (with mobilenetv2_100.timm.safetensors).
"""

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.timing import device_of
from tests.helpers_jobs import stop_everything
from tlcore.settings import Settings, get_settings, python_environment
from tlcore.strategies import CORE

MODEL = "mobilenetv2_100"
SCRIPTS = {"plain": "plain_script.py", "fastai": "fastai_script.py"}
ARMS = ("plain", "product", *(["fastai"] if importlib.util.find_spec("fastai") else []))


@dataclass(frozen=True)
class Measured:
    """Seconds of the whole process; of each strategy its seconds, where told, and its accuracy."""

    seconds: float
    of_strategy: dict[str, float]
    accuracies: dict[str, float]


def main() -> None:
    options = read_options()
    photos = given("TLCORE_TEST_DATA", get_settings().test_data, "hymenoptera_data")
    weights = given("TLCORE_TEST_WEIGHTS", get_settings().test_weights, f"{MODEL}.timm.safetensors")
    if options.device != "cpu":
        device_of(options.device)
    measured: dict[str, list[Measured]] = {arm: [] for arm in ARMS}
    for repeat in range(options.repeats):
        for arm in ARMS if repeat % 2 == 0 else reversed(ARMS):
            found = run_arm(arm, photos, weights, options.epochs, options.device)
            measured[arm].append(found)
            print(f"repeat {repeat + 1}, {arm}: {found.seconds:.1f} s", flush=True)
    show(measured)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The product's compare against a plain script, interleaved.")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--device", default="cpu")
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


def run_arm(arm: str, photos: Path, weights: Path, epochs: int, device: str) -> Measured:
    """One process from its start to its end, in a fresh, empty home."""
    with tempfile.TemporaryDirectory(prefix="bench_compare_") as folder:
        out = Path(folder) / "out.json"
        command = product(photos, weights, epochs, out, device)
        if arm in SCRIPTS:
            script = Path(__file__).with_name(SCRIPTS[arm])
            command = [sys.executable, str(script), str(photos), str(weights), str(epochs), str(out), device]
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
        return read(seconds, json.loads(out.read_text(encoding="utf-8")))


def product(photos: Path, weights: Path, epochs: int, out: Path, device: str) -> list[str]:
    strategies = [word for name in CORE for word in ("--strategy", name)]
    command = [sys.executable, "-m", "tlcore", "compare", "--dataset", str(photos), "--model", MODEL, *strategies]
    command += ["--weights", f"file:{weights}", "--seeds", "0", "--epochs", str(epochs), "--device", device]
    return [*command, "--json", str(out)]


def read(seconds: float, result: dict[str, Any]) -> Measured:
    """Accuracies are those on the val folder, which is the test part of every arm."""
    times = {run["strategy"]: run["total_seconds"] for run in result["runs"] if "total_seconds" in run}
    return Measured(seconds, times, {run["strategy"]: run["test"]["accuracy"] for run in result["runs"]})


def show(measured: dict[str, list[Measured]]) -> None:
    medians = {arm: statistics.median(one.seconds for one in found) for arm, found in measured.items()}
    print(f"\n{'median of each arm':24}" + "".join(f"{arm:>20}" for arm in ARMS))
    for name in CORE:
        print(f"{name:24}" + "".join(f"{cell(measured[arm], name):>20}" for arm in ARMS))
    counts = {arm: len(found[0].accuracies) for arm, found in measured.items()}
    print(f"{'strategies':24}" + "".join(f"{counts[arm]:>20}" for arm in ARMS))
    print(f"{'seconds':24}" + "".join(f"{medians[arm]:>20.1f}" for arm in ARMS))
    for arm in SCRIPTS:
        if arm in medians:
            wanted = " (wanted: 0.45)" if arm == "plain" else ""
            print(f"the product takes {medians['product'] / medians[arm]:.2f} of the {arm} script's time{wanted}")
            for name in CORE:
                mine, other = (seconds_of(measured[who], name) for who in ("product", arm))
                if mine is not None and other is not None:
                    print(f"  {mine / other:.2f} for {name}")


def cell(found: Sequence[Measured], strategy: str) -> str:
    """Accuracy and seconds."""
    values = [one.accuracies[strategy] for one in found if strategy in one.accuracies]
    seconds = seconds_of(found, strategy)
    words = [f"{statistics.median(values):.3f}"] if values else ["–"]
    return ", ".join([*words, *([] if seconds is None else [f"{seconds:.1f} s"])])


def seconds_of(found: Sequence[Measured], strategy: str) -> float | None:
    """The median; None where the arm does not tell."""
    times = [one.of_strategy[strategy] for one in found if strategy in one.of_strategy]
    return statistics.median(times) if times else None


if __name__ == "__main__":
    main()

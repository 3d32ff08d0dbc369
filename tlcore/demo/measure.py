"""Measure the demo's cells: `python -m tlcore.demo.measure [--seeds 10] [--cells NAME …] [--out FILE.json]`.

Every strategy runs through the product's own `train_run` with its own recipe and one budget for all; logistic
regression on raw pixels, which no strategy is, is the floor. Writes the JSON after every cell and prints the table.
"""

import argparse
import json
import statistics
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from tlcore.datasets import intake, splits, store
from tlcore.datasets.dataset import Dataset, Split
from tlcore.datasets.pictures.decoding import open_rgb
from tlcore.demo.cells import CELLS, IMAGE_SIZE, MODEL, THREADS, WEIGHTS_PATH, Cell, make_dataset_folder
from tlcore.results import EvaluationPoint, Resolved, RunOutcome, Trial
from tlcore.settings import Settings
from tlcore.spec import Budget, RunSpec
from tlcore.strategies import CORE, STRATEGIES
from tlcore.training.run import train_run

RAW = "raw_pixels"
Scores = dict[str, list[float]]  # strategy -> test accuracy by seed


class Silent:
    """A reporter that nobody listens to."""

    def resolved(self, resolved: Resolved) -> None: ...

    def evaluated(self, history: tuple[EvaluationPoint, ...], newest: int) -> None: ...

    def tried(self, trials: tuple[Trial, ...]) -> None: ...

    def progressed(self, done: float, message: str) -> None: ...

    def should_stop(self) -> bool:
        return False


def measure_cell(cell: Cell, seeds: int, home: Path, scores: Scores) -> None:
    """Add one test accuracy per strategy and seed to `scores`, and of raw pixels."""
    dataset = make_dataset(cell, home)
    for seed in range(seeds):
        split = splits.make_split(dataset, seed)
        scores.setdefault(RAW, []).append(raw_pixel_accuracy(dataset, split))
        for strategy in CORE:
            outcome = run(cell, strategy, seed, dataset, split, home)
            scores.setdefault(strategy, []).append(outcome.test.accuracy)
        line = "  ".join(f"{name} {values[-1]:.3f}" for name, values in scores.items())
        sys.stderr.write(f"{cell.id} seed {seed}: {line}\n")


def make_dataset(cell: Cell, home: Path) -> Dataset:
    """The cell's pictures, taken in as any person's would be."""
    settings = Settings(home=home)
    with tempfile.TemporaryDirectory() as folder:
        make_dataset_folder(cell, Path(folder) / cell.id)
        info = intake.add_dataset(Path(folder) / cell.id, cell.title, settings)
    return store.load_dataset(info.id, settings)


def run(cell: Cell, strategy: str, seed: int, dataset: Dataset, split: Split, home: Path) -> RunOutcome:
    """One run with the strategy's own recipe."""
    spec = RunSpec(
        dataset_id=dataset.info.id,
        dataset_fingerprint=dataset.info.fingerprint,
        budget=Budget(epochs=cell.epochs),
        image_size=IMAGE_SIZE,
        device="cpu",
        num_threads=THREADS,
        model=MODEL,
        weights=f"file:{WEIGHTS_PATH}" if STRATEGIES[strategy].needs_weights else "none",
        strategy=strategy,
        seed=seed,
    )
    return train_run(spec, dataset, split, home / "work" / f"{cell.id}-{strategy}-{seed}", home / "cache", Silent())


def raw_pixel_accuracy(dataset: Dataset, split: Split) -> float:
    """Test accuracy of logistic regression on standardised pixels, C chosen on validation, not refitted."""
    pixels = np.stack([np.asarray(open_rgb(dataset.root / path)).ravel() for path in dataset.images["path"]]) / 255.0
    labels = dataset.images["label"].to_numpy()

    def part(rows: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        return pixels[list(rows)], labels[list(rows)]

    fitted = [_classifier(c).fit(*part(split.train)) for c in 10.0 ** np.arange(-6, 3)]
    best = max(fitted, key=lambda model: float(model.score(*part(split.val))))
    return float(best.score(*part(split.test)))


def _classifier(c: float) -> Pipeline:
    """PCA keeps all components: it only turns the axes, which changes no answer and makes the fit quicker."""
    return make_pipeline(StandardScaler(), PCA(), LogisticRegression(C=c, max_iter=2_000))


def table(result: dict[str, Scores]) -> str:
    """Mean and standard deviation of test accuracy over seeds, in Markdown; the best strategy of a cell is bold."""
    names = [*CORE, RAW]
    lines = ["| cell | seeds | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for cell, scores in result.items():
        means = {name: statistics.fmean(scores[name]) for name in names}
        best = max(CORE, key=lambda name: means[name])
        entries = []
        for name in names:
            spread = statistics.stdev(scores[name]) if len(scores[name]) > 1 else 0.0
            text = f"{means[name]:.3f} ± {spread:.3f}"
            entries.append(f"**{text}**" if name == best else text)
        lines.append(f"| {cell} | {len(scores[RAW])} | " + " | ".join(entries) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--cells", nargs="+", choices=list(CELLS), default=list(CELLS))
    parser.add_argument("--out", type=Path, default=Path("measured.json"))
    asked = parser.parse_args()
    warnings.simplefilter("error", ConvergenceWarning)
    result: dict[str, Scores] = {}
    for name in asked.cells:
        with tempfile.TemporaryDirectory() as home:
            measure_cell(CELLS[name], asked.seeds, Path(home), result.setdefault(name, {}))
        asked.out.write_text(json.dumps(result, indent=1), encoding="utf-8")
    sys.stdout.write(table(result) + "\n")


if __name__ == "__main__":
    main()

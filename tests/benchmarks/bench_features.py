"""Feature extraction on 4,000 images, and once more: `python -m tests.benchmarks.bench_features [--device cuda]`.

EuroSAT's 2,000 tiles and their copies turned by a quarter, 10 classes, mobilenetv2_100 with ImageNet weights at 64 px.
First, images are decoded and features made; then only the classifier is fitted, with C swept. Also the fits alone, in
turn with scikit-learn's logistic regression on the same features and values of C, each begun where the last one ended;
and the loss that each reaches, as both stop before the optimum.
Needs TLCORE_TEST_DATA (with eurosat_rgb_2000/) and TLCORE_TEST_WEIGHTS (with mobilenetv2_100.timm.safetensors).
"""

import argparse
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression

from tests.benchmarks.bench_compare import given
from tests.benchmarks.timing import as_a_worker, device_of, interleaved, line
from tests.training_support import Bench, dataset_of
from tlcore.recipes import FitRecipe
from tlcore.settings import get_settings
from tlcore.training.device import Device, device_name, set_threads
from tlcore.training.features.classifiers import MAX_ITERATIONS
from tlcore.training.features.logistic import LogisticPath

MODEL = "mobilenetv2_100"
VALUES = 10.0 ** np.arange(FitRecipe().c_low, FitRecipe().c_high + 1)


def main() -> None:
    as_a_worker()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    tiles = given("TLCORE_TEST_DATA", get_settings().test_data, "eurosat_rgb_2000")
    weights = given("TLCORE_TEST_WEIGHTS", get_settings().test_weights, f"{MODEL}.timm.safetensors")
    set_threads(None)
    device = device_of(options.device)
    print(f"{device_name(device.device)}; {torch.get_num_threads()} threads; torch {torch.__version__}\n")
    with tempfile.TemporaryDirectory(prefix="bench_features_") as name:
        folder = Path(name).resolve()
        bench = Bench(folder, dataset_of(doubled(tiles, folder / "images")), model=MODEL)
        spec = bench.spec(
            "feature_extraction", weights=f"file:{weights}", image_size=64, device=device.id, num_threads=None
        )
        times = []
        for number in range(1 + options.repeats):
            begun = time.perf_counter()
            parts = bench.run(spec, str(number)).seconds_by_part
            times.append((time.perf_counter() - begun, parts["fit"]))
        stored = np.load(next((folder / "cache" / "features").glob("*/features.npy")))
        rows = np.array(bench.split(spec).train)
        line("4,000 images of 64 px, 10 classes: the first run", f"{times[0][0]:.2f} s", "")
        total, fit = (median(one) for one in zip(*times[1:], strict=True))
        line("the same once more; of that, the sweep over C", f"{total:.2f} s; {fit:.2f} s", "1 s")
        fits(stored[rows], bench.dataset.images["label"].to_numpy()[rows], device, options.repeats)


def doubled(tiles: Path, folder: Path) -> Path:
    """A folder of class folders with each picture and its copy turned by a quarter."""
    for path in sorted(tiles.glob("*/*")):
        image, place = Image.open(path).convert("RGB"), folder / path.parent.name
        place.mkdir(parents=True, exist_ok=True)
        image.save(place / f"{path.stem}_a.png")
        image.rotate(90).save(place / f"{path.stem}_b.png")
    return folder


def fits(features: np.ndarray, labels: np.ndarray, device: Device, repeats: int) -> None:
    """The coarse sweep by the product and by scikit-learn. features: [N, D] float32. labels: [N] from 0 to K - 1."""
    scale = features.std(0)
    standard = (features - features.mean(0)) / np.where(scale > 0, scale, 1)
    truth, reached = torch.from_numpy(labels), dict[str, np.ndarray]()

    def loss(weight: np.ndarray, bias: np.ndarray, c: float) -> float:
        log_p = torch.from_numpy(standard @ weight.T + bias).log_softmax(1)
        return float((weight**2).sum() / (2 * c * len(labels)) - log_p.gather(1, truth[:, None]).mean())

    def product() -> None:
        rows = torch.from_numpy(standard).to(device.device)
        path = LogisticPath(rows, truth, int(labels.max()) + 1, MAX_ITERATIONS, device.dtype)
        found = [path.fit(c) for c in VALUES]
        reached["product"] = np.array([loss(s.weight, s.bias, c) for s, c in zip(found, VALUES, strict=True)])

    def library(dtype: str) -> None:
        model = LogisticRegression(max_iter=MAX_ITERATIONS, warm_start=True)
        rows = standard.astype(dtype)
        found = [
            (m.coef_.copy(), m.intercept_.copy()) for m in (model.set_params(C=c).fit(rows, labels) for c in VALUES)
        ]
        reached[dtype] = np.array([loss(*s, c) for s, c in zip(found, VALUES, strict=True)])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what did not converge shows in its loss
        arms = {"product": product, **{dtype: partial(library, dtype) for dtype in ("float32", "float64")}}
        found = interleaved(arms, repeats)
    line(f"{len(VALUES)} values of C on {len(labels):,} images, the product", f"{found['product']:.2f} s", "")
    for dtype in ("float32", "float64"):
        ratios = reached[dtype] / reached["product"]
        words = f"{found[dtype]:.2f} s, loss {ratios.min():.4f} to {ratios.max():,.4g} times as high"
        line(f"  scikit-learn in {dtype}", words, "")


if __name__ == "__main__":
    main()

"""What the frozen backbone makes of every image, stored once on disk and shared by all runs that need it.

A folder `features/<dataset>-<key>/` holds `features.npy` (float32 [images of the dataset, D], memory-mapped) and
`meta.json` with the measured seconds per image, so that a run pays for its features also when they were there.
"""

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from tlcore.datasets.dataset import Dataset
from tlcore.errors import StorageError
from tlcore.recipes import Preprocessing
from tlcore.spec import content_fingerprint
from tlcore.training.batches import ImageSource
from tlcore.training.forward import feature_batches
from tlcore.training.loop import PREPARED, check_stop
from tlcore.training.models import Network
from tlcore.training.optimizers import synchronize
from tlcore.training.reporter import Reporter

EXTRACTION_VERSION = 1  # raise it when the same images and weights would give other features
LAYER = "head_input"
POLL_SECONDS = 0.5
FEATURES_MADE = 0.8  # of the progress bar


@dataclass(frozen=True)
class StoredFeatures:
    """features: float32 [images of the dataset, D], in the row order of `Dataset.images`."""

    features: npt.NDArray[np.float32]
    seconds_per_image: float


def stored_features(
    network: Network,
    source: ImageSource,
    dataset: Dataset,
    weights_fingerprint: str,
    cache_dir: Path,
    batch_size: int,
    reporter: Reporter,
) -> StoredFeatures:
    """The features of all images of the dataset, from the cache or made now.

    weights_fingerprint: of the backbone as it is. Raises: RunCancelledError, StorageError when the disk refuses.
    """
    key = content_fingerprint(_ingredients(network, source, dataset, weights_fingerprint))
    folder = cache_dir / "features" / f"{dataset.info.fingerprint[:16]}-{key[:16]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{folder}.lock")
    while not (folder / "meta.json").exists():
        try:
            with lock.acquire(timeout=POLL_SECONDS):
                if not (folder / "meta.json").exists():
                    _make(folder, network, source, len(dataset.images), batch_size, reporter)
        except Timeout:
            check_stop(reporter)
            reporter.progressed(PREPARED, "waiting for features that another run is making")
    seconds = float(json.loads((folder / "meta.json").read_text())["seconds_per_image"])
    return StoredFeatures(np.load(folder / "features.npy", mmap_mode="r"), seconds)


def _ingredients(network: Network, source: ImageSource, dataset: Dataset, weights: str) -> dict[str, object]:
    """All that the features depend on."""
    preprocessing: Preprocessing = source.preprocessing
    return {
        "dataset": dataset.info.fingerprint,
        "rows": content_fingerprint(dataset.images["sha256"].tolist()),
        "weights": weights,
        "architecture": network.facts.model.partition(".")[0],
        "arguments": dict(network.build_arguments),
        "layer": LAYER,
        "preprocessing": preprocessing.model_dump(mode="json"),
        "dtype": f"{source.device.device.type} {source.device.dtype}",
        "version": EXTRACTION_VERSION,
    }


def _make(
    folder: Path, network: Network, source: ImageSource, number: int, batch_size: int, reporter: Reporter
) -> None:
    """Fill a folder beside the final one and rename it, so that a crash leaves nothing that looks complete."""
    beside = folder.with_name(f".{folder.name}.making")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir()
        seconds = _extract(beside / "features.npy", network, source, number, batch_size, reporter)
        (beside / "meta.json").write_text(json.dumps({"seconds_per_image": seconds / number, "num_images": number}))
        shutil.rmtree(folder, ignore_errors=True)  # what somebody left of it
        beside.rename(folder)
    except OSError as error:
        raise StorageError(
            f"cannot store features in {folder.parent}: {error}; free some space, then retry the run"
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _extract(
    path: Path, network: Network, source: ImageSource, number: int, batch_size: int, reporter: Reporter
) -> float:
    """Write the features of rows 0…number-1; the seconds that the passes took, without writing and reporting."""
    width = network.facts.num_features
    stored = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(number, width))
    rows = np.arange(number, dtype=np.int64)
    batches = feature_batches(network, source, rows, batch_size, lambda: check_stop(reporter))
    done, seconds = 0, 0.0
    while done < number:
        begun = time.perf_counter()
        batch = next(batches)
        synchronize(source.device.device)
        seconds += time.perf_counter() - begun
        stored[done : done + len(batch)] = batch.cpu().numpy()
        done += len(batch)
        share = done / number * (FEATURES_MADE - PREPARED)
        reporter.progressed(PREPARED + share, f"features of image {done} of {number}")
    stored.flush()
    return seconds

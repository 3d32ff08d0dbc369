"""What the frozen backbone makes of every image, stored once on disk and shared by all runs that need it.

A folder `features/<dataset>-<key>/` holds `features.npy` (float32 [images, D], memory-mapped) and `meta.json` with the
measured seconds per image, so that a run pays for its features also when they were there. The plain features are of
all images of the dataset; those of an augmented view are of a run's training images alone, and of its seed.
"""

import importlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import timm
import torch
import torchvision
from filelock import Timeout

from tlcore.datasets.dataset import Dataset
from tlcore.datasets.pictures.geometry import PIXELS_VERSION
from tlcore.errors import StorageError, TrainingError
from tlcore.recipes import FitRecipe, NetworkRecipe
from tlcore.spec import content_fingerprint
from tlcore.training.images.batches import Images, ImageSource, Rows, evaluation_batch
from tlcore.training.images.stream import view_seed
from tlcore.training.images.views import VIEW_VERSION, view_images
from tlcore.training.loop.memory import in_parts
from tlcore.training.loop.optimizers import synchronize
from tlcore.training.loop.task import PREPARED, Task, check_stop
from tlcore.training.networks.forward import feature_batches
from tlcore.training.networks.freezing import frozen_fingerprint, has_linear_head
from tlcore.training.networks.models import Network
from tlcore.training.networks.onnx_module import provider
from tlcore.training.reporter import Reporter
from tlcore.training.room import allocate, begin, finish, lock_of, make_room, opened, use
from tlcore.training.stopwatch import Stopwatch

EXTRACTION_VERSION = 3  # raise it when the same images and weights would give other features
LIBRARIES = (torch, torchvision, timm)
POLL_SECONDS = 0.5
FEATURES_MADE = 0.8  # of the progress bar


@dataclass(frozen=True)
class StoredFeatures:
    """features: float32 [images, D]: all images of the dataset in its row order, or a view's in the order asked."""

    features: npt.NDArray[np.float32]
    seconds_per_image: float


@dataclass(frozen=True)
class Extraction:
    """A network and the images that go through it.

    weights: fingerprint of what its backbone starts from. start: `backbone_state` of the network as it starts.
    until: where the progress bar stands when features are made.
    """

    network: Network
    changes: NetworkRecipe
    source: ImageSource
    dataset: Dataset
    weights: str
    start: str
    cache_dir: Path
    batch_size: int
    reporter: Reporter
    watch: Stopwatch
    until: float


@dataclass
class Features:
    """The features of the network as it starts, each kind made or opened when it is first asked for."""

    job: Extraction
    found: dict[int, StoredFeatures] = field(default_factory=dict)

    def plain(self) -> StoredFeatures:
        """Of all images of the dataset. Raises: as `stored_features`."""
        if 0 not in self.found:
            self.found[0] = stored_features(self.job)
        return self.found[0]

    def view(self, rows: Rows, seed: int, number: int) -> StoredFeatures:
        """Of one augmented copy of the training images. number: from 1. Raises: as `stored_features`."""
        if number not in self.found:
            self.found[number] = stored_view(self.job, rows, seed, number)
        return self.found[number]


def feature_seconds(task: Task, stored: Features) -> float:
    """The measured time of making the features that the first phase uses, stored before or not: it is charged once.

    A `Fit` uses those of training and validation images and of all views, a linear head that trains those of
    validation images, as it sees other crops in training.
    """
    first = task.recipe.phases[0]
    if isinstance(first, FitRecipe):
        views = [stored.view(task.train, task.seed, number).seconds_per_image for number in views_of(first)]
        return stored.plain().seconds_per_image * (len(task.train) + len(task.val)) + sum(views) * len(task.train)
    if first.trainable == "head" and has_linear_head(task.network):
        return stored.plain().seconds_per_image * len(task.val)
    return 0.0


def views_of(recipe: FitRecipe) -> range:
    """The numbers of its augmented copies."""
    return range(1, recipe.views + 1)


def stored_features(job: Extraction) -> StoredFeatures:
    """The features of all images of the dataset, from the cache or made now.

    Raises: RunCancelledError, StorageError when the disk refuses.
    """
    rows = np.arange(len(job.dataset.images), dtype=np.int64)
    return _kept(job, rows, ingredients(job), evaluation_batch, "features")


def stored_view(job: Extraction, rows: Rows, seed: int, view: int) -> StoredFeatures:
    """The features of some images, each cropped and flipped by a draw of its own, which (seed, view, image) gives.

    view: counted from 1. Raises: as `stored_features`.
    """
    images = view_images(job.source, len(job.dataset.images), view_seed(seed, view))
    drawn = {"seed": seed, "view": view, "of": rows.tolist(), "version": VIEW_VERSION}
    return _kept(job, rows, {**ingredients(job), "drawn": drawn}, images, f"features of view {view}")


def backbone_state(network: Network) -> str:
    """SHA-256 of everything but the head, as it is now."""
    return frozen_fingerprint(network, "head", "eval")[1]


def ingredients(job: Extraction) -> dict[str, object]:
    """All that plain features depend on; whatever differs in one of these has a key of its own."""
    network, device = job.network, job.source.device
    return {
        "dataset": job.dataset.info.fingerprint,
        "rows": content_fingerprint(job.dataset.images["sha256"].tolist()),
        "pixels": PIXELS_VERSION,
        "weights": job.weights,
        "architecture": f"{network.facts.library}:{network.architecture}",
        "arguments": {name: str(value) for name, value in network.build_arguments.items()},
        "changes": job.changes.model_dump(mode="json"),
        "rewiring": dict(network.rewiring),  # of ONNX what the sidecar says: output, layout, order of the channels
        "preprocessing": job.source.preprocessing.model_dump(mode="json"),
        "dtype": f"{device.device.type} {device.dtype}",
        "libraries": _libraries(network, device.device),
        "version": EXTRACTION_VERSION,
    }


def _libraries(network: Network, device: torch.device) -> dict[str, str]:
    """The versions of what computes the features; of onnxruntime also with what."""
    versions = {library.__name__: str(library.__version__) for library in LIBRARIES}
    if network.facts.library == "onnx":
        versions["onnxruntime"] = f"{importlib.import_module('onnxruntime').__version__} {provider(device)}"
    return versions


def _kept(job: Extraction, rows: Rows, key_of: dict[str, object], images: Images, what: str) -> StoredFeatures:
    key = content_fingerprint(key_of)
    folder = job.cache_dir / "features" / f"{job.dataset.info.fingerprint[:16]}-{key[:16]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            with lock_of(folder).acquire(timeout=POLL_SECONDS):
                found = opened(folder, _read)
                if found is None:
                    with job.watch.measure("features"):
                        _make(job, folder, rows, images, what)
                    found = _read(folder)
                use(folder)
                return found
        except Timeout:
            check_stop(job.reporter)
            job.reporter.progressed(PREPARED, "waiting for features that another run is making")


def _read(folder: Path) -> StoredFeatures:
    seconds = float(json.loads((folder / "meta.json").read_text())["seconds_per_image"])
    return StoredFeatures(np.load(folder / "features.npy", mmap_mode="r"), seconds)


def _make(job: Extraction, folder: Path, rows: Rows, images: Images, what: str) -> None:
    """Make the folder.

    Raises: TrainingError when the network is no longer the one whose features the folder is for; StorageError.
    """
    if backbone_state(job.network) != job.start:
        raise TrainingError(
            f"the {what} of {job.network.facts.model} cannot be stored: its backbone has changed since its start, so "
            f"they would be those of another network; make them before anything trains"
        )
    try:
        make_room(job.cache_dir, len(rows) * job.network.head.in_features * 4)
        beside = begin(folder)
        try:
            place = beside / "features.npy"
            seconds, _ = in_parts(
                lambda size: _extract(replace(job, batch_size=size), place, rows, images, what), job.batch_size, what
            )
            meta = {"seconds_per_image": seconds / len(rows), "num_images": len(rows)}
            (beside / "meta.json").write_text(json.dumps(meta))
            finish(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise StorageError(
            f"cannot store features in {folder.parent}: {error}; free some space, then retry the run"
        ) from error


def _extract(job: Extraction, path: Path, rows: Rows, images: Images, what: str) -> float:
    """Write the features of the rows; the seconds that the passes took, without writing and reporting."""
    shape = (len(rows), job.network.head.in_features)
    stored = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    allocate(path, stored.nbytes, what, "make room")
    check: Callable[[], None] = partial(check_stop, job.reporter)
    batches = feature_batches(job.network, job.source, rows, job.batch_size, check, images)
    done, seconds = 0, 0.0
    while done < len(rows):
        begun = time.perf_counter()
        batch = next(batches)
        synchronize(job.source.device.device)
        seconds += time.perf_counter() - begun
        stored[done : done + len(batch)] = batch.cpu().numpy()
        done += len(batch)
        share = done / len(rows) * (job.until - PREPARED)
        job.reporter.progressed(PREPARED + share, f"{what}, image {done} of {len(rows)}")
    stored.flush()
    return seconds

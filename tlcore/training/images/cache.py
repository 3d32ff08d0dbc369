"""All images of a dataset, decoded once into files of uint8 pixels that later runs map into memory."""

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from tlcore.cores import usable_cores
from tlcore.datasets.dataset import Dataset
from tlcore.datasets.pictures import geometry
from tlcore.datasets.pictures.geometry import PIXELS_VERSION, PixelJob, Pixels, train_side
from tlcore.errors import ImageError, StorageError
from tlcore.recipes import Preprocessing
from tlcore.settings import python_environment
from tlcore.spec import content_fingerprint
from tlcore.training.room import allocate, begin, finish, lock_of, make_room, opened, use

Progress = Callable[[float, str], None]
_IMAGES_PER_CHILD = 24  # fewer are decoded in the time that starting a child takes
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class ImageCache:
    """Pixels of N images in the row order of `Dataset.images`, read from disk as they are needed.

    eval_pixels: uint8 [N,S,S,3], the model's own evaluation transform before scaling to 0…1. train_pixels: uint8
    [N,T,T,3], whole pictures squashed to a square. aspect: float32 [N], true width ÷ height.
    """

    eval_pixels: Pixels
    train_pixels: Pixels
    aspect: np.ndarray


def open_cache(
    dataset: Dataset, preprocessing: Preprocessing, cache_dir: Path, progress: Progress | None = None
) -> ImageCache:
    """The decoded images of a dataset for one geometry, made by child processes if this is the first time.

    cache_dir: the home's `cache`. progress: told the part done in 0…1 and a message; if it raises, the work stops and
    nothing is left behind. Raises: ImageError, StorageError.
    """
    tell = progress or (lambda done, message: None)
    folder = cache_dir / "images" / cache_key(dataset, preprocessing)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(lock_of(folder), tell):
            found = opened(folder, partial(_read, dataset))
            if found is None:
                _build(dataset, preprocessing, folder, tell)
                found = _read(dataset, folder)
            use(folder)
            return found
    except OSError as error:
        raise StorageError(f"decoded images cannot be kept in {folder.parent}: {error}") from error


def cache_key(dataset: Dataset, preprocessing: Preprocessing) -> str:
    """What the pixels depend on: the files in row order, the geometry, and the decoding code; not mean and std."""
    files = hashlib.sha256("\n".join(dataset.images["sha256"]).encode()).hexdigest()
    looks = preprocessing.model_dump(include={"size", "resize", "interpolation"})
    key = content_fingerprint([files, looks, train_side(preprocessing), PIXELS_VERSION])
    return f"{dataset.info.fingerprint[:16]}-{key[:16]}"  # `datasets.store.delete_dataset` finds them by the start


@contextmanager
def _locked(lock: FileLock, tell: Progress) -> Iterator[None]:
    while True:
        try:
            lock.acquire(timeout=0.5)
            break
        except Timeout:
            tell(0.0, "another run is decoding these images")
    try:
        yield
    finally:
        lock.release()


def _read(dataset: Dataset, folder: Path) -> ImageCache:
    sizes = dataset.images[["width", "height"]].to_numpy(dtype=np.float32)
    return ImageCache(
        eval_pixels=np.load(folder / "eval.npy", mmap_mode="r"),
        train_pixels=np.load(folder / "train.npy", mmap_mode="r"),
        aspect=sizes[:, 0] / sizes[:, 1],
    )


def _build(dataset: Dataset, preprocessing: Preprocessing, folder: Path, tell: Progress) -> None:
    staging = begin(folder)
    try:
        _reserve(staging, len(dataset.images), preprocessing)
        _decode(_jobs(dataset, preprocessing, staging), staging, tell)
        (staging / "done").unlink()
        finish(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _reserve(staging: Path, count: int, preprocessing: Preprocessing) -> None:
    """Create the files with all their blocks. Raises: StorageError."""
    sides = {"eval.npy": preprocessing.size, "train.npy": train_side(preprocessing)}
    make_room(staging.parent.parent, sum(count * side**2 * 3 for side in sides.values()))
    for name, side in sides.items():
        np.lib.format.open_memmap(staging / name, mode="w+", dtype=np.uint8, shape=(count, side, side, 3))
    (staging / "done").write_bytes(bytes(count))
    needed = sum((staging / name).stat().st_size for name in sides)
    for name in sides:
        allocate(staging / name, needed, "the decoded images", "make room, or choose a smaller image size")


def _jobs(dataset: Dataset, preprocessing: Preprocessing, staging: Path) -> list[Path]:
    """One job file per child; children take every n-th image, so that all have big ones and small ones."""
    paths = [str(dataset.root / path) for path in dataset.images["path"]]
    children = max(1, min(usable_cores(), len(paths) // _IMAGES_PER_CHILD))
    rows = list(enumerate(paths))
    jobs = []
    for child in range(children):
        job = PixelJob(
            preprocessing=preprocessing.model_dump(),
            rows=rows[child::children],
            eval_pixels=str(staging / "eval.npy"),
            train_pixels=str(staging / "train.npy"),
            done=str(staging / "done"),
        )
        jobs.append(staging / f"job{child}.json")
        jobs[-1].write_text(json.dumps(job))
    return jobs


def _decode(jobs: list[Path], staging: Path, tell: Progress) -> None:
    """Run the children to their end; a failed one, or an error in `tell`, ends the others."""
    environment = python_environment()
    command = [sys.executable, "-m", geometry.__name__]
    running: list[subprocess.Popen[bytes]] = []
    try:
        for job in jobs:
            with job.with_suffix(".log").open("wb") as log:
                running.append(subprocess.Popen([*command, str(job)], env=environment, stderr=log))
        while any(child.poll() is None for child in running):
            _check(running, jobs)
            done = np.fromfile(staging / "done", dtype=np.uint8)
            tell(float(done.mean()), f"decoding images ({int(done.sum()):,} of {len(done):,})")
            time.sleep(_POLL_SECONDS)
        _check(running, jobs)
    finally:
        for child in running:
            child.kill()
            child.wait()
    for job in jobs:
        job.unlink()
        job.with_suffix(".log").unlink()


def _check(running: list[subprocess.Popen[bytes]], jobs: list[Path]) -> None:
    for child, job in zip(running, jobs, strict=True):
        if child.returncode:
            said = job.with_suffix(".log").read_text(errors="replace").strip()
            if child.returncode == 2:
                raise ImageError(said)
            raise StorageError(
                f"decoding images ended with exit code {child.returncode} (memory or disk may be short): {said[-500:]}"
            )

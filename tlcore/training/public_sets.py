"""A set that torchvision can bring, written as an image folder with a table of labels (`metadata.csv`)."""

import bz2
import csv
import gzip
import lzma
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torchvision
from PIL import Image

from tlcore.datasets.files import check_stop
from tlcore.datasets.intake.download import Download, fetch
from tlcore.datasets.intake.public_sets import PublicSet, find_set
from tlcore.datasets.names import UniquePaths
from tlcore.datasets.staging import place_file, storage_errors
from tlcore.errors import DatasetError
from tlcore.settings import get_settings
from tlcore.training.answer import Listener

DOWNLOAD_SHARE = 0.7  # of the progress; the rest is writing
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_BROKEN = (RuntimeError, ValueError, ImportError, LookupError, EOFError, tarfile.TarError, zipfile.BadZipFile,
           lzma.LZMAError)  # fmt: skip


class _NotBroughtError(RuntimeError):
    """A download failed: torchvision then tries the next mirror, where there is one, and never plain http."""


@dataclass
class _Writing:
    """The image folder as it grows."""

    entry: PublicSet
    target: Path
    listener: Listener
    table: Any
    names: UniquePaths = field(default_factory=UniquePaths)
    num_images: int = 0


def write_public_set(
    name: str, target: Path, root: Path, given: Path, max_bytes: int, listener: Listener
) -> dict[str, Any]:
    """Write the images of all parts below `target`, with `metadata.csv`; their number and torchvision's version.

    Files as torchvision wants them are looked for in `given`, which stays as it is; else they are downloaded to `root`,
    which is used up: where the set is made of image files, they are moved, and not coded again.
    Raises: NotFoundError, DatasetError with the remedy, StorageError, RunCancelledError.
    """
    entry = find_set(name)
    target.mkdir(parents=True)
    with storage_errors(target), (target / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writing = _Writing(entry, target, listener, csv.writer(file))
        writing.table.writerow(["file_name", "label", *(["split"] if entry.parts[0][0] else [])])
        with _tamed(entry, max_bytes, listener):
            for part, arguments in entry.parts:
                dataset, is_given = _open(entry, arguments, root, given)
                _write(writing, dataset, part, keep=is_given)
    return {"num_images": writing.num_images, "version": torchvision.__version__}


def _open(entry: PublicSet, arguments: Mapping[str, Any], root: Path, given: Path) -> tuple[Any, bool]:
    """torchvision's dataset object, and whether its files were given."""
    kind = getattr(torchvision.datasets, entry.kind or entry.name, None)
    if kind is None:
        raise DatasetError(f"torchvision {torchvision.__version__} does not know {entry.name}: update torchvision")
    missing = ""
    if given.is_dir():
        try:
            return kind(given, **arguments, **({} if entry.by_hand else {"download": False})), True
        except (OSError, *_BROKEN) as error:
            missing = f"; what is in {given} cannot be used: {_words(error)}"
    if entry.by_hand:
        raise DatasetError(
            f"torchvision cannot download {entry.name}: get its files from {entry.by_hand}, put them into {given} as "
            f"torchvision's documentation of {kind.__name__} says, and add it again{missing}"
        )
    try:
        with storage_errors(root):
            return kind(root, **arguments, download=True), False
    except (OSError, *_BROKEN) as error:
        raise DatasetError(
            f"torchvision could not bring {entry.name}: {_words(error)}{missing}. Without a network, put the files "
            f"that torchvision would download into {given}, and add it again"
        ) from error


def _write(writing: _Writing, dataset: Any, part: str, keep: bool) -> None:
    """keep: whether the files belong to somebody."""
    names = _class_names(writing.entry, dataset)
    with _originals():
        for index in range(len(dataset)):
            check_stop(writing.listener.should_stop)
            picture, label = dataset[index]
            original = picture.path if isinstance(picture, _Original) else None
            called = original.name if original else f"{index:06d}.png"
            path = writing.names.take([part or "all", f"{int(label):03d}", called])
            if original:
                _place(original, writing.target / path, keep)
            else:
                _save(picture, writing.target / path, writing.entry.transposed)
            writing.table.writerow([path, names(int(label)), *([part] if part else [])])
            writing.num_images += 1
            share = min(1.0, writing.num_images / writing.entry.num_images)
            words = f"Wrote {writing.num_images:,} images of {writing.entry.name}"
            writing.listener.progress(DOWNLOAD_SHARE + (1 - DOWNLOAD_SHARE) * share, words)


def _place(original: Path, path: Path, keep: bool) -> None:
    """A second name for a downloaded file, where the file system can have one: it may be in several parts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not keep:
        with suppress(OSError):
            os.link(original, path)
            return
    if not original.is_file():
        raise DatasetError(f"{original} is missing: the set is incomplete; remove its folder, and add it again")
    place_file(original, path, move=False)


def _save(picture: Image.Image, path: Path, transposed: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if transposed:
        picture = picture.transpose(Image.Transpose.TRANSPOSE)
    picture.save(path, compress_level=1)


def _class_names(entry: PublicSet, dataset: Any) -> Callable[[int], str]:
    """The name of a label: the table's, else torchvision's (the first of several), else the number."""
    known = entry.classes or getattr(dataset, "classes", None) or getattr(dataset, "categories", None) or ()
    names = [str(name if isinstance(name, str) else name[0]) for name in known]
    digits = len(str(entry.num_classes - 1))
    return lambda label: names[label] if label < len(names) else f"{label:0{digits}d}"


class _Original:
    """Stands for a picture that torchvision reads from a file: the file is wanted as it is, and not its pixels."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def convert(self, mode: str) -> "_Original":
        """What torchvision's loaders do next."""
        return self


@contextmanager
def _originals() -> Iterator[None]:
    """While it lasts, an image file is not opened but stands for itself."""

    def stand_in(file: Any, *args: Any, **kwargs: Any) -> _Original:
        return _Original(Path(file if isinstance(file, str | os.PathLike) else file.name))

    with _replaced(Image, "open", stand_in):
        yield


@contextmanager
def _tamed(entry: PublicSet, max_bytes: int, listener: Listener) -> Iterator[None]:
    """torchvision downloads within bounds, tells how far it is, can be stopped, and unpacks inside its folder alone."""
    utils, done = torchvision.datasets.utils, 0

    def retrieve(url: str, filename: str | Path, chunk_size: int = 0) -> None:
        nonlocal done

        def tell(share: float, words: str) -> None:
            so_far = (done + file.tell()) / (entry.download_mb * 1e6)
            listener.progress(DOWNLOAD_SHARE * min(1.0, so_far), f"{entry.name}: {words}")

        local = get_settings().allow_local_addresses
        with Path(filename).open("wb") as file:
            try:
                fetch(url, file, Download(max_bytes - done, tell, listener.should_stop, local=local))
            except DatasetError as error:
                Path(filename).unlink()  # torchvision takes a file that has no published checksum for whole
                raise _NotBroughtError(str(error)) from error
            done += file.tell()

    with (
        _replaced(utils, "_urlretrieve", retrieve),
        _replaced(utils, "_get_redirect_url", lambda url, max_hops=3: url),  # `fetch` follows them
        _replaced(utils, "_decompress", _decompress),
        _replaced(torchvision.datasets.pcam, "_decompress", _decompress),
        _replaced(tarfile.TarFile, "extraction_filter", staticmethod(tarfile.data_filter)),
    ):
        yield


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Something of a library that offers no other way, exchanged for a while. Raises: AttributeError if it is gone."""
    kept = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, kept)


def _decompress(from_path: str | Path, to_path: str | Path | None = None, remove_finished: bool = False) -> Path:
    """As torchvision's own, but not through the memory: PCAM's largest file has 7 GB."""
    source = Path(from_path)
    target = Path(to_path) if to_path is not None else source.with_suffix("")
    with _OPENERS[source.suffix](source, "rb") as reading, target.open("wb") as file:
        shutil.copyfileobj(reading, file, 1024 * 1024)
    if remove_finished:
        source.unlink()
    return target


def _words(error: BaseException) -> str:
    return " ".join((str(error) or type(error).__name__).split()).removesuffix(".")

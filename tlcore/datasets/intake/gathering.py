"""The labelled images of a source that is on this disk."""

from dataclasses import dataclass, replace
from pathlib import Path

from tlcore.datasets.content import describe, head_of, is_text, looks_like_image
from tlcore.datasets.files import Limits, Progress, Stop, list_files, sort_out, stage
from tlcore.datasets.intake.archives import archive_kind, unpack
from tlcore.datasets.intake.discovery import HOW, Found, discover, discover_by_table
from tlcore.datasets.intake.sources import Source
from tlcore.datasets.intake.tables import is_table
from tlcore.errors import ArchiveError, DatasetError

_UNPACKING = 0.3  # of what is left to do; the rest is decoding


@dataclass(frozen=True)
class Gathered:
    """What was found. root: the folder that holds the files. ours: whether they may be moved. share: of the whole work
    that is done.
    """

    found: Found
    root: Path
    ours: bool
    share: float


def gather(source: Source, folder: Path, limits: Limits, tell: Progress, should_stop: Stop) -> Gathered:
    """The labelled images of the source; those of an archive are unpacked into `folder`. Raises: DatasetError."""
    tell(source.share, "Looking at the files")
    if source.place.is_dir():
        listing = sort_out(*list_files(source.place, limits, should_stop), should_stop)
        found = discover(listing, limits, source.told, source.place)
        return _gathered(source, found, source.place, source.ours, source.share)
    if archive_kind(source.place):
        share = source.share + _UNPACKING * (1 - source.share)
        told = stage(tell, source.share, share)
        unpacked = folder / "unpacked"
        listing = sort_out(*unpack(source.place, unpacked, limits, told, should_stop), should_stop)
        if source.ours:
            source.place.unlink()
        return _gathered(source, discover(listing, limits, source.place.name), unpacked, True, share)
    found = _by_table(source.place, limits, should_stop)
    return _gathered(source, found, source.place.parent.resolve(), False, source.share)


def _gathered(source: Source, found: Found, root: Path, ours: bool, share: float) -> Gathered:
    """A public set has notes of its own; nobody wants to know of the table that it was written with."""
    return Gathered(replace(found, notes=list(source.notes)) if source.notes else found, root, ours, share)


def _by_table(file: Path, limits: Limits, should_stop: Stop) -> Found:
    head = head_of(file)
    if is_text(head) and is_table(file.name):
        return discover_by_table(file, limits, should_stop)
    if looks_like_image(head):
        raise DatasetError(f"{file.name} is a single image: give its folder or an archive; {HOW}")
    raise ArchiveError(
        f"{file.name} is no zip, tar (.gz, .bz2, .xz) or CSV but {describe(head)}: pack the images as zip, "
        "or give their folder"
    )

"""The labelled images of a source that is on this disk."""

from dataclasses import dataclass, replace
from pathlib import Path

from tlcore.datasets.content import describe, head_of, is_text, looks_like_image
from tlcore.datasets.files import Limits, Listing, Progress, Stop, list_files, sort_out, stage
from tlcore.datasets.intake.archives import archive_kind, unpack
from tlcore.datasets.intake.cards import NOTHING, Brought, take_card
from tlcore.datasets.intake.discovery import HOW, Found, discover, discover_by_table
from tlcore.datasets.intake.sources import Source
from tlcore.datasets.intake.tables import is_table
from tlcore.errors import ArchiveError, DatasetError

_UNPACKING = 0.3  # of what is left to do; the rest is decoding


@dataclass(frozen=True)
class Gathered:
    """What was found. root: the folder that holds the files. ours: whether they may be moved. share: of the whole work
    that is done. brought: the card, where a dataset that was packed here brings one.
    """

    found: Found
    root: Path
    ours: bool
    share: float
    brought: Brought = NOTHING


def gather(source: Source, folder: Path, limits: Limits, tell: Progress, should_stop: Stop) -> Gathered:
    """The labelled images of the source; those of an archive are unpacked into `folder`. Raises: DatasetError."""
    tell(source.share, "Looking at the files")
    if source.place.is_dir():
        listing = sort_out(*list_files(source.place, limits, should_stop), should_stop)
        return _of_listing(source, listing, source.place, limits, source.share, should_stop)
    if archive_kind(source.place):
        share = source.share + _UNPACKING * (1 - source.share)
        told, unpacked = stage(tell, source.share, share), folder / "unpacked"
        listing = sort_out(*unpack(source.place, unpacked, limits, told, should_stop), should_stop)
        if source.ours:
            source.place.unlink()
        return _of_listing(source, listing, unpacked, limits, share, should_stop)
    found = _by_table(source.place, limits, should_stop)
    return Gathered(found, source.place.parent.resolve(), False, source.share)


def _of_listing(
    source: Source, listing: Listing, root: Path, limits: Limits, share: float, should_stop: Stop
) -> Gathered:
    """A public set has notes of its own; nobody wants to know of the table that it was written with."""
    brought, listing = take_card(listing)
    if root == source.place:
        found = discover(listing, limits, source.told, root, should_stop)
    else:
        found = discover(listing, limits, source.place.name, should_stop=should_stop)
    notes = list(source.notes) or [*found.notes, *brought.notes]
    return Gathered(replace(found, notes=notes), root, source.ours or root != source.place, share, brought)


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

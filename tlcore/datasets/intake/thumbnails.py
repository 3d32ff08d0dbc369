"""Small copies of pictures that systems and programs leave beside them: no pictures of their own."""

import re
from pathlib import PurePath

from tlcore.datasets.dataset import LeftOut
from tlcore.datasets.files import Files, Listing

_SYSTEMS = {"@eadir", ".thumbnails"}
_FOLDERS = {"thumb", "thumbs", "_thumbs", "thumbnail", "thumbnails", "_thumbnails"}
_FILE = re.compile(r"(.+)[_-]thumb(?:nail)?", re.IGNORECASE)
_REASON = "a thumbnail of another picture"

Below = tuple[str, ...]


def without_thumbnails(listing: Listing) -> Listing:
    """Leaves out what lies in a system's folder of thumbnails; `x_thumb.*` beside a larger file `x.*`; and folders
    called thumbs or thumbnails of whose pictures more than half are, larger, at the same path beside the folder. So
    a class called thumbs stays.
    """
    found = {below: "a thumbnail that a system left" for below in listing.images if _of_system(below)}
    rest = {below: file for below, file in listing.images.items() if below not in found}
    sizes = _sizes(rest)
    copies = _folders_of_copies(rest, sizes)
    for below in rest:
        named = _FILE.fullmatch(PurePath(below[-1]).stem)
        if any(below[:depth] in copies for depth in range(1, len(below))) or (
            named and _is_larger(sizes, (*below[:-1], named[1]), below)
        ):
            found[below] = _REASON
    if not found:
        return listing
    images = {below: file for below, file in listing.images.items() if below not in found}
    left_out = [LeftOut(path="/".join(below), reason=reason) for below, reason in found.items()]
    return Listing(images, listing.others, listing.left_out + left_out)


def _of_system(below: Below) -> bool:
    return any(folder.casefold() in _SYSTEMS for folder in below[:-1])


def _sizes(images: Files) -> dict[Below, int]:
    """Bytes of the largest file of each path without its extension; nothing is looked up where no name asks for it."""
    asked = any(
        _FILE.fullmatch(PurePath(below[-1]).stem) or _FOLDERS & set(map(str.casefold, below)) for below in images
    )
    sizes: dict[Below, int] = {}
    for below, file in images.items() if asked else ():
        stem = _stem(below)
        sizes[stem] = max(sizes.get(stem, 0), file.stat().st_size)
    return sizes


def _folders_of_copies(images: Files, sizes: dict[Below, int]) -> set[Below]:
    inside: dict[Below, list[bool]] = {}
    for below in images:
        for depth, folder in enumerate(below[:-1]):
            if folder.casefold() in _FOLDERS:
                beside = _stem((*below[:depth], *below[depth + 1 :]))
                inside.setdefault(below[: depth + 1], []).append(_is_larger(sizes, beside, below))
    return {folder for folder, copied in inside.items() if 2 * sum(copied) > len(copied)}


def _is_larger(sizes: dict[Below, int], other: Below, below: Below) -> bool:
    return sizes.get(other, 0) > sizes[_stem(below)]


def _stem(below: Below) -> Below:
    return (*below[:-1], PurePath(below[-1]).stem)

"""From files to labelled images: class folders, parts above them, or a table of labels."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tlcore.datasets.dataset import LeftOut
from tlcore.datasets.files import Limits, Listing, Stop, check_limits, left_out_others, list_files, never, sort_out
from tlcore.datasets.intake.matching import Entry, Index, beside, match, outside, relative_to
from tlcore.datasets.intake.nested import parts_by_folder, read_nested, shared_depth
from tlcore.datasets.intake.tables import Table, header_of, is_table, read_table
from tlcore.datasets.intake.thumbnails import without_thumbnails
from tlcore.datasets.names import part_of
from tlcore.errors import DatasetError

HOW = "put one folder per class (cats/1.jpg, dogs/2.jpg), or a CSV with the columns path and label beside the images"

MOST_NAMED = 5  # folders in a note

Below = tuple[str, ...]
_MAX_NOTES = 4  # on columns of tables


@dataclass(frozen=True)
class Found:
    """The labelled images of a source, not decoded yet; what was left out; and remarks for people."""

    entries: list[Entry]
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class _Top:
    """What tables at the top say. tables: those that name an image. problem: of the first that cannot be used.

    notes: for people, where the folders do without them.
    """

    tables: dict[Below, Table] = field(default_factory=dict)
    problem: DatasetError | None = None
    notes: list[str] = field(default_factory=list)


def discover(
    listing: Listing, limits: Limits, source: str, root: Path | None = None, should_stop: Stop = never
) -> Found:
    """Labels from a table at the top that names an image, else from tables further down that name at least half of the
    images, else from folders. root: the folder that is listed, of which tables may hold absolute paths; None for an
    archive. Raises: DatasetError, RunCancelledError.
    """
    index = Index(listing.images | listing.others)
    top = _tables(listing, index, limits, root, should_stop)
    if top.tables:
        return _by_table(listing, index, top.tables, should_stop)
    listing = without_thumbnails(listing)
    if not listing.images:
        first = listing.left_out + left_out_others(listing.others)
        seen = f"; {first[0].path}: {first[0].reason}" if first else ""
        raise DatasetError(f"no images found in {source}{seen}: {HOW}")
    nested = read_nested(listing, index, limits, root, should_stop)
    if 2 * len(nested.images) >= len(listing.images):
        return _completed(listing, nested.tables, nested.entries, nested.left_out, nested.used)
    problem = top.problem or nested.problem
    try:
        found = _by_folders(listing, source)
    except DatasetError as error:
        if nested.images:
            return _completed(listing, nested.tables, nested.entries, nested.left_out, nested.used)
        if problem is None:
            raise DatasetError(f"{error}{_unused(listing)}") from error
        found = Found([])
    if problem is not None and len({entry.label for entry in found.entries}) < 2:
        raise problem  # with its table mended, the images may have labels
    return replace(found, notes=[*found.notes, *top.notes, *nested.notes])


def _unused(listing: Listing) -> str:
    """Why a table that may have been meant to bring the labels did not."""
    for below, file in sorted(listing.others.items()):
        if is_table(below[-1]) and (first := header_of(file)):
            return (
                f"; {'/'.join(below)} was not used, as its first line, {first!r}, names no columns path and label, or "
                "its rows name none of the files"
            )
    return ""


def discover_by_table(table: Path, limits: Limits, should_stop: Stop = never) -> Found:
    """Images that a table on disk names, relative to its folder or anywhere below it.

    Raises: DatasetError, RunCancelledError.
    """
    read = read_table(table, table.name, limits.num_files, should_stop=should_stop)
    if read is None:
        raise DatasetError(
            f"{table.name} has no columns for path and label (its first line is {header_of(table)!r}): "
            "name them path, label and, if there is one, split"
        )
    folder = table.parent.resolve()
    rows = relative_to(read.rows, folder)
    named = beside(rows, folder)
    check_limits(len(named), sum(file.stat().st_size for file in named.values()), limits, table)
    if 2 * len(named) >= len(rows):
        listing = sort_out(named, [], should_stop)
    else:  # the images are in a folder that the table does not name
        listing = sort_out(*list_files(folder, limits, should_stop), should_stop)
    matched = match(rows, Index(listing.images | listing.others), should_stop=should_stop)
    return _labelled(listing, *matched, [table.name], read.notes)


def _tables(listing: Listing, index: Index, limits: Limits, root: Path | None, should_stop: Stop) -> _Top:
    """Tables of labels that lie at the top, in the folder that holds everything."""
    depth = shared_depth([below[:-1] for below in index.files])
    top = _Top()
    for below, file in listing.others.items():
        if len(below) != depth + 1 or not is_table(below[-1]):
            continue
        name = "/".join(below)
        try:
            table = read_table(file, name, limits.num_files, should_stop=should_stop)
        except DatasetError as problem:
            top.problem = top.problem or problem
            top.notes.append(f"{name} was not used: {problem}.")
            continue
        rows = relative_to(table.rows, root) if table and root else table.rows if table else []
        if any(entry.below in listing.images for entry in match(rows, index, should_stop=should_stop)[0]):
            top.tables[below] = Table(rows, table.notes if table else [])
        elif rows and not outside(rows):  # of those outside, the tables further down are told
            top.notes.append(f"{name} names none of the images: it was not used.")
    return top


def _by_table(listing: Listing, index: Index, tables: dict[Below, Table], should_stop: Stop) -> Found:
    names = [below[-1] for below in tables]
    if len(tables) > 1 and not all(part_of(Path(name).stem) for name in names):
        raise DatasetError(f"{' and '.join(names)} both look like tables of labels: keep one of them")
    rows = [row for table in tables.values() for row in table.rows]
    notes = [note for table in tables.values() for note in table.notes]
    return _completed(listing, list(tables), *match(rows, index, should_stop=should_stop), notes)


def _completed(
    listing: Listing, tables: Collection[Below], entries: list[Entry], left_out: list[LeftOut], notes: list[str]
) -> Found:
    """What tables say of a whole listing: their own files are no images, and images that they do not name stay out."""
    rest = Listing(listing.images, {b: f for b, f in listing.others.items() if b not in tables}, listing.left_out)
    found = _labelled(rest, entries, left_out, ["/".join(below) for below in tables], notes)
    named = {entry.below for entry in found.entries} | {tuple(left.path.split("/")) for left in found.left_out}
    unnamed = [LeftOut(path="/".join(b), reason="not in the table") for b in listing.images if b not in named]
    return Found(found.entries, found.left_out + unnamed, found.notes)


def _labelled(
    listing: Listing, entries: list[Entry], left_out: list[LeftOut], tables: list[str], of_tables: list[str]
) -> Found:
    """Leave out what tables name, but is no image; entries of no part get the part of their folders."""
    no_images = left_out_others({e.below: e.file for e in entries if e.below in listing.others})
    images, told = parts_by_folder([entry for entry in entries if entry.below in listing.images])
    more = [f"So it is with {len(of_tables) - _MAX_NOTES:,} more columns."] if len(of_tables) > _MAX_NOTES else []
    notes = [f"Labels were read from {_listed(tables)}.", *of_tables[:_MAX_NOTES], *more, *told]
    return Found(images, listing.left_out + left_out + no_images, notes)


def _listed(names: list[str]) -> str:
    if len(names) > 4:
        return f"{len(names):,} tables such as {names[0]}"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _by_folders(listing: Listing, source: str) -> Found:
    wrapping = _wrapping(list(listing.images))
    inside = {below[len(wrapping) :] for below in listing.images if below[: len(wrapping)] == wrapping}
    tops = {below[0] for below in inside if len(below) > 1}
    parts = {top for top in tops if part_of(top) and _mostly_deeper(inside, top)}
    if not tops or (not parts and len(tops) > 1 and all(part_of(top) for top in tops)):
        raise DatasetError(f"the {len(listing.images):,} images in {source} are in no class folders: {HOW}")
    skipped = len(_wrapping([below[1:] for below in inside if below[0] in parts])) if parts else 0
    class_first = not parts and _parts_below(inside)
    entries: list[Entry] = []
    deeper: dict[str, set[str]] = {}
    left_out = listing.left_out + left_out_others(listing.others)
    for below, file in listing.images.items():
        rest = below[len(wrapping) :] if below[: len(wrapping)] == wrapping else ()
        labelled = _label_and_part(rest, parts, skipped, class_first)
        if labelled is None:
            outside = bool(parts and rest) and rest[0] not in parts
            words = "outside the train, val and test folders" if outside else "not in a class folder"
            if outside and part_of(rest[0]):
                words = f"in no class folder inside of {rest[0]}"
            left_out.append(LeftOut(path="/".join(below), reason=words))
        else:
            entries.append(Entry(below, file, *labelled))
            under = rest[(1 + skipped if parts else int(class_first)) + 1 : -1]
            deeper.setdefault(labelled[0], set()).update(under[:1])
    return Found(entries, left_out, _merged(deeper))


def _merged(deeper: dict[str, set[str]]) -> list[str]:
    """What is to be said of folders below the class folders; deeper: their names by class."""
    merged = {label: sorted(folders) for label, folders in sorted(deeper.items()) if folders}
    if not merged or max(map(len, merged.values())) < 2:
        return []
    told = [f"{label} ({_few(folders)})" for label, folders in merged.items()]
    below = [folder for folders in merged.values() for folder in folders]
    return [
        f"The first folders were taken for the classes, and those below were merged into them: {_few(told)}. If the "
        f"folders below are the classes, put them side by side in one folder ({_few(below)}) "
        "and add that."
    ]


def _few(names: list[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else "")


def _label_and_part(below: Below, parts: set[str], skipped: int, class_first: bool) -> tuple[str, str] | None:
    """Class and part of an image by the folders above it, or None if it is in no class folder.

    skipped: how many folders between the part and the class wrap all classes of all parts (train/images/cats).
    """
    if parts:
        inside = len(below) > 2 + skipped and below[0] in parts
        return (below[1 + skipped], part_of(below[0]) or "") if inside else None
    if len(below) < 2:
        return None
    return below[0], (part_of(below[1]) or "") if class_first and len(below) > 2 else ""


def _wrapping(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The folders that wrap all: each alone at its level, and holding folders of images rather than images."""
    wrapping: tuple[str, ...] = ()
    while True:
        depth = len(wrapping)
        folders = Counter(path[depth] for path in paths if len(path) > depth + 1)
        deeper = [path for path in paths if len(path) > depth + 2]
        if len(folders) != 1 or 2 * len(deeper) <= folders.total():
            return wrapping
        wrapping, paths = (*wrapping, *folders), deeper


def _mostly_deeper(paths: Collection[tuple[str, ...]], top: str) -> bool:
    """Whether a folder holds mainly folders of images: a class may well be called `train`."""
    inside = [len(below) > 2 for below in paths if below[0] == top]
    return 2 * sum(inside) > len(inside)


def _parts_below(paths: Collection[tuple[str, ...]]) -> bool:
    """Whether the parts lie below the classes: ants/train/1.jpg."""
    return all(len(below) > 2 and part_of(below[1]) for below in paths)

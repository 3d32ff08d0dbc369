"""What can be seen of a dataset: its pictures, and its health."""

from collections.abc import Iterable

from tlcore.datasets import store
from tlcore.datasets.health import Finding, Health, Suggestion, health_of
from tlcore.results import Value
from tlcore.settings import get_settings

__all__ = ["Finding", "Gallery", "Health", "Picture", "Suggestion", "find_pictures", "health", "pictures_of"]


class Picture(Value):
    """One image of a gallery. part: the given one, or empty. width, height: pixels. thumbnail: path of a small JPEG."""

    path: str
    label: str
    part: str
    width: int
    height: int
    thumbnail: str


class Gallery(Value):
    """A page of pictures, and how many there are in all."""

    pictures: tuple[Picture, ...]
    total: int


def find_pictures(
    dataset_id: str,
    label: str | None = None,
    part: str | None = None,
    search: str = "",
    offset: int = 0,
    limit: int = 24,
) -> Gallery:
    """A page of a dataset's pictures by path: of one class, of one given part, with `search` in the path.

    Raises: NotFoundError.
    """
    dataset = store.load_dataset(dataset_id, get_settings(), store.GALLERY_COLUMNS)
    index = None if label is None else dataset.info.classes.index(label)
    rows = store.find_rows(dataset, index, part, search.strip())
    return Gallery(pictures=_pictures(store.gallery(dataset, rows[offset : offset + limit])), total=len(rows))


def pictures_of(dataset_id: str, paths: Iterable[str]) -> tuple[Picture, ...]:
    """The pictures of these paths, in their order; those that the dataset does not have are left out."""
    dataset = store.load_dataset(dataset_id, get_settings(), store.GALLERY_COLUMNS)
    row_of = {path: row for row, path in dataset.images["path"].items()}
    return _pictures(store.gallery(dataset, [int(row_of[path]) for path in paths if path in row_of]))


def health(dataset_id: str) -> Health:
    """What is wrong with a dataset, and what could be done about it. Raises: NotFoundError."""
    return health_of(store.load_dataset(dataset_id, get_settings()))


def _pictures(rows: Iterable[store.GalleryRow]) -> tuple[Picture, ...]:
    return tuple(
        Picture(
            path=row.path,
            label=row.label,
            part=row.part,
            width=row.width,
            height=row.height,
            thumbnail=str(row.thumbnail),
        )
        for row in rows
    )

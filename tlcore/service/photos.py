"""Photographs from strangers: decoded in a child process only, as in an import."""

import tempfile
from pathlib import Path

from tlcore.datasets.pictures.inspection import inspect_files, inspector_command
from tlcore.datasets.pictures.inspector import thumbnail_path
from tlcore.results import Value


class CheckedPhoto(Value):
    """refused: why it cannot be read, naming the file; else None, and thumbnail is a JPEG of at most 160 px."""

    refused: str | None = None
    thumbnail: bytes = b""


def check_photos(paths: list[Path]) -> list[CheckedPhoto]:
    """Whether each file is a picture that can be read, in order. Raises: DatasetError, StorageError."""
    checked: dict[int, CheckedPhoto] = {}
    with tempfile.TemporaryDirectory() as folder:
        for index, seen in inspect_files(paths, inspector_command(Path(folder)), processes=1):
            if seen.refused is not None:
                checked[index] = CheckedPhoto(refused=f"{paths[index].name}: {seen.refused}")
            else:
                checked[index] = CheckedPhoto(thumbnail=thumbnail_path(Path(folder), seen.sha256).read_bytes())
    return [checked[index] for index in range(len(paths))]

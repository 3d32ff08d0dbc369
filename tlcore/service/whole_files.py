"""Files that are there whole or not at all, whoever else writes or reads them at the same time."""

import uuid
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a text file, in UTF-8, and its folder; a reader meets the old or the new one. Raises: OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")  # no other writer has this name
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)

"""What was read of finished runs and comparisons, kept in `<home>/cache/runs`: it stays as it is until they reopen.

A name holds the id and the time of the end, which is another one after a reopened run has ended again, and the shape
of the records of this code. Files are written beside their place and renamed. What was not used for longest goes first.
"""

import hashlib
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tlcore.results import Value
from tlcore.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

MAX_BYTES = 1_000_000_000  # predictions of 10,000 runs with 1,000 test images of 10 classes
KEPT_SHARE = 0.9  # of it that is left after old files went, so that they do not go one by one
LEFTOVER_SECONDS = 3600  # after which a half-written file belongs to nobody
_log = logging.getLogger("tlcore.tracking")
T = TypeVar("T")
V = TypeVar("V", bound=Value)


def recall(settings: Settings, name: str, ended_ms: int, kind: type[V]) -> V | None:
    """What was kept of a run or comparison that ended then; None where nothing was, or it cannot be read."""
    path = _record_path(settings, name, ended_ms, kind)
    return _read(path, lambda: kind.model_validate_json(path.read_bytes()))


def keep(settings: Settings, name: str, ended_ms: int, value: Value) -> None:
    """Keep a record. A disk that refuses is only logged: everything can be read again."""
    text = value.model_dump_json()
    _write(_record_path(settings, name, ended_ms, type(value)), lambda path: path.write_text(text, encoding="utf-8"))


def recall_frame(settings: Settings, name: str, ended_ms: int) -> "pd.DataFrame | None":
    """The predictions that were kept; None where none were, or they cannot be read."""
    import pandas as pd

    path = _frame_path(settings, name, ended_ms)
    return _read(path, lambda: pd.read_parquet(path))


def keep_frame(settings: Settings, name: str, ended_ms: int, file: Path) -> None:
    """Keep a parquet file of predictions as it is."""
    _write(_frame_path(settings, name, ended_ms), lambda path: shutil.copyfile(file, path))


def prune(settings: Settings, max_bytes: int = MAX_BYTES) -> None:
    """Remove what was not used for longest, where there is more than `max_bytes`, and what crashes left."""
    now, found = time.time(), []
    for path in _folder(settings).glob("*"):
        try:
            facts = path.stat()
        except FileNotFoundError:  # another process prunes too
            continue
        if path.name.startswith(".") and now - facts.st_mtime > LEFTOVER_SECONDS:
            path.unlink(missing_ok=True)
        elif not path.name.startswith("."):
            found.append((facts.st_mtime, facts.st_size, path))
    total = sum(size for _, size, _ in found)
    if total <= max_bytes:
        return
    for _, size, path in sorted(found):
        if total <= KEPT_SHARE * max_bytes:
            break
        path.unlink(missing_ok=True)
        total -= size


def clear(settings: Settings) -> None:
    """Forget everything."""
    shutil.rmtree(_folder(settings), ignore_errors=True)


def _folder(settings: Settings) -> Path:
    return settings.cache / "runs"


def _record_path(settings: Settings, name: str, ended_ms: int, kind: type[Value]) -> Path:
    return _folder(settings) / f"{name}-{ended_ms}-{_shape(kind)}.json"


def _frame_path(settings: Settings, name: str, ended_ms: int) -> Path:
    return _folder(settings) / f"{name}-{ended_ms}.parquet"


@lru_cache(maxsize=16)
def _shape(kind: type[Value]) -> str:
    """Tells records of another version, which may lack what this one reads from the files."""
    return hashlib.sha256(json.dumps(kind.model_json_schema(), sort_keys=True).encode()).hexdigest()[:12]


def _read(path: Path, read: Callable[[], T]) -> T | None:
    """Read a file and note that it was used."""
    try:
        found = read()
        os.utime(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError):  # also of pydantic and of pyarrow
        _log.warning("%s cannot be read: what it held is read from MLflow again", path, exc_info=True)
        return None
    return found


def _write(path: Path, write: Callable[[Path], object]) -> None:
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(beside)
        beside.replace(path)
    except OSError:
        _log.warning("%s cannot be kept: it is read from MLflow again next time", path, exc_info=True)
    finally:
        with suppress(OSError):  # mostly of a file that was renamed
            beside.unlink()

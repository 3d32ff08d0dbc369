"""The child process that decodes strangers' images: `python -m tlcore.datasets.pictures.inspector THUMBNAILS`.

Reads one JSON line `{"path": …}` per file, answers one line each: facts and hash, or the reason why not. It may
crash, hang or run out of memory; `inspection` then leaves out that file only. Imports neither pandas nor pydantic.
"""

import hashlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from tlcore.datasets.pictures.decoding import read_image
from tlcore.datasets.pictures.likeness import look_of, tone_of
from tlcore.errors import ImageError

MEMORY_BYTES = 4 * 1024**3  # the largest allowed picture as 32-bit greyscale takes about 2.5 GB
THUMBNAIL_PX = 160
_THUMBNAIL_QUALITY = 85


def thumbnail_path(folder: Path, sha256: str) -> Path:
    """Where the thumbnail of the file with this hash is."""
    return folder / sha256[:2] / f"{sha256}.jpg"


def inspect(path: Path, thumbnails: Path) -> dict[str, Any]:
    """Decode one file and store its thumbnail: facts and looks, `{"refused": reason}` or `{"storage": problem}`."""
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        rgb, facts = read_image(path)
    except ImageError as error:
        return {"refused": str(error)}
    except OSError as error:
        return {"refused": f"cannot be opened: {error.strerror}"}
    tone = tone_of(rgb)
    try:
        _store_thumbnail(rgb, thumbnail_path(thumbnails, sha256))
    except OSError as error:
        return {"storage": f"{error.strerror or error}"}
    return {"sha256": sha256, "num_bytes": path.stat().st_size, **asdict(facts), **asdict(look_of(rgb, tone))}


def _store_thumbnail(rgb: Image.Image, target: Path) -> None:
    rgb.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BICUBIC, reducing_gap=2.0)
    target.parent.mkdir(parents=True, exist_ok=True)
    rgb.save(target, "JPEG", quality=_THUMBNAIL_QUALITY)


def _limit_memory() -> None:
    """A decompression bomb meets a MemoryError here instead of the machine's limit; no core file on a crash."""
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Answer until the input ends."""
    _limit_memory()
    thumbnails = Path(sys.argv[1])
    sys.stdout.write(json.dumps({"ready": True}) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        answer = inspect(Path(json.loads(line)["path"]), thumbnails)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

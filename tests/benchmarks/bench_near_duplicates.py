"""What the limits of `datasets.duplicates` find again, and what they join by mistake, on a folder of real pictures.

    python -m tests.benchmarks.bench_near_duplicates FOLDER [FOLDER …]

Recall: of up to 150 pictures per folder, each changed in several ways, the part that is found again.
Groups: those found among the folder's own different files, which a person has to look at: they are listed.
"""

import argparse
import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageEnhance

from tlcore.datasets.content import head_of, looks_like_image
from tlcore.datasets.duplicates import near_groups
from tlcore.datasets.pictures.decoding import open_rgb
from tlcore.datasets.pictures.inspector import THUMBNAIL_PX
from tlcore.datasets.pictures.likeness import look_of
from tlcore.errors import ImageError

SAMPLE = 150


def saved(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def cut(picture: Image.Image, part: float) -> Image.Image:
    x, y = int(picture.width * part), int(picture.height * part)
    return picture.crop((x, y, picture.width - x, picture.height - y))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG, quality 75": lambda p: saved(p, 75),
    "JPEG, quality 40": lambda p: saved(p, 40),
    "half the size": lambda p: p.resize((max(8, p.width // 2), max(8, p.height // 2)), Image.Resampling.BICUBIC),
    "12 % brighter": lambda p: ImageEnhance.Brightness(p).enhance(1.12),
    "15 % less contrast": lambda p: ImageEnhance.Contrast(p).enhance(0.85),
    "2 % cut off each edge": lambda p: cut(p, 0.02),
    "5 % cut off each edge": lambda p: cut(p, 0.05),
    "mirrored": lambda p: p.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


def looks(picture: Image.Image, sha256: str) -> dict[str, object]:
    small = picture.copy()
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return {"sha256": sha256, "width": picture.width, "height": picture.height, **vars(look_of(small))}


def measure(folder: Path) -> None:
    pictures, rows, names = {}, [], []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and looks_like_image(head_of(p))):
        try:
            pictures[path] = open_rgb(path)
        except ImageError:
            continue
        pictures[path].thumbnail((400, 400))
        rows.append(looks(pictures[path], hashlib.sha256(path.read_bytes()).hexdigest()))
        names.append(path)
    images = pd.DataFrame(rows)
    print(f"{folder.name}: {len(images):,} pictures, {images['sha256'].nunique():,} different files")
    chosen = np.random.default_rng(0).permutation(len(names))[:SAMPLE]
    for words, change in CHANGES.items():
        found = 0
        for place in chosen:
            pair = pd.DataFrame([rows[place], looks(change(pictures[names[place]]), "changed")])
            found += len(set(near_groups(pair))) == 1
        print(f"  found again, {words}: {found / len(chosen):.0%}")
    images["group"] = near_groups(images)
    first = images.drop_duplicates("sha256")
    groups = [found.index for _, found in first.groupby("group") if len(found) > 1]
    print(f"  groups among different files: {len(groups)}, largest {max(map(len, groups), default=1)}")
    for group in groups:
        print("    " + "  ".join(str(names[place].relative_to(folder)) for place in group))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    for given in parser.parse_args().folders:
        measure(given)

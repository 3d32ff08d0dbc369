"""Images imported per second, and the memory that it takes, for small tiles and for camera-sized photographs.

    TLCORE_TEST_DATA=… python -m tests.benchmarks.bench_import [--tiles 2000,10000,50000] [--photos 60] [--repeats 1]

Tiles are copies of EuroSAT's, each made a file of its own by a number after its last byte; photographs are
hymenoptera's, enlarged to 4000×3000 pixels and saved as JPEG. Each import runs in a fresh process, the arms of a round
one after the other. Peak memory: of the importing process, and of the largest child that decodes.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

from PIL import Image

from tlcore.settings import get_settings

_IMPORT = """
import json, resource, sys, time
from pathlib import Path
from tlcore.datasets.intake import add_dataset
from tlcore.settings import Settings
begun = time.perf_counter()
info = add_dataset(Path(sys.argv[1]), settings=Settings(home=Path(sys.argv[2])))
seconds = time.perf_counter() - begun
own, children = (resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(json.dumps({"images": info.num_images, "seconds": seconds, "own_mb": own, "child_mb": children}))
"""


def make_tiles(data: Path, folder: Path, count: int) -> Path:
    tiles = sorted((data / "eurosat_rgb_2000").rglob("*.jpg"))
    for number in range(count):
        tile = tiles[number % len(tiles)]
        target = folder / tile.parent.name / f"{number:06d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(tile.read_bytes() + f"{number:06d}".encode())
    return folder


def make_photos(data: Path, folder: Path, count: int) -> Path:
    photos = sorted((data / "hymenoptera_data" / "train").rglob("*.jpg"))
    for number in range(count):
        photo = photos[number * len(photos) // count]
        target = folder / photo.parent.name / f"{number:04d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(photo) as picture:
            picture.convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC).save(target, quality=90)
    return folder


def once(source: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-c", _IMPORT, str(source), home], capture_output=True, text=True, check=True
        )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--tiles", default="2000,10000,50000")
    asked.add_argument("--photos", type=int, default=60)
    asked.add_argument("--repeats", type=int, default=1)
    given = asked.parse_args()
    data = get_settings().test_data
    if data is None:
        sys.exit("set TLCORE_TEST_DATA to the folder of real images")
    work = Path(tempfile.mkdtemp())
    try:
        arms = {f"{int(n):,} tiles": make_tiles(data, work / f"tiles{n}", int(n)) for n in given.tiles.split(",")}
        arms[f"{given.photos} photographs"] = make_photos(data, work / "photos", given.photos)
        seen: dict[str, list[dict[str, float]]] = defaultdict(list)
        for _ in range(given.repeats):
            for name, source in arms.items():
                seen[name].append(once(source))
        for name, rounds in seen.items():
            rate = median(r["images"] / r["seconds"] for r in rounds)
            own, child = (median(r[key] for r in rounds) for key in ("own_mb", "child_mb"))
            print(f"{name}: {rate:,.0f} images/s, {own:,.0f} MB in the importing process, {child:,.0f} MB in a child")
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()

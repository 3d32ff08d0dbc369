"""Cost per image and memory as a dataset grows: `python -m tests.benchmarks.bench_growth [--repeats 3]`.

Drawn pictures of 64 px and a very small network on the CPU, so that what is not computation shows. One process for each
size and round: fine-tuning for 100 steps, then feature extraction, as a run does them. Milliseconds per image; the most
memory of the process, with the mapped files that the system takes back when it needs it, and what is held without.
"""

import argparse
import multiprocessing
import resource
import tempfile
from pathlib import Path
from statistics import median

from tests.benchmarks.timing import as_a_worker, line

STEPS = 100
BATCH = 32
SIDE = 64  # pixels


def main() -> None:
    as_a_worker()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 5000, 20000])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    found: dict[int, list[dict[str, float]]] = {count: [] for count in options.images}
    for number in range(options.repeats):
        for count in options.images if number % 2 == 0 else reversed(options.images):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                found[count].append(pool.apply(measure, (count,)))
            print(f"{count:,} images: round {number + 1} of {options.repeats}", flush=True)
    line("milliseconds per image, medians", " / ".join(f"{count:,}" for count in found), "flat")
    for name in next(iter(found.values()))[0]:
        line(name, " / ".join(f"{median(one[name] for one in rounds):,.4g}" for rounds in found.values()), "")


def measure(count: int) -> dict[str, float]:
    """Milliseconds per image by part of the runs, and peak memory in MB. count: images in two classes."""
    from tests.training_support import Bench, tiny_dataset
    from tlcore.spec import Budget

    with tempfile.TemporaryDirectory(prefix="bench_growth_") as folder:
        dataset = tiny_dataset(Path(folder), 2, count // 2, SIDE)
        bench = Bench(Path(folder), dataset, budget=Budget(steps=STEPS), batch_size=BATCH)
        tuned = bench.run(bench.spec("fine_tuning", image_size=SIDE), "tuned").seconds_by_part
        fixed = bench.run(bench.spec("feature_extraction", image_size=SIDE), "fixed").seconds_by_part
    seen = STEPS * BATCH
    return {
        "decoding, once": 1000 * tuned["decode"] / count,
        "a training step's images: read and augmented": 1000 * tuned["augment"] / seen,
        "a training step's images: forward, backward, optimiser": 1000
        * sum(tuned[part] for part in ("forward", "backward", "optimizer"))
        / seen,
        "scores on all parts": 1000 * tuned["scoring"] / count,
        "features, once": 1000
        * (tuned.get("features", 0) + fixed.get("features", 0))
        / count,  # whichever run needed them
        "fit": 1000 * fixed["fit"] / count,
        "peak memory with mapped files (MB)": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
        "memory without them, at the end (MB)": anonymous_mb(),
    }


def anonymous_mb() -> float:
    """Memory of this process that no file holds, in 10⁶ bytes."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("RssAnon:")[1].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    main()

"""Opening pages and switching between them over a full store: `python -m tests.benchmarks.bench_pages [--runs 1000]`.

Comparisons of 50 finished runs each (5 strategies × 10 seeds) in MLflow's own store, in a temporary home, which a
process of its own fills. Each page is run by Streamlit's own tester in one process, as a session does it: the first
opening after the process has started, and the median of later ones, taken in turn. Home comes first, and is left once
what it looks up for other pages is there. Also the memory of that process, which holds what a dashboard would.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import psutil
from streamlit.testing.v1 import AppTest

from tests.benchmarks.timing import line
from tlcore.service import background, comparisons
from tlcore.settings import get_settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    "home", "datasets", "launch", "lr_finder", "runs", "compare", "tryout", "download", "models", "sources",
)  # fmt: skip
SEEDS = 10
PER_COMPARISON = 5 * SEEDS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench_pages_") as folder:
        os.environ["TLCORE_HOME"] = str(Path(folder) / "home")
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        count = max(1, options.runs // PER_COMPARISON)
        filling = multiprocessing.get_context("spawn").Process(target=fill_store, args=(count,))
        filling.start()
        filling.join()
        ids = [found.comparison_id for found in comparisons.list_comparisons(limit=count)]
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=600)
        first = {"home": opened(app, "home", ids[-1])}
        begun = time.perf_counter()
        background.await_all()
        looked_up = time.perf_counter() - begun
        first |= {page: opened(app, page, ids[-1]) for page in PAGES[1:]}
        later: dict[str, list[float]] = {page: [] for page in PAGES}
        for number in range(options.repeats):
            for page in PAGES:
                later[page].append(opened(app, page, ids[number % len(ids)]))
    line(f"page, with {count * PER_COMPARISON:,} runs in the store", "first / later", "target")
    for page in PAGES:
        line(page, f"{first[page]:.2f} s / {median(later[page]):.2f} s", "1 s")
    line("models and devices looked up, after Home stands, in a new store", f"{looked_up:.2f} s", "")
    line("memory of the process", f"{psutil.Process().memory_info().rss / 1e6:,.0f} MB", "500 MB")


def fill_store(count: int) -> None:
    """Put so many comparisons into MLflow; it loads what a dashboard never does."""
    from tests.benchmarks.bench_open import fill
    from tests.records import example

    for _ in range(count):
        fill(get_settings(), example(seeds=range(SEEDS)))


def opened(app: AppTest, page: str, comparison_id: str) -> float:
    """Seconds until a page stands."""
    app.switch_page(f"pages/{page}.py")
    app.query_params.clear()
    if page in {"compare", "runs"}:
        app.query_params["comparison"] = comparison_id
    begun = time.perf_counter()
    app.run()
    seconds = time.perf_counter() - begun
    assert not app.exception, (page, app.exception)
    return seconds


if __name__ == "__main__":
    main()

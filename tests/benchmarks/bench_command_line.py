"""Import and help: `python -m tests.benchmarks.bench_command_line [--repeats 11]`.

Each in a Python process of its own, in turn with a bare one, of which the ratio and the difference are told.
"""

import argparse
import subprocess
import sys
from functools import partial

from tests.benchmarks.timing import interleaved, line

ARMS = {
    "bare Python": ["-c", "pass"],
    "import tlcore": ["-c", "import tlcore"],
    "python -m tlcore --help": ["-m", "tlcore", "--help"],
}
TARGETS = {"import tlcore": "0.3 s", "python -m tlcore --help": "0.5 s"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=11)
    options = parser.parse_args()
    found = interleaved({name: partial(process, arguments) for name, arguments in ARMS.items()}, options.repeats)
    bare = found["bare Python"]
    line(f"a process of Python, median of {options.repeats}", "found", "target")
    for name, seconds in found.items():
        words = f"{seconds:.3f} s, {seconds / bare:.1f}× bare, {seconds - bare:+.3f} s"
        line(name, words, TARGETS.get(name, ""))


def process(arguments: list[str]) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()

"""What the garbage collector of a dashboard has to go through."""

import subprocess
import sys

PROGRAM = """
import gc
from tlcore.service import system
from tlcore.settings import get_settings
import mlflow
system.settle()
before = gc.get_freeze_count()
system.tracking.connect(get_settings())
system.settle()
frozen = gc.get_freeze_count()
later = [[] for _ in range(1000)]
system.settle()
print(before, frozen > 100_000, gc.get_freeze_count() == frozen)
"""


def test_what_is_there_once_a_store_is_open_is_left_alone_for_good() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-3:] == ["0", "True", "True"]

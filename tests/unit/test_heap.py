"""What the garbage collector of a dashboard has to go through."""

import subprocess
import sys

PROGRAM = """
import gc, sys, types
from tlcore import heap
heap.settle()
before = gc.get_freeze_count()
sys.modules["mlflow"] = types.ModuleType("mlflow")
heap.settle()
frozen = gc.get_freeze_count()
later = [[] for _ in range(1000)]
heap.settle()
print(before, frozen > 1000, gc.get_freeze_count() == frozen)
"""


def test_what_is_there_once_mlflow_is_loaded_is_left_alone_for_good() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "True", "True"]

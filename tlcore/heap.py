"""What processes of ours do with memory: that which they no longer use, and that which they always will."""

import ctypes
import gc
import os

# Values of GLIBC_TUNABLES. A training step on a CPU takes and gives back gigabytes. By default glibc has the system map
# large blocks anew each time, which took up to a third of a step; so a worker keeps them until its job is done.
KEEP = ("glibc.malloc.mmap_max=0", "glibc.malloc.trim_threshold=18446744073709551615")


def give_back() -> None:
    """Let the system have what this process no longer uses: a GB and more after a run on a CPU."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def settle() -> None:
    """Have the garbage collector leave alone what is there: for good, and once in a process."""
    if gc.get_freeze_count() == 0:
        gc.collect()
        gc.freeze()

"""When a device runs out of memory: the same work in smaller parts."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

from tlcore.errors import TrainingError

T = TypeVar("T")
_log = logging.getLogger("tlcore.memory")


def in_parts(
    work: Callable[[int], T],
    size: int,
    what: str,
    least: int = 1,
    undo: Callable[[], None] = lambda: None,
) -> tuple[T, int]:
    """Do `work(size)`, and again with half the size as long as memory runs out: what it gave, and the size that fitted.

    what: named in the log. undo: called before each further try. Raises: torch.OutOfMemoryError where less than
    `least` would be needed.
    """
    while True:
        try:
            return work(size), size
        except torch.OutOfMemoryError:
            if size <= least:
                raise
        if torch.cuda.is_available():  # after the error, whose traceback kept the tensors alive
            torch.cuda.empty_cache()
        undo()
        smaller = max(least, (size + 1) // 2)
        _log.warning("%s: out of memory with %d images at once, trying %d", what, size, smaller)
        size = smaller


def letting_go(work: Callable[[], T], let_go: Callable[[], bool]) -> T:
    """Do `work()`, and once more where memory ran out beside what is held for speed alone.

    let_go: gives that up; whether there was any. Raises: torch.OutOfMemoryError.
    """
    try:
        return work()
    except torch.OutOfMemoryError:
        if not let_go():
            raise
    _log.warning("out of memory: what is held for speed alone is given up until the phase ends, steps take longer")
    return work()


@contextmanager
def memory_told() -> Iterator[None]:
    """What a person can do where no smaller part is left to try. Raises: TrainingError."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"the device ran out of memory: {error}; ask for a smaller batch (--batch-size) or image (--image-size)"
        ) from error


def remembered(tensors: Sequence[Tensor]) -> Callable[[], None]:
    """A function that puts the values of now back. One copy per number format: many small ones cost a GPU time."""
    alike = [[t for t in tensors if t.dtype is kind] for kind in {tensor.dtype for tensor in tensors}]
    found = [(mine, torch.cat([t.flatten() for t in mine])) for mine in alike]

    def undo() -> None:
        for mine, values in found:
            begin = 0
            for tensor in mine:
                tensor.copy_(values[begin : begin + tensor.numel()].view_as(tensor))
                begin += tensor.numel()

    return undo

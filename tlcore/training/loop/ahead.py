"""Batches of a phase's steps, on a GPU made one step ahead.

Sending a batch's kernels takes the CPU longer than the GPU needs for them. A thread sends those of the next step while
the main one sits in autograd's backward pass, where Python waits anyway, or once it has sent the passes' recording. Its
kernels go to the same queue, in order, so that the memory of a batch is free for the next one.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import torch
from torch import Tensor

Batch = tuple[Tensor, Tensor]


class Batches:
    """What `make` gives for each step, whether made ahead or not. `stop_ahead` ends its thread."""

    def __init__(self, make: Callable[[int], Batch], ahead: bool) -> None:
        """make: images and labels of a step, from its number alone."""
        self._make = make
        self._pool = ThreadPoolExecutor(1, "next-batch") if ahead else None
        self._next: tuple[int, Future[Batch]] | None = None

    def take(self, step: int) -> Batch:
        """The batch of a step; made now where memory ran out ahead. Raises: what `make` raises."""
        found, self._next = self._next, None
        if found is not None and found[0] == step:
            try:
                return found[1].result()
            except torch.OutOfMemoryError:
                self.stop_ahead()  # the backward pass needed the memory, and is over now
        del found  # with an error's traceback, which keeps tensors alive
        return self._make(step)

    def prepare(self, step: int) -> None:
        """Begin to make the batch that will be taken next, unless it is being made."""
        if self._pool is not None and self._next is None:
            self._next = (step, self._pool.submit(self._make, step))

    def stop_ahead(self) -> bool:
        """Make nothing ahead from now on, and let go of what was: whether there was anything.

        Where a phase ends, for any reason, and where memory is short. Waits for the thread.
        """
        found, self._pool, self._next = self._next, None, None
        if found is not None:
            wait([found[1]])
        return found is not None

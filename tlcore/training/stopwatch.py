"""Where the time of a run goes, part by part, without making a GPU wait."""

import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from tlcore.results import TimePart

_MANY = 512  # pairs of events that may wait to be read


class Stopwatch:
    """Seconds of the wall by what they went into. Parts do not overlap: a part is never measured inside another.

    On a GPU they lie between two events in its queue, so that a part has the time that its kernels took (waiting for
    the CPU to send them included), although the CPU goes on at once. What the CPU does while a GPU is still busy with
    an earlier part costs nothing, and is not counted.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._seconds: dict[TimePart, float] = {}
        self._waiting: deque[tuple[TimePart, torch.cuda.Event, torch.cuda.Event]] = deque()

    @contextmanager
    def measure(self, part: TimePart) -> Iterator[None]:
        """Count the time inside, also where it ends in an error."""
        if self._device.type != "cuda":
            begun = time.perf_counter()
            try:
                yield
            finally:
                self._add(part, time.perf_counter() - begun)
            return
        begin = self._now()
        try:
            yield
        finally:
            self._waiting.append((part, begin, self._now()))
            while len(self._waiting) > _MANY:
                self._read_oldest()

    def include(self, seconds: Mapping[TimePart, float]) -> None:
        """Count what an earlier process measured, too."""
        for part, more in seconds.items():
            self._add(part, more)

    @property
    def seconds(self) -> dict[TimePart, float]:
        """All that was measured; waits for a GPU to end what is being measured."""
        while self._waiting:
            self._read_oldest()
        return dict(self._seconds)

    def _add(self, part: TimePart, seconds: float) -> None:
        self._seconds[part] = self._seconds.get(part, 0.0) + seconds

    def _now(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event

    def _read_oldest(self) -> None:
        part, begin, end = self._waiting.popleft()
        end.synchronize()
        self._add(part, begin.elapsed_time(end) / 1000)

"""Decoding strangers' images in child processes: a crash, a hang or a bomb costs one file, never the import."""

import json
import os
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from tlcore.cores import usable_cores
from tlcore.datasets.files import Stop, check_stop, never
from tlcore.datasets.pictures.inspector import MEMORY_BYTES
from tlcore.errors import DatasetError, StorageError
from tlcore.settings import python_environment

SECONDS_PER_FILE = 120.0  # the largest allowed picture took 40 s on a busy two-core machine
_IN_FLIGHT = 8  # requests that wait in a child's pipe; few enough to fit the pipe's 64 KB whatever the paths
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Inspected:
    """What the decoding of one file showed. refused: why it cannot be used, else None and all others are set.

    brightness, contrast, colour, phash, look: as of `likeness.Look`.
    """

    refused: str | None = None
    sha256: str = ""
    num_bytes: int = 0
    width: int = 0
    height: int = 0
    mode: str = ""
    format: str = ""
    brightness: float = 0.0
    contrast: float = 0.0
    colour: str = ""
    phash: str = ""
    look: str = ""


@dataclass
class _Child:
    """One inspector process and the files that it has not answered for yet, oldest first."""

    process: subprocess.Popen[bytes]
    waiting: deque[tuple[int, Path]] = field(default_factory=deque)
    unread: bytes = b""
    ready: bool = False
    since: float = field(default_factory=time.monotonic)

    @property
    def stdin(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout


def inspector_command(thumbnails: Path) -> list[str]:
    """The command line of one child; `-P` keeps the working directory out of its imports."""
    return [sys.executable, "-P", "-m", "tlcore.datasets.pictures.inspector", str(thumbnails)]


def num_inspectors() -> int:
    """How many children to use: one per core, at least 2, at most 8 and as many as fit the machine's memory at once."""
    fitting = int(psutil.virtual_memory().total) // MEMORY_BYTES
    return max(2, min(8, usable_cores(), fitting))


def inspect_files(
    paths: Iterable[Path],
    command: Sequence[str],
    should_stop: Stop = never,
    seconds: float = SECONDS_PER_FILE,
    processes: int | None = None,
) -> Generator[tuple[int, Inspected], None, None]:
    """Decode files in child processes; yields (position in `paths`, verdict) as they come, in no order.

    command: as of `inspector_command`. seconds: for one file. `paths` is consumed lazily.
    Raises: StorageError when a child cannot write, DatasetError when children cannot start, RunCancelledError.
    """
    todo = _Todo(iter(enumerate(paths)))
    children: list[_Child] = []
    selector = selectors.DefaultSelector()
    try:
        for _ in range(processes or num_inspectors()):
            _start(children, selector, command)
        while True:
            check_stop(should_stop)
            for child in children:
                todo.feed(child)
            if not any(child.waiting for child in children):
                return
            for child in _talkative(selector, children, seconds):
                yield from _hear(child)
                if child.process.poll() is not None or _overdue(child, seconds):
                    yield from _bury(child, children, selector, todo, seconds)
                    _start(children, selector, command)
    finally:
        for child in children:
            _end(child)
        selector.close()


class _Todo:
    """Files that no child has been given yet: those taken back from a dead child first."""

    def __init__(self, fresh: Iterator[tuple[int, Path]]) -> None:
        self._fresh = fresh
        self.again: deque[tuple[int, Path]] = deque()

    def feed(self, child: _Child) -> None:
        """Give a child files until it has enough in flight."""
        while len(child.waiting) < _IN_FLIGHT:
            file = self.again.popleft() if self.again else next(self._fresh, None)
            if file is None:
                return
            if not child.waiting:
                child.since = time.monotonic()
            child.waiting.append(file)
            try:
                child.stdin.write(json.dumps({"path": str(file[1])}).encode() + b"\n")
            except BrokenPipeError:
                return  # it died; `_bury` takes the file back


def _start(children: list[_Child], selector: selectors.BaseSelector, command: Sequence[str]) -> None:
    environment = python_environment(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env=environment,
    )
    child = _Child(process)
    children.append(child)
    os.set_blocking(child.stdout.fileno(), False)
    selector.register(child.stdout, selectors.EVENT_READ, child)


def _talkative(selector: selectors.BaseSelector, children: list[_Child], seconds: float) -> list[_Child]:
    """Children that said something, died, or have taken too long."""
    spoke = [key.data for key, _ in selector.select(_POLL_SECONDS)]
    return spoke + [child for child in children if child not in spoke and _overdue(child, seconds)]


def _overdue(child: _Child, seconds: float) -> bool:
    return bool(child.waiting) and time.monotonic() - child.since > seconds


def _hear(child: _Child) -> Iterator[tuple[int, Inspected]]:
    """The verdicts that a child has sent by now."""
    while chunk := child.stdout.read(65536):
        child.unread += chunk
    *lines, child.unread = child.unread.split(b"\n")
    for line in lines:
        child.since = time.monotonic()
        answer = json.loads(line)
        if "ready" in answer:
            child.ready = True
            continue
        index, path = child.waiting.popleft()
        if "storage" in answer:
            raise StorageError(f"cannot store a thumbnail of {path.name} ({answer['storage']}): free some disk space")
        yield index, Inspected(**answer)


def _bury(
    child: _Child, children: list[_Child], selector: selectors.BaseSelector, todo: _Todo, seconds: float
) -> Iterator[tuple[int, Inspected]]:
    """Blame the file that a dead or stuck child was busy with; the others go to another child."""
    stuck = child.process.poll() is None
    selector.unregister(child.stdout)
    children.remove(child)
    child.process.kill()
    code = child.process.wait()
    last_words = list(_hear(child))  # it may have answered between the last look and its end
    yield from last_words
    _end(child)
    if not child.ready:
        raise DatasetError(
            f"images cannot be checked: a child process did not start (exit code {code}); "
            f"try `{sys.executable} -m tlcore.datasets.pictures.inspector /tmp` for its message"
        )
    if child.waiting and not (stuck and last_words):
        index, _ = child.waiting.popleft()
        words = f"decoding took longer than {seconds:g} seconds" if stuck else f"decoding crashed (exit code {code})"
        yield index, Inspected(refused=words)
    todo.again.extendleft(reversed(child.waiting))


def _end(child: _Child) -> None:
    if child.process.poll() is None:
        child.process.kill()
    child.process.wait()
    child.stdin.close()
    child.stdout.close()

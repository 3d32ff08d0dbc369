"""What only torch can do for an import, asked of a child process: this one never loads torch."""

import json
import selectors
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from tlcore import errors
from tlcore.datasets.files import Progress, Stop, check_stop
from tlcore.errors import DatasetError, TlcoreError
from tlcore.settings import python_environment

COMMAND = (sys.executable, "-P", "-m", "tlcore.training.watched")
_POLL_SECONDS = 0.2
_LAST_WORDS = 2_000  # bytes


def ask_torch(
    request: dict[str, Any], log: Path, tell: Progress, should_stop: Stop, command: Sequence[str] = COMMAND
) -> dict[str, Any]:
    """The answer to a long question; the child lives no longer than this call. log: a file for what libraries print.

    Raises: the TlcoreError that the child met; DatasetError where it died; RunCancelledError.
    """
    with log.open("wb") as printed, _child(command, printed) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        with suppress(BrokenPipeError):  # it died at once: its last words say why
            child.stdin.write(json.dumps(request).encode() + b"\n")
        for news in _lines(child.stdout, should_stop):
            if "ok" not in news:
                tell(float(news["progress"]), str(news["message"]))
            elif news["ok"]:
                return dict(news["answer"])
            else:
                raise _error(news)
    words = log.read_bytes()[-_LAST_WORDS:].decode(errors="replace").strip().rpartition("\n")[2]
    raise DatasetError(f"the process that asks torchvision ended without an answer ({words or 'it said nothing'})")


@contextmanager
def _child(command: Sequence[str], printed: IO[bytes]) -> Iterator["subprocess.Popen[bytes]"]:
    environment = python_environment(OMP_NUM_THREADS="1")
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=printed, env=environment, bufsize=0
    )
    try:
        yield child
    finally:
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        child.kill()
        child.wait()


def _lines(stdout: IO[bytes], should_stop: Stop) -> Iterator[dict[str, Any]]:
    unread = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        while True:
            check_stop(should_stop)
            if not selector.select(_POLL_SECONDS):
                continue
            chunk = stdout.read(65536)
            if not chunk:
                return
            *lines, unread = (unread + chunk).split(b"\n")
            yield from map(json.loads, lines)


def _error(reply: dict[str, Any]) -> TlcoreError:
    """The error that the child met, of the same class."""
    kind = getattr(errors, str(reply.get("kind")), DatasetError)
    return kind(str(reply["error"]))

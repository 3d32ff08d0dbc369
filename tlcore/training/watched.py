"""A long question, answered in a process of its own that tells how far it is: `python -m tlcore.training.watched`.

Reads one request, a JSON line, from stdin. Writes JSON lines on stdout: `{"progress": 0…1, "message": WORDS}` as often
as there is news, and in the end the answer as `tlcore.training.answer` gives it. It ends at once when its stdin is
closed: who asked is gone, or wants it no more.
"""

import json
import os
import sys
import threading
import time
from typing import IO, Any

from tlcore.training.answer import answer

NEWS_SECONDS = 0.1


class _Asker:
    """Who asked, at the other end of the pipes. Implements `answer.Listener`."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._last = float("-inf")

    def progress(self, done: float, message: str) -> None:
        now = time.monotonic()
        if now - self._last >= NEWS_SECONDS:
            self._last = now
            self.tell({"progress": done, "message": message})

    def should_stop(self) -> bool:
        """Never: the process ends with its stdin."""
        return False

    def tell(self, news: dict[str, Any]) -> None:
        self._out.write(json.dumps(news) + "\n")
        self._out.flush()


def main() -> None:
    """What libraries print goes to stderr, so that stdout has nothing but news."""
    asker = _Asker(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    asker.tell(answer(request, asker))


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()

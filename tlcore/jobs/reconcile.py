"""`python -m tlcore.jobs.reconcile`: bring MLflow into line with the queue, once, in a process of its own."""

import logging
import sys

from tlcore.errors import TlcoreError
from tlcore.jobs.settling import settle, sweep
from tlcore.settings import get_settings

_log = logging.getLogger("tlcore.reconcile")


def main() -> int:
    """Settle and sweep once."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    settings = get_settings()
    try:
        settle(settings)
        sweep(settings)
    except TlcoreError as error:
        _log.info("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

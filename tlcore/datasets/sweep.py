"""`python -m tlcore.datasets.sweep`: remove what imports left whose process was killed."""

import sys

from tlcore.datasets.staging import datasets_lock, remove_leftovers
from tlcore.settings import get_settings


def main() -> int:
    """The next import would do it too, but that may be never."""
    datasets = get_settings().datasets
    if datasets.is_dir():
        with datasets_lock(datasets):
            remove_leftovers(datasets)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Content hashes: what tells two datasets, and two splits, apart. Names and order of files play no part."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any


def dataset_fingerprint(images: Iterable[tuple[str, str]]) -> str:
    """SHA-256 over the sorted pairs (class name, sha256 of a file's bytes)."""
    return _hash(sorted(images))


def split_fingerprint(parts: Mapping[str, Iterable[str]]) -> str:
    """SHA-256 over each part's sorted content hashes."""
    return _hash({part: sorted(hashes) for part, hashes in parts.items()})


def rank(purpose: str, sha256: str) -> str:
    """A number, as hexadecimal, that orders images by content as if by lot; another purpose, another order."""
    return hashlib.sha256(f"{purpose}:{sha256}".encode()).hexdigest()


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

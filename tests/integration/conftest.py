"""Fixtures of tests that run several parts together."""

from pathlib import Path

import pytest

from tlcore.training import crowding


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs hear nothing of other programs on the processor, which would put a note on some of them by chance."""
    monkeypatch.setattr(crowding, "THREADS", tmp_path / "none")

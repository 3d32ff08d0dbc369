"""The doctor reports what is wrong instead of falling ill of it."""

import importlib.metadata

import pytest

from tlcore.service import models, system


def test_a_missing_library_is_a_line_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "streamlit":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(models, "devices", list)
    (libraries,) = [check for check in system.doctor() if check.name == "libraries"]
    assert not libraries.ok
    assert "streamlit is missing" in libraries.message
    assert "pip install -r requirements.txt" in libraries.message

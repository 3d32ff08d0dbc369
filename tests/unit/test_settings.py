"""Settings come from the environment, and say so when a value cannot be used."""

from pathlib import Path

import pytest

from tlcore.errors import SpecError
from tlcore.settings import child_environment, get_settings


def test_a_value_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLCORE_MAX_UPLOAD_MB", "abc")
    with pytest.raises(SpecError, match="max_upload_mb is 'abc'"):
        get_settings()


def test_a_child_sees_the_same_home_wherever_it_is_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TLCORE_HOME", "here")
    monkeypatch.chdir(tmp_path)
    environment = child_environment(get_settings())
    assert environment["TLCORE_HOME"] == str(tmp_path / "here")
    assert Path(environment["PYTHONPATH"].split(":")[0], "tlcore", "settings.py").exists()


def test_the_default_home_lies_beside_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TLCORE_HOME")
    monkeypatch.chdir(tmp_path)
    assert get_settings().root == Path(__file__).resolve().parents[2] / "mlruns"

"""Fixtures for every test: a home of its own, and the real data where it is there."""

import os
from pathlib import Path

import pytest

from tests.helpers_mlflow import copy_template, make_template
from tlcore.settings import Settings, get_settings

# Tests may run in several processes at once (`-n logical`): each, and what it starts, computes on its share of the
# cores. Said before torch and BLAS are loaded, which read it then.
_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // _PROCESSES)))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh home in `tmp_path`, so that no test writes beside the package or to somebody's tracking server."""
    folder = tmp_path / "home"
    monkeypatch.setenv("TLCORE_HOME", str(folder))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder


@pytest.fixture
def settings(home: Path) -> Settings:
    """Settings that point to the test's own home."""
    return get_settings()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images; skips where there is none."""
    folder = get_settings().test_data
    if folder is None or not folder.is_dir():
        pytest.skip(f"no real images: set TLCORE_TEST_DATA to their folder (now {folder})")
    return folder.resolve()


@pytest.fixture(scope="session")
def real_weights() -> Path:
    """The folder of real ImageNet weights; skips where there is none."""
    folder = get_settings().test_weights
    if folder is None or not folder.is_dir():
        pytest.skip(f"no real weights: set TLCORE_TEST_WEIGHTS to their folder (now {folder})")
    return folder.resolve()


@pytest.fixture(scope="session")
def mlflow_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty MLflow database, to be copied: making one takes 1.5 s."""
    return make_template(tmp_path_factory.mktemp("mlflow_template"))


@pytest.fixture
def tracked(settings: Settings, mlflow_template: Path) -> Settings:
    """Settings of a home that has an MLflow store."""
    copy_template(mlflow_template, settings)
    return settings

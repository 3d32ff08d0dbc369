"""Pages run by Streamlit's own tester, on the test's own home."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from tests.helpers import make_image_folder
from tests.pages import fakes
from tlcore import jobs
from tlcore.datasets.versions import EDITS
from tlcore.errors import TlcoreError
from tlcore.results import JobView
from tlcore.service import background, datasets, models, versions
from tlcore.service.datasets import DatasetInfo
from tlcore.settings import Settings

APP = str(Path(__file__).parents[2] / "app.py")
Open = Callable[..., AppTest]


@pytest.fixture(autouse=True)
def fresh_caches() -> Iterator[None]:
    """What one test's pages kept, or still look up, must not be seen by the next."""
    st.cache_data.clear()
    yield
    background.await_all()


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each time that a page had a worker start; none does."""
    found: list[str] = []
    monkeypatch.setattr(models, "warm_up", lambda device="auto": found.append(device))
    return found


@pytest.fixture(autouse=True)
def edits_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """New versions and zips are made within the page, without processes of their own."""
    done: dict[str, JobView] = {}

    def ended(kind: str, dataset_id: str, make: Callable[[str], str]) -> str:
        job_id = f"{kind}_{len(done)}"
        known = {"id": job_id, "kind": kind, "title": kind, "progress": 1.0, "message": "", "dataset_id": dataset_id}
        try:
            end = {"status": "FINISHED", "result": make(job_id)}
        except TlcoreError as problem:
            end = {"status": "FAILED", "error": str(problem)}
        done[job_id] = JobView.model_validate({**known, **end})
        return job_id

    def version(settings: Settings, dataset_id: str, name: str, edits: list[dict[str, object]]) -> str:
        read = EDITS.validate_python(edits)
        return ended("version", dataset_id, lambda _: versions.derive_version(dataset_id, read).id)

    def packed(settings: Settings, dataset_id: str, name: str, stamp: str) -> str:
        def make(job_id: str) -> str:
            to = jobs.zip_folder(settings, job_id) / "a.zip"
            to.parent.mkdir(parents=True)
            return str(versions.export_zip(dataset_id, to))

        return ended("zip", dataset_id, make)

    monkeypatch.setattr(jobs, "submit_version", version)
    monkeypatch.setattr(jobs, "submit_zip", packed)
    monkeypatch.setattr(versions, "work", done.__getitem__)


@pytest.fixture
def open_page() -> Open:
    """Open a page by its file's name, with query parameters, as a link would."""

    def opener(name: str = "home", **query: str) -> AppTest:
        app = AppTest.from_file(APP, default_timeout=60)
        if name != "home":
            app.switch_page(f"pages/{name}.py")
        for key, value in query.items():
            app.query_params[key] = value
        return app.run()

    return opener


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch) -> fakes.Store:
    """A store with nothing but the recording."""
    return fakes.install(monkeypatch, [fakes.recording()])


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> fakes.Store:
    """A store with a finished, a running and a failed comparison, and the recording."""
    return fakes.install(monkeypatch, [*fakes.three_examples(), fakes.recording()])


@pytest.fixture
def insects(tmp_path: Path) -> DatasetInfo:
    """A dataset of 90 pictures in three classes, with one file that is no picture."""
    folder = make_image_folder(tmp_path, ("ants", "bees", "wasps"), per_class=30, size=24)
    (folder / "ants" / "broken.png").write_bytes(b"nothing")
    return datasets.add_dataset(folder, "insects")


def shown(app: AppTest) -> str:
    """Everything that the page says, as one text."""
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.info, app.warning, app.error, app.success)
    return "\n".join(unescaped(element.value) for kind in kinds for element in kind)


def leaderboard_of(app: AppTest) -> pd.DataFrame:
    """The table of strategies on Compare, whatever tables stand beside it."""
    return next(table.value for table in app.table if "Learned" in table.value)


def errors(app: AppTest) -> list[str]:
    """The errors that the page shows."""
    return [unescaped(error.value) for error in app.error]


def unescaped(text: object) -> str:
    """Text as a person reads it: the pages escape Markdown's marks, and keep a number and its `%` on one line."""
    return str(text).replace("\\", "").replace("\u00a0", " ")


def is_fine(app: AppTest) -> bool:
    """No exception reached the page."""
    assert not app.exception, [e.message for e in app.exception]
    return True

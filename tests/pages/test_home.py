"""Home: what it is, the sample, the state of the system, recent comparisons."""

import threading

import pytest

from pages.shared import reads
from pages.shared.choose import comparison_title
from tests.pages import fakes
from tests.pages.conftest import Open, errors, is_fine, shown
from tlcore.errors import DeviceError, StorageError
from tlcore.service import background, comparisons, demo, models, recorded


def test_an_empty_store_shows_what_it_is_the_sample_and_the_machine(open_page: Open, empty: fakes.Store) -> None:
    app = open_page()
    assert is_fine(app)
    assert "Recorded on 1 Nov 2026" in shown(app)
    assert "None yet" in shown(app)
    assert [metric.label for metric in app.metric] == ["Best device", "Queue: running / waiting", "Free disk"]


def test_recent_comparisons_link_to_compare(open_page: Open, full: fakes.Store) -> None:
    links = [link.proto.query_string for link in open_page().get("page_link")]
    assert f"comparison={fakes.FINISHED}" in links
    assert f"comparison={fakes.BROKEN}" in links


def test_the_sample_button_opens_the_recording_marked_with_its_date(open_page: Open, empty: fakes.Store) -> None:
    app = open_page()
    app.button(key="open_sample").click().run()
    assert is_fine(app)
    assert app.query_params["comparison"] == recorded.RECORDED_ID
    assert "recording, made on 1 Nov 2026" in shown(app)
    assert [title.value for title in app.title] == ["Compare"]


def test_run_it_here_submits_the_sample(open_page: Open, full: fakes.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "make_plan", lambda: "the plan")
    monkeypatch.setattr(comparisons, "submit", lambda plan: fakes.RUNNING if plan == "the plan" else "")
    app = open_page()
    app.button(key="run_sample").click().run()
    assert is_fine(app)
    assert app.query_params["comparison"] == fakes.RUNNING
    assert [title.value for title in app.title] == ["Runs"]


def test_what_other_pages_need_is_looked_up_while_home_is_read(
    open_page: Open, empty: fakes.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    found = models.catalogue()
    monkeypatch.setattr(models, "catalogue", lambda: asked.append("catalogue") or found)
    app = open_page()
    background.await_all()  # after what Home began
    assert asked == ["catalogue"]
    app.switch_page("pages/models.py").run()
    assert is_fine(app)
    assert asked == ["catalogue"]


def test_what_fails_in_the_background_is_not_tried_again_at_once_and_keeps_nobody_waiting(
    open_page: Open, empty: fakes.Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []

    def fails() -> None:
        asked.append(threading.current_thread().daemon)
        raise DeviceError("no device answers")

    monkeypatch.setattr(models, "devices", fails)
    for _ in range(5):
        reads.look_ahead()
    for thread in background.begun():
        thread.join()
    assert asked == [True], "once, in a thread that no exit waits for"
    assert "no device answers" in caplog.text


def test_errors_of_the_machine_are_one_line_each_and_the_rest_stays(
    open_page: Open, full: fakes.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raising(error: Exception):
        def raises(*args: object, **kwargs: object):
            raise error

        return raises

    monkeypatch.setattr(models, "devices", raising(DeviceError("no device answers: run doctor")))
    monkeypatch.setattr(comparisons, "list_comparisons", raising(StorageError("the store is locked: try again")))
    app = open_page()
    assert is_fine(app)
    assert errors(app) == ["the store is locked: try again", "no device answers: run doctor"]
    assert app.button(key="open_sample")


def test_states_are_said_once_and_titles_without_ids(open_page: Open, full: fakes.Store) -> None:
    made = full.summary(full.record(fakes.FINISHED)).model_copy(
        update={"title": "insects · resnet18 · fine_tuning", "strategies": ("fine_tuning",)}
    )
    assert comparison_title(made) == "insects · resnet18 · Fine-tuning"
    texts = shown(open_page())
    assert "finished · 15 runs" in texts
    assert "finished · 15 finished" not in texts

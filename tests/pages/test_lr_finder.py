"""Learning rate: the form, live progress, the plot with the suggestion, and errors in words."""

import pytest

from tests.findings import FOUND
from tests.pages import fakes
from tests.pages.conftest import Open, errors, is_fine, shown
from tlcore.errors import JobError, ModelError
from tlcore.results import JobView, RateFinding
from tlcore.service import background, lr_finder
from tlcore.service.datasets import DatasetInfo
from tlcore.strategies import STRATEGIES

JOB = "1" * 32


def job(status: str = "RUNNING", **changed: object) -> JobView:
    return JobView(
        id=JOB, kind="question", title="Learning rate of fine_tuning on resnet18", status=status, progress=0.4,
        message="rate 0.001, step 40 of 100", eta_seconds=30.0,
    ).model_copy(update=changed)  # fmt: skip


class Search:
    """A search in the place of the service's; `asked` notes what the page asked to be done."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.asked: list[dict] = []
        self.cancelled: list[str] = []
        self.job = job()
        self.found: RateFinding | Exception = FOUND
        patch.setattr(lr_finder, "submit", lambda **given: self.asked.append(given) or JOB)
        patch.setattr(lr_finder, "job", lambda job_id: self.job)
        patch.setattr(lr_finder, "finding", self.finding)
        patch.setattr(lr_finder, "cancel", self.cancelled.append)

    def finding(self, job_id: str) -> RateFinding:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch, empty: fakes.Store) -> Search:
    return Search(monkeypatch)


def test_without_a_dataset_it_leads_to_datasets(open_page: Open, search: Search) -> None:
    app = open_page("lr_finder")
    assert is_fine(app)
    assert "no dataset yet" in shown(app)
    assert not app.button


def test_find_asks_for_what_was_chosen_and_shows_how_far_it_is(
    open_page: Open, search: Search, woken: list[str], insects: DatasetInfo
) -> None:
    app = open_page("lr_finder")
    assert is_fine(app)
    background.await_all()
    assert woken == ["auto"], "for the search"
    offered = app.selectbox(key="lr_strategy").options
    assert STRATEGIES["fine_tuning"].label in offered
    assert STRATEGIES["feature_extraction"].label not in offered, "it has no learning rate"
    app.selectbox(key="lr_model").select("resnet18")
    app.selectbox(key="lr_strategy").select("transfer_learning")
    app.number_input(key="lr_steps").set_value(50)
    app.number_input(key="lr_size").set_value(64).run()
    app.button(key="lr_find").click().run()
    assert is_fine(app)
    (asked,) = search.asked
    assert asked["dataset"].id == insects.id
    kept = {k: asked[k] for k in ("model", "weights", "strategy", "steps", "image_size")}
    assert kept == {
        "model": "resnet18", "weights": "imagenet", "strategy": "transfer_learning", "steps": 50, "image_size": 64,
    }  # fmt: skip
    assert app.query_params["search"] == JOB
    (bar,) = app.get("progress")
    assert "step 40 of 100" in bar.proto.text
    app.button(key="lr_cancel").click().run()
    assert search.cancelled == [JOB]


def test_the_end_shows_the_plot_the_suggestion_and_how_to_use_it(
    open_page: Open, search: Search, insects: DatasetInfo
) -> None:
    search.job = job("FINISHED")
    app = open_page("lr_finder", search=JOB)
    assert is_fine(app)
    assert f"Suggested learning rate: **{FOUND.suggestion:.2g}**" in shown(app)
    assert "recipe's: 0.01" in shown(app)
    assert [code.value for code in app.code] == ["--set staged_fine_tuning.1.learning_rate=0.00838"]
    assert len(app.get("plotly_chart")) == 1


def test_notes_are_shown(open_page: Open, search: Search, insects: DatasetInfo) -> None:
    search.job = job("FINISHED")
    search.found = FOUND.model_copy(update={"notes": ("memory ran out at optimiser step 1",)})
    assert "memory ran out at optimiser step 1" in shown(open_page("lr_finder", search=JOB))


def test_no_suggestion_is_said(open_page: Open, search: Search, insects: DatasetInfo) -> None:
    search.job = job("FINISHED")
    search.found = FOUND.model_copy(update={"suggestion": None, "valley": None, "steepest": None, "settings": {}})
    app = open_page("lr_finder", search=JOB)
    assert is_fine(app)
    assert "fell at none of these rates" in shown(app)
    assert not app.code


@pytest.mark.parametrize("problem", [ModelError("no such model: choose another"), JobError("it was cancelled")])
def test_what_went_wrong_is_one_line(open_page: Open, search: Search, insects: DatasetInfo, problem: Exception) -> None:
    search.job, search.found = job("FAILED"), problem
    app = open_page("lr_finder", search=JOB)
    assert is_fine(app)
    assert errors(app) == [str(problem)]


def test_numbers_out_of_range_reach_the_service_which_refuses_them(
    open_page: Open, search: Search, insects: DatasetInfo
) -> None:
    """A limit in the browser would keep the wrong number back, and the search would start with the old one."""
    app = open_page("lr_finder")
    app.number_input(key="lr_steps").set_value(5)
    app.number_input(key="lr_low").set_value(0.0).run()
    app.button(key="lr_find").click().run()
    assert (search.asked[0]["steps"], search.asked[0]["low"]) == (5, 0.0)
    for name in ("lr_steps", "lr_low", "lr_high"):
        assert app.number_input(key=name).min is None or app.number_input(key=name).min < -1e9


def test_a_caution_is_shown_with_the_suggestion(open_page: Open, search: Search, insects: DatasetInfo) -> None:
    search.job, search.found = job("FINISHED"), FOUND.model_copy(update={"caution": "it is noise"})
    app = open_page("lr_finder", search=JOB)
    assert any("it is noise" in warning.value for warning in app.warning)

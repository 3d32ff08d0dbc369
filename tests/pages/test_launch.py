"""Launch: the form, the check before the launch, and what is submitted."""

import pytest

from tests.pages import fakes
from tests.pages.conftest import Open, errors, is_fine, shown
from tlcore.errors import DeviceError, WeightsError
from tlcore.service import comparisons, models
from tlcore.service.datasets import DatasetInfo
from tlcore.service.plans import Plan
from tlcore.settings import get_settings
from tlcore.strategies import STRATEGIES


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """The plans that were launched."""
    plans: list[Plan] = []
    monkeypatch.setattr(comparisons, "submit", lambda plan: plans.append(plan) or fakes.RUNNING)
    return plans


def test_without_a_dataset_it_leads_to_datasets(open_page: Open, empty: fakes.Store) -> None:
    app = open_page("launch")
    assert is_fine(app)
    assert "no dataset yet" in shown(app)
    assert not app.button


def test_every_strategy_is_offered_with_its_label_and_drawing(
    open_page: Open, full: fakes.Store, insects: DatasetInfo
) -> None:
    app = open_page("launch")
    assert is_fine(app)
    labels = [box.label for box in app.checkbox]
    assert all(any(entry.label in label for label in labels) for entry in STRATEGIES.values())
    assert len(app.image) == len(STRATEGIES)
    assert all(name in shown(app) for entry in STRATEGIES.values() for name in entry.also_called)


def test_models_that_can_be_used_now_come_first(open_page: Open, full: fakes.Store, insects: DatasetInfo) -> None:
    get_settings().weights.mkdir(parents=True)
    (get_settings().weights / "squeezenet1_1.torchvision.safetensors").write_bytes(b"weights")
    options = open_page("launch").multiselect(key="models").options
    assert [option.split(" ")[0] for option in options] == ["mobilenetv2_100", "torchvision:squeezenet1_1", "resnet18"]
    assert "on this machine" in options[1]
    assert "need a download" in options[2]


def test_the_number_of_runs_is_counted_as_the_form_changes(
    open_page: Open, full: fakes.Store, insects: DatasetInfo
) -> None:
    app = open_page("launch")
    assert "**15 runs**: 1 model × 5 strategies × 3 seeds" in shown(app)
    app.checkbox(key="strategy_from_scratch").uncheck()
    app.text_input(key="seed_list").set_value("7, 11")
    app.multiselect(key="fractions").set_value(["100", "10"]).run()
    assert "**16 runs**: 1 model × 4 strategies × 2 seeds × 2 fractions" in shown(app)


def test_check_says_where_it_runs_and_how_long_it_takes(
    open_page: Open, full: fakes.Store, insects: DatasetInfo
) -> None:
    app = open_page("launch")
    app.button(key="check").click().run()
    assert is_fine(app)
    assert "Ready: 15 runs on cpu (no CUDA device was found)" in shown(app)
    assert "in all" in shown(app)
    assert "**15 runs**: 1 model × 5 strategies × 3 seeds. About **" in shown(app)
    app.number_input(key="num_seeds").set_value(2).run()
    assert "**10 runs**: 1 model × 5 strategies × 2 seeds. Press Check for an estimate" in shown(app)
    app.number_input(key="num_seeds").set_value(3).run()
    assert "× 3 seeds. About **" in shown(app), "what was measured is kept"


def test_launch_submits_what_was_chosen_and_leads_to_its_runs(
    open_page: Open, full: fakes.Store, insects: DatasetInfo, submitted: list[Plan]
) -> None:
    own = get_settings().weights / "own.safetensors"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"weights")
    app = open_page("launch")
    app.multiselect(key="models").set_value(["mobilenetv2_100", "resnet18"])
    app.number_input(key="num_seeds").set_value(2)
    app.number_input(key="amount_epochs").set_value(4)
    app.number_input(key="image_size").set_value(64).run()
    app.selectbox(key="weights_resnet18").select(f"file:{own}").run()
    app.button(key="launch").click().run()
    assert is_fine(app)
    spec = submitted[0].spec
    assert (spec.models, spec.seeds, spec.image_size) == (("mobilenetv2_100", "resnet18"), (0, 1), 64)
    assert spec.budget.as_dict() == {"epochs": 4}
    assert spec.weights == {"mobilenetv2_100": "imagenet", "resnet18": f"file:{own}"}
    assert [title.value for title in app.title] == ["Runs"]
    assert app.query_params["comparison"] == fakes.RUNNING


def test_advanced_shows_the_resolved_defaults_and_passes_on_what_was_changed(
    open_page: Open, full: fakes.Store, insects: DatasetInfo, submitted: list[Plan]
) -> None:
    app = open_page("launch")
    app.toggle(key="advanced").set_value(True).run()
    assert is_fine(app)
    assert app.number_input(key="set_from_scratch_learning_rate").placeholder == "default: 0.1"
    assert app.number_input(key="set_staged_fine_tuning_learning_rate").placeholder == "default: 0.01, then 0.001"
    app.number_input(key="set_fine_tuning_weight_decay").set_value(0.01)
    app.selectbox(key="set_feature_extraction_classifier").set_value("knn").run()
    app.button(key="launch").click().run()
    assert is_fine(app)
    expected = {"fine_tuning": {"weight_decay": 0.01}, "feature_extraction": {"classifier": "knn"}}
    assert submitted[0].spec.overrides == expected


def test_all_problems_are_told_at_once_and_nothing_is_launched(
    open_page: Open, full: fakes.Store, insects: DatasetInfo, submitted: list[Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise WeightsError("no weights at /gone: name a file that exists")

    def no_device(*args: object) -> None:
        raise DeviceError("CUDA was asked for, but there is none: use cpu")

    monkeypatch.setattr(models, "check_device", no_device)
    monkeypatch.setattr(models, "preflight", no_device)
    monkeypatch.setattr(models, "require_weights", refuse)
    app = open_page("launch")
    app.button(key="launch").click().run()
    assert is_fine(app)
    assert errors(app) == [
        "CUDA was asked for, but there is none: use cpu",
        "no weights at /gone: name a file that exists",
    ]
    assert not submitted


@pytest.mark.parametrize(("key", "value"), [("seed_list", "one, two"), ("seed_list", "-1")])
def test_a_bad_seed_is_one_clear_line(
    open_page: Open, full: fakes.Store, insects: DatasetInfo, key: str, value: str
) -> None:
    app = open_page("launch")
    app.text_input(key=key).set_value(value).run()
    assert is_fine(app)
    assert len(app.error) == 1
    assert "seeds" in errors(app)[0]


def test_no_model_is_one_clear_line(open_page: Open, full: fakes.Store, insects: DatasetInfo) -> None:
    app = open_page("launch")
    app.multiselect(key="models").set_value([]).run()
    assert is_fine(app)
    assert "models" in errors(app)[0]

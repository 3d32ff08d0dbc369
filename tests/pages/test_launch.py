"""Launch: the form, the check before the launch, and what is submitted."""

import re
from pathlib import Path

import pytest

from tests.helpers import make_image_folder
from tests.pages import fakes
from tests.pages.conftest import Open, errors, is_fine, shown
from tests.records import FACTS
from tlcore.analysis import charts
from tlcore.errors import DeviceError, WeightsError
from tlcore.service import background, comparisons, datasets, models
from tlcore.service import strategies as saved_strategies
from tlcore.service.datasets import DatasetInfo
from tlcore.service.plans import Plan
from tlcore.service.sources import SourceRun
from tlcore.settings import get_settings
from tlcore.strategies import CORE, STRATEGIES


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """The plans that were launched."""
    plans: list[Plan] = []
    monkeypatch.setattr(comparisons, "submit", lambda plan: plans.append(plan) or fakes.RUNNING)
    return plans


def test_without_a_dataset_it_leads_to_datasets(open_page: Open, empty: fakes.Store, woken: list[str]) -> None:
    app = open_page("launch")
    assert is_fine(app)
    assert "no dataset yet" in shown(app)
    assert not app.button
    background.await_all()
    assert not woken


def test_a_worker_starts_while_the_form_is_filled_in(
    open_page: Open, full: fakes.Store, woken: list[str], insects: DatasetInfo
) -> None:
    """Once, whatever is changed in the form; its checks and runs would wait for one."""
    app = open_page("launch")
    app.toggle(key="more_strategies").set_value(True).run()
    threads = background.begun()
    background.await_all()
    assert is_fine(app)
    assert woken == ["auto"]
    assert len(threads) == 2, "that, and looking up what the form shows"


def test_the_worker_is_not_woken_before_the_form_stands(
    open_page: Open, full: fakes.Store, monkeypatch: pytest.MonkeyPatch, insects: DatasetInfo
) -> None:
    """What the form asks for would wait for it."""
    done = []
    found = models.catalogue()
    monkeypatch.setattr(models, "catalogue", lambda: done.append("catalogue") or found)
    monkeypatch.setattr(models, "warm_up", lambda: done.append("worker"))
    open_page("launch")
    background.await_all()
    assert done == ["catalogue", "worker"]


def test_every_strategy_is_offered_with_its_label_and_drawing(
    open_page: Open, full: fakes.Store, insects: DatasetInfo
) -> None:
    app = open_page("launch")
    assert is_fine(app)
    assert [box.label for box in app.checkbox] == [f"**{STRATEGIES[name].label}**" for name in CORE]
    app.toggle(key="more_strategies").set_value(True).run()
    assert is_fine(app)
    labels = [box.label for box in app.checkbox]
    assert all(any(entry.label in label for label in labels) for entry in STRATEGIES.values())
    assert len(app.image) == len(STRATEGIES)
    assert all(name in shown(app) for entry in STRATEGIES.values() for name in entry.also_called)
    assert all(STRATEGIES[name].chosen_for in shown(app) for name in STRATEGIES if name not in CORE)


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


def test_k_fold_is_chosen_with_the_dataset_and_counts_rounds(
    open_page: Open, full: fakes.Store, insects: DatasetInfo, submitted: list[Plan]
) -> None:
    app = open_page("launch")
    assert "the same for every run" in shown(app)
    app.selectbox(key="split").set_value("kfold").run()
    assert is_fine(app)
    assert "seeds 0 to 4 test every image once" in shown(app)
    assert "1 model × 5 strategies × 5 seeds" in shown(app)
    rounds = app.number_input(key="num_rounds")
    assert (rounds.label, rounds.value) == ("Rounds of all 5 folds", 1)
    assert "A round is 5 seeds: each trains without one fold and is tested on it" in rounds.help
    app.number_input(key="folds").set_value(3)
    app.number_input(key="num_rounds").set_value(2).run()
    assert "1 model × 5 strategies × 6 seeds" in shown(app)
    app.button(key="launch").click().run()
    assert is_fine(app)
    assert (submitted[0].spec.split, submitted[0].spec.seeds) == ("kfold:3", (0, 1, 2, 3, 4, 5))
    assert submitted[0].dataset.splits == {"train": 45, "val": 15, "test": 30}


def test_repeated_splits_say_that_a_seed_has_its_own_test_images(
    open_page: Open, full: fakes.Store, insects: DatasetInfo
) -> None:
    app = open_page("launch")
    app.selectbox(key="split").set_value("repeated").run()
    assert is_fine(app)
    assert "Each seed draws its own parts" in shown(app)
    assert "order and test, validation and training images" in app.number_input(key="num_seeds").help


def test_more_folds_than_a_class_allows_are_one_clear_line_where_they_are_chosen(
    open_page: Open, full: fakes.Store, insects: DatasetInfo
) -> None:
    app = open_page("launch")
    app.selectbox(key="split").set_value("kfold").run()
    app.number_input(key="folds").set_value(31).run()
    assert is_fine(app)
    (told,) = errors(app)
    assert "class 'ants' has 30 different images, but the split kfold:31 needs at least 31" in told
    app.number_input(key="folds").set_value(30).run()
    assert not app.error
    assert "× 30 seeds" in shown(app)


def test_a_dataset_with_its_own_test_part_offers_no_other_plan(
    open_page: Open, full: fakes.Store, insects: DatasetInfo, tmp_path: Path
) -> None:
    folder = make_image_folder(tmp_path / "own", ("ants", "bees"), per_class=8, size=24, parts=("train", "test"))
    own = datasets.add_dataset(folder, "own test part")
    app = open_page("launch", dataset=insects.id)
    app.selectbox(key="split").set_value("kfold").run()
    app = open_page("launch", dataset=own.id)
    assert is_fine(app)
    plan = app.selectbox(key="split_given")
    assert (plan.disabled, plan.value) == (True, "fixed")
    assert "brings its own test images" in plan.help
    assert "test is kept" in shown(app)


def test_no_model_is_one_clear_line(open_page: Open, full: fakes.Store, insects: DatasetInfo) -> None:
    app = open_page("launch")
    app.multiselect(key="models").set_value([]).run()
    assert is_fine(app)
    assert "models" in errors(app)[0]


GROUPS = ("conv_stem", "blocks.0", "blocks.1", "conv_head")
MODEL = FACTS.model_copy(update={"num_groups": 4, "group_names": GROUPS, "linear_share": 0.0})
MINE = "name: mine\nlabel: Mine\nphases:\n- {train: head, share: 0.5}\n- {train: all, share: 0.5}\n"


def with_facts(patch: pytest.MonkeyPatch, **changes: object) -> None:
    patch.setattr(models, "model_facts", lambda name: MODEL.model_copy(update={"model": name, **changes}))


def test_a_strategy_that_does_not_suit_the_model_cannot_be_ticked_and_says_why(
    open_page: Open, full: fakes.Store, insects: DatasetInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_facts(monkeypatch)
    app = open_page("launch")
    app.toggle(key="more_strategies").set_value(True).run()
    assert app.checkbox(key="strategy_lora").disabled
    assert "adapters into linear layers, but they hold only 0% of the parameters" in shown(app)
    assert not app.checkbox(key="strategy_lp_ft").disabled
    with_facts(monkeypatch, linear_share=0.9)
    assert not app.run().checkbox(key="strategy_lora").disabled


def test_several_depths_of_partial_fine_tuning_become_one_variant_each(
    open_page: Open, full: fakes.Store, insects: DatasetInfo, submitted: list[Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_facts(monkeypatch)
    app = open_page("launch")
    for name in CORE:
        app.checkbox(key=f"strategy_{name}").uncheck()
    app.toggle(key="more_strategies").set_value(True).run()
    app.checkbox(key="strategy_partial_fine_tuning").check().run()
    depths = app.multiselect(key="depths")
    assert depths.options == [
        "0 · the head alone", "1 · conv_head", "2 · blocks.1 to conv_head",
        "3 · blocks.0 to conv_head", "4 · conv_stem to conv_head",
    ]  # fmt: skip
    assert "The last *k* are the *k* nearest the head" in shown(app)
    depths.set_value([1, 2, 4]).run()
    assert "1 model × 3 strategies × 3 seeds" in shown(app)
    app.button(key="launch").click().run()
    assert is_fine(app)
    assert submitted[0].spec.strategies == tuple(f"partial_fine_tuning:last_groups={k}" for k in (1, 2, 4))


def test_a_strategy_that_somebody_saved_meanwhile_is_replaced_only_where_the_button_says_so(
    open_page: Open, full: fakes.Store, insects: DatasetInfo, submitted: list[Plan]
) -> None:
    app = open_page("launch")
    app.toggle(key="own_strategies").set_value(True).run()
    app.text_area(key="own_yaml").set_value(MINE).run()
    saved_strategies.save("name: mine\nphases: [{train: head}]", "another page")
    app.button(key="own_save").click().run()
    assert any("another strategy named mine is saved already" in said for said in errors(app))
    assert len(saved_strategies.find("mine").phases) == 1
    assert app.button(key="own_save").label == "Replace mine"
    app.button(key="own_save").click().run()
    assert is_fine(app)
    assert len(saved_strategies.find("mine").phases) == 2


def test_an_own_strategy_is_written_saved_used_and_deleted(
    open_page: Open, full: fakes.Store, insects: DatasetInfo, submitted: list[Plan]
) -> None:
    app = open_page("launch")
    app.toggle(key="own_strategies").set_value(True).run()
    app.text_area(key="own_yaml").set_value("name: mine").run()
    assert errors(app) == ["the text: phases must be a list with at least one phase, such as - train: head"]
    app.text_area(key="own_yaml").set_value(MINE).run()
    app.button(key="own_save").click().run()
    assert is_fine(app)
    assert [found.name for found in saved_strategies.saved()] == ["mine"]
    assert app.checkbox(key="strategy_own_mine").value is True
    app.button(key="launch").click().run()
    spec = submitted[0].spec
    assert spec.strategies[-1] == "mine"
    assert spec.own_strategies == (saved_strategies.find("mine"),)
    app = open_page("launch")
    app.toggle(key="own_strategies").set_value(True).run()
    app.button(key="delete_mine").click().run()
    assert is_fine(app)
    assert saved_strategies.saved() == []


def test_an_own_strategy_is_uploaded_checked_and_used(
    open_page: Open, full: fakes.Store, insects: DatasetInfo, submitted: list[Plan]
) -> None:
    app = open_page("launch")
    app.toggle(key="own_strategies").set_value(True).run()
    app.file_uploader(key="own_file").set_value(("bad.yaml", b"\xff\xfe", "text/yaml")).run()
    assert is_fine(app)
    assert errors(app) == ["bad.yaml is no text in UTF-8: save it as such, or name another file"]
    app.file_uploader(key="own_file").set_value(("mine.yaml", MINE.encode(), "text/yaml")).run()
    assert is_fine(app)
    assert not app.error
    assert app.text_area(key="own_yaml").value == MINE
    app.button(key="own_save").click().run()
    app.button(key="launch").click().run()
    assert submitted[0].spec.strategies[-1] == "mine"
    assert [len(own.phases) for own in submitted[0].spec.own_strategies] == [2]


def test_strategies_are_drawn_on_the_layer_groups_of_the_chosen_model(
    open_page: Open, full: fakes.Store, insects: DatasetInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = (*((f"blocks.{k}.weight",) for k in range(7)), ("classifier.weight",))
    facts = FACTS.model_copy(update={"num_groups": 7, "parameter_names": names, "linear_share": 1.0})
    monkeypatch.setattr(models, "model_facts", lambda name: facts.model_copy(update={"model": name}))
    saved_strategies.save("name: mine\nphases: [{train: 'blocks[.][56]|classifier'}]", "my.yaml")
    monkeypatch.setattr(charts, "strategy_strip", _noted(drawn := [], charts.strategy_strip))
    app = open_page("launch")
    app.toggle(key="more_strategies").set_value(True)
    app.toggle(key="own_strategies").set_value(True).run()
    assert is_fine(app)
    assert "are drawn for mobilenetv2_100: its 7 layer groups, then the head" in shown(app)
    stages = [svg for svg in drawn if "train last 6, 12 % of the budget" in svg]
    assert stages[-1].count("% of the budget") == 8, "a line for each stage"
    assert any("FFFFFTTH" in _letters(svg) for svg in drawn)


def _noted(drawn, draw):
    def noting(*args, **kwargs):
        drawn.append(draw(*args, **kwargs))
        return drawn[-1]

    return noting


def _letters(svg: str) -> str:
    return "".join(re.findall(r">([A-Z])</text>", svg))


def test_an_own_strategy_may_begin_as_a_copy_and_a_spoilt_one_can_be_deleted(
    open_page: Open, full: fakes.Store, insects: DatasetInfo
) -> None:
    folder = get_settings().strategies
    folder.mkdir(parents=True)
    (folder / "old.yaml").write_text("name: old")
    app = open_page("launch")
    app.toggle(key="own_strategies").set_value(True).run()
    assert "**old** cannot be used: old.yaml: phases must be a list" in errors(app)[0]
    app.selectbox(key="own_copy").select("staged_fine_tuning").run()
    assert app.text_area(key="own_yaml").value == saved_strategies.export("staged_fine_tuning")
    app.button(key="delete_old").click().run()
    assert not list(folder.iterdir())


def test_only_settings_that_do_something_are_offered_in_groups_and_per_phase(
    open_page: Open, full: fakes.Store, insects: DatasetInfo, submitted: list[Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_facts(monkeypatch)
    app = open_page("launch")
    app.toggle(key="advanced").set_value(True).run()
    keys = {str(element.key) for kind in (app.number_input, app.selectbox) for element in kind}
    assert {"set_fine_tuning_momentum", "set_fine_tuning_cut_at", "set_feature_extraction_views"} <= keys
    assert not {"set_transfer_learning_layer_decay", "set_feature_extraction_neighbors",
                "set_feature_extraction_hidden_units", "set_fine_tuning_lora_rank"} & keys  # fmt: skip
    assert not {"set_staged_fine_tuning_1.layer_decay", "set_staged_fine_tuning_1.cut_at"} & keys
    assert "**Regularisation**" in [mark.value for mark in app.markdown]
    assert app.number_input(key="set_staged_fine_tuning_2.learning_rate").placeholder == "default: 0.001"
    app.number_input(key="set_staged_fine_tuning_2.learning_rate").set_value(0.002)
    app.selectbox(key="set_feature_extraction_classifier").select("knn")
    app.selectbox(key="set_fine_tuning_cut_at").select(3)
    app.selectbox(key="set_fine_tuning_optimizer").select("adamw").run()
    keys = {str(element.key) for element in app.number_input}
    assert "set_feature_extraction_neighbors" in keys
    assert "set_fine_tuning_momentum" not in keys, "AdamW has none"
    app.button(key="launch").click().run()
    assert is_fine(app)
    assert not app.error
    assert submitted[0].spec.overrides == {
        "staged_fine_tuning": {"2.learning_rate": 0.002},
        "feature_extraction": {"classifier": "knn"},
        "fine_tuning": {"optimizer": "adamw", "cut_at": 3},
    }


def test_more_options_reach_the_comparison_and_tell_their_cost(
    open_page: Open, full: fakes.Store, insects: DatasetInfo, submitted: list[Plan]
) -> None:
    app = open_page("launch")
    app.toggle(key="more_options").set_value(True).run()
    app.number_input(key="tune").set_value(4)
    app.checkbox(key="batch_auto").check()
    app.checkbox(key="allow_partial").check()
    app.selectbox(key="scratch_model").select("resnet18").run()
    assert "4 × the training time" in shown(app)
    assert "**15 runs**: 5 pairs of model and strategy × 3 seeds" in shown(app)
    app.button(key="launch").click().run()
    assert is_fine(app)
    spec = submitted[0].spec
    assert (spec.tune, spec.batch_size, spec.allow_partial_weights, spec.scratch_model) == (4, "auto", True, "resnet18")
    assert {run.model for run in spec.runs() if run.strategy == "from_scratch"} == {"resnet18"}


def test_backbones_made_here_are_offered_as_weights_of_their_model(
    open_page: Open, full: fakes.Store, insects: DatasetInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = SourceRun(run_id="ab12", name="shapes · From scratch · test 90.0 %", model="resnet18",
                     strategy="from_scratch", dataset_name="shapes", test_accuracy=0.9)  # fmt: skip
    monkeypatch.setattr(models, "source_runs", lambda: [made])
    app = open_page("launch")
    app.multiselect(key="models").set_value(["mobilenetv2_100", "resnet18"]).run()
    assert "made here: shapes · From scratch · test 90.0 %" in app.selectbox(key="weights_resnet18").options
    assert not any("made here" in option for option in app.selectbox(key="weights_mobilenetv2_100").options)

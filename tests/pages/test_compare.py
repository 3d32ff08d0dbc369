"""Compare: the leaderboard, every closer look, and states that are not the finished one."""

import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from tests.pages import fakes
from tests.pages.conftest import Open, errors, is_fine, leaderboard_of, shown
from tests.pages.fakes import renamed
from tests.records import Example, before, example
from tlcore.service import comparisons, growing, plans, recorded
from tlcore.spec import ComparisonSpec

SHIPPED = recorded.record  # before a store of examples takes its place

DID = "What each strategy did"
SECTIONS = (
    "Learning curves",
    "Confusion matrices",
    "Per class",
    "Transfer",
    "Cost",
    DID,
    "Settings and proof",
    "All runs",
)


@pytest.mark.parametrize("comparison", [fakes.FINISHED, fakes.RUNNING, fakes.BROKEN, "recorded-demo"])
@pytest.mark.parametrize("section", SECTIONS)
def test_every_look_at_every_kind_of_comparison(
    open_page: Open, full: fakes.Store, comparison: str, section: str
) -> None:
    app = open_page("compare", comparison=comparison, show=section)
    assert is_fine(app)
    assert app.segmented_control(key="show").value == section
    assert "Leaderboard" in shown(app)


def test_the_address_holds_the_view(open_page: Open, full: fakes.Store) -> None:
    app = open_page("compare", comparison=fakes.FINISHED, show="Learning curves", x="seconds", measure="loss")
    assert app.segmented_control(key="x").value == "seconds"
    assert app.segmented_control(key="measure").value == "loss"
    assert app.query_params["comparison"] == fakes.FINISHED


def test_the_leaderboard_is_ordered_by_the_service_and_has_every_strategy(open_page: Open, full: fakes.Store) -> None:
    app = open_page("compare", comparison=fakes.FINISHED)
    table = leaderboard_of(app)
    floors = table["Strategy"].str.startswith("Floor: ")
    assert list(floors) == [False] * 5 + [True] * 2
    accuracies = [float(value) for value in table["Test accuracy (%)"][~floors]]
    assert accuracies == sorted(accuracies, reverse=True)


def test_overfitting_is_told_in_a_sentence(open_page: Open, full: fakes.Store) -> None:
    warnings = [warning.value for warning in open_page("compare", comparison=fakes.FINISHED).warning]
    assert sum("overfits" in text for text in warnings) == 1, "all findings are one block"


def test_a_running_comparison_is_marked_provisional(open_page: Open, full: fakes.Store) -> None:
    assert "Provisional" in shown(open_page("compare", comparison=fakes.RUNNING))
    assert "Provisional" not in shown(open_page("compare", comparison=fakes.FINISHED))


def test_a_failed_run_is_shown_with_its_error(open_page: Open, full: fakes.Store) -> None:
    app = open_page("compare", comparison=fakes.BROKEN, show="All runs")
    assert "1 run failed" in shown(app)
    assert "the loss became nan at step 12" in shown(app)


def test_a_recording_offers_no_further_runs(open_page: Open, empty: fakes.Store) -> None:
    app = open_page("compare")
    assert is_fine(app)
    assert "A recording, made on 1 Nov 2026" in shown(app)
    assert not [button for button in app.button if button.key == "add_seeds"]


def test_the_verdict_stands_above_the_table_with_its_claim_and_pairs(open_page: Open, full: fakes.Store) -> None:
    app = open_page("compare", comparison=fakes.FINISHED)
    words = shown(app)
    assert "⚖️ Verdict" in words
    assert "at a budget of 6 epochs: Staged fine-tuning (head first, then all)" in words
    assert "3 seeds: the intervals cover the choice of test images and the chance in training" in words
    pairs: pd.DataFrame = app.table[0].value
    assert len(pairs) == 6
    assert set(pairs["The first is"]) <= {"not settled", "better"}
    assert "Verdict so far" in shown(open_page("compare", comparison=fakes.RUNNING))


def test_the_margin_is_the_viewers_and_kept_in_the_address(open_page: Open, full: fakes.Store) -> None:
    app = open_page("compare", comparison=fakes.FINISHED, margin="4.5")
    assert is_fine(app)
    assert app.number_input(key="margin").value == 4.5
    assert "would settle a difference of 4.5 points" in shown(app)
    app.number_input(key="margin").set_value(0.5).run()
    assert "a difference of 0.5 points" in shown(app)


def test_seeds_are_added_for_those_in_contention_alone_until_it_is_settled(
    open_page: Open, full: fakes.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[set[str], tuple[int, ...], int]] = []

    def submit(spec: ComparisonSpec, add_to: str, cells: tuple[tuple[str, str], ...]) -> None:
        asked.append(({strategy for _, strategy in cells}, spec.seeds, len(spec.strategies)))
        found = full.examples[add_to]
        seeds = (*found.record.spec.seeds, *spec.seeds)
        grown = {"looks": found.record.looks + 1, "spec": found.record.spec.model_copy(update={"seeds": seeds})}
        full.examples[add_to] = Example(found.record.model_copy(update=grown), found.predictions)
        st.cache_data.clear()

    monkeypatch.setattr(plans, "make_plan", lambda spec: spec)
    monkeypatch.setattr(comparisons, "submit", submit)
    one_seed = renamed(example(strategies=("feature_extraction", "staged_fine_tuning"), seeds=(0,)), "e" * 32)
    full.examples["e" * 32] = one_seed
    app = open_page("compare", comparison="e" * 32)
    assert "only those that may still be the best" in shown(app)
    assert not asked, "a look is no press"
    app.button(key="settle").click().run()
    assert is_fine(app)
    assert asked[0] == ({"feature_extraction", "staged_fine_tuning"}, (1, 2), 2)
    assert len(asked) == growing.MAX_LOOKS - 1, "each look that settles nothing leads to the next, up to the limit"
    assert f"After {growing.MAX_LOOKS} looks at growing results: not settled" in shown(app)
    assert not open_page("compare", comparison="e" * 32, settle="on").exception
    assert len(asked) == growing.MAX_LOOKS - 1, "an address starts nothing"


def test_those_that_had_too_little_time_are_run_again_with_more(
    open_page: Open, full: fakes.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[ComparisonSpec] = []

    def submit(spec: ComparisonSpec) -> str:
        asked.append(spec)
        return fakes.RUNNING

    monkeypatch.setattr(plans, "make_plan", lambda spec: spec)
    monkeypatch.setattr(comparisons, "submit", submit)
    app = open_page("compare", comparison=fakes.FINISHED)
    assert (
        "From scratch may have had too little time: a new comparison of 4 strategies at a budget of 24 epochs"
        in shown(app)
    )
    app.button(key="more_time").click().run()
    assert is_fine(app)
    assert asked[0].budget.epochs == 24
    assert "from_scratch" in asked[0].strategies
    assert asked[0].seeds == (0, 1, 2)
    again = open_page("compare", comparison=fakes.FINISHED)
    again.session_state["more_time_made"] = app.session_state["more_time_made"]  # as of a press that came just before
    again.button(key="more_time").click().run()
    assert is_fine(again)
    assert len(asked) == 1, "a second press makes no other comparison"


def test_nothing_is_offered_while_it_runs_or_for_a_recording(open_page: Open, full: fakes.Store) -> None:
    for comparison in (fakes.RUNNING, "recorded-demo"):
        app = open_page("compare", comparison=comparison)
        assert not [button for button in app.button if button.key in {"settle", "more_time"}]


def test_more_seeds_join_the_same_comparison(
    open_page: Open, full: fakes.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined: list[tuple[tuple[int, ...], str]] = []
    monkeypatch.setattr(plans, "make_plan", lambda spec: spec)
    monkeypatch.setattr(comparisons, "submit", lambda spec, add_to: joined.append((spec.seeds, add_to)))
    app = open_page("compare", comparison=fakes.FINISHED)
    app.button(key="add_seeds").click().run()
    assert is_fine(app)
    assert joined == [((3, 4), fakes.FINISHED)]


def test_a_comparison_on_folds_says_so_and_grows_by_whole_rounds(
    open_page: Open, full: fakes.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = example(strategies=("fine_tuning", "transfer_learning"), split="kfold:3")
    full.examples["e" * 32] = renamed(found, "e" * 32)
    joined: list[tuple[int, ...]] = []
    monkeypatch.setattr(plans, "make_plan", lambda spec: spec)
    monkeypatch.setattr(comparisons, "submit", lambda spec, add_to: joined.append(spec.seeds))
    app = open_page("compare", comparison="e" * 32)
    assert is_fine(app)
    assert "3 seeds · split kfold:3" in shown(app)
    assert "Split kfold:3: each seed has its own test images, so intervals are over seeds" in shown(app)
    more = app.number_input(key="more_seeds")
    assert (more.label, more.value) == ("More rounds of all 3 folds, to be surer", 1)
    more.set_value(2).run()
    app.button(key="add_seeds").click().run()
    assert joined == [(3, 4, 5, 6, 7, 8)]
    assert "own test images" not in shown(open_page("compare", comparison=fakes.FINISHED))


def test_runs_that_met_other_test_images_are_refused_beside_the_table(open_page: Open, full: fakes.Store) -> None:
    found = example(strategies=("fine_tuning", "transfer_learning"), split="kfold:3")
    first, *rest = found.record.runs
    moved = first.model_copy(update={"resolved": first.resolved.model_copy(update={"test_fingerprint": "9" * 64})})
    record = found.record.model_copy(update={"runs": (moved, *rest)})
    full.examples["e" * 32] = renamed(Example(record, found.predictions), "e" * 32)
    app = open_page("compare", comparison="e" * 32)
    assert is_fine(app)
    assert "Not compared: the test images differ for seed 0" in shown(app)
    assert any("Not comparable: the test images differ for seed 0" in w.value.replace("\\", "") for w in app.warning)


def test_an_unknown_comparison_is_one_clear_line(open_page: Open, full: fakes.Store) -> None:
    app = open_page("compare", comparison="0" * 32)
    assert is_fine(app)
    assert "There is no comparison" in errors(app)[0]
    assert "Choose one below" in errors(app)[0]
    assert not any("0" * 32 in option for option in app.selectbox(key="instead").options)
    app.selectbox(key="instead").set_value(fakes.BROKEN).run()
    assert is_fine(app)
    assert app.query_params["comparison"] == fakes.BROKEN
    assert not [text for text in errors(app) if "no comparison" in text]


def options(app: AppTest) -> list[str]:
    return list(app.segmented_control(key="show").options)


def test_what_each_strategy_did_is_explained_and_shown(open_page: Open, full: fakes.Store) -> None:
    app = open_page("compare", comparison=fakes.FINISHED, show=DID)
    assert is_fine(app)
    assert "A layer group is a block of layers" in shown(app)
    assert "Moved: how far" in shown(app)
    phases: pd.DataFrame = app.table[-1].value
    staged = phases[phases["Strategy"] == "Staged fine-tuning"]
    assert list(staged["What trains"]) == ["the new head", "every layer"]
    assert app.selectbox(key="anatomy_runs").options == ["best seed of each strategy", "seed 0", "seed 1", "seed 2"]
    assert is_fine(app.selectbox(key="anatomy_runs").set_value("seed 1").run())
    app.segmented_control(key="rates_x").set_value("epochs").run()
    assert is_fine(app)


def test_an_older_comparison_says_what_it_lacks(open_page: Open, full: fakes.Store) -> None:
    old = renamed(before(example(strategies=("fine_tuning", "lp_ft"), seeds=(0,))), "e" * 32)
    full.examples["e" * 32] = old
    app = open_page("compare", comparison="e" * 32, show=DID)
    assert is_fine(app)
    assert "What Fine-tuning, LP-FT did to each layer group: not recorded by this version." in shown(app)
    assert not app.dataframe


def test_the_recording_that_is_shipped_still_opens(open_page: Open, full: fakes.Store) -> None:
    whole = SHIPPED()
    full.examples[whole.comparison_id] = Example(whole)
    app = open_page("compare", comparison=whole.comparison_id, show=DID)
    assert is_fine(app)
    assert "A layer group is a block of layers" in shown(app)
    assert "not recorded by this version" not in shown(app)
    assert set(leaderboard_of(app)["Strategy"][-2:]) == {
        "Floor: majority class", "Floor: pretrained network as it is (nearest class mean)",
    }  # fmt: skip


def test_a_sweep_and_tuning_have_views_only_where_there_are_some(open_page: Open, full: fakes.Store) -> None:
    assert not {"Sweep", "Tuning"} & set(options(open_page("compare", comparison=fakes.FINISHED)))
    depths = (f"partial_fine_tuning:last_groups={k}" for k in (1, 2))
    found = example(strategies=("transfer_learning", *depths), seeds=(0,), tune=2)
    full.examples["e" * 32] = renamed(found, "e" * 32)
    app = open_page("compare", comparison="e" * 32, show="Sweep")
    assert is_fine(app)
    assert {"Sweep", "Tuning"} <= set(options(app))
    table: pd.DataFrame = app.dataframe[0].value
    assert list(table["Layer groups that train, counted from the head"]) == ["0", "1", "2"]
    app = open_page("compare", comparison="e" * 32, show="Tuning")
    assert is_fine(app)
    assert not app.dataframe, "its words would be cut"
    assert len(app.table[-1].value) == 6
    assert "The table goes on to the right" in shown(app) + "".join(part.proto.body for part in app.get("html"))
    assert "holds all trials" in shown(app)


def test_a_wide_figure_says_that_it_goes_on(open_page: Open, full: fakes.Store) -> None:
    found = example(models=("mobilenetv2_100", "resnet18"), seeds=(0,))
    full.examples["e" * 32] = renamed(found, "e" * 32)
    app = open_page("compare", comparison="e" * 32)
    assert is_fine(app)
    assert "The figure goes on to the right" in "".join(part.proto.body for part in app.get("html"))
    app = open_page("compare", comparison=fakes.FINISHED)
    assert "The figure goes on" not in "".join(part.proto.body for part in app.get("html")), "one panel fits"


def test_another_network_and_notes_are_said(open_page: Open, full: fakes.Store) -> None:
    found = example(strategies=("from_scratch", "fine_tuning"), seeds=(0,), scratch_model="resnet18")
    runs = tuple(
        run.model_copy(update={"resolved": run.resolved.model_copy(update={"notes": ("the batch was halved to 16",)})})
        for run in found.record.runs
    )
    noted = Example(found.record.model_copy(update={"runs": runs}), found.predictions)
    full.examples["e" * 32] = renamed(noted, "e" * 32)
    app = open_page("compare", comparison="e" * 32, show="Settings and proof")
    assert is_fine(app)
    assert "From scratch ran on resnet18, a different network" in shown(app)
    assert "the batch was halved to 16 (Fine-tuning, From scratch)." in shown(app)
    assert "resnet18 (a different network)" in set(leaderboard_of(app)["Model"])
    app = open_page("compare", comparison="e" * 32, show=DID)
    assert app.selectbox(key="anatomy_model").options == ["mobilenetv2_100", "resnet18"]


def test_choosing_another_comparison_changes_the_address(open_page: Open, full: fakes.Store) -> None:
    app = open_page("compare", comparison=fakes.FINISHED)
    app.selectbox(key=f"choose_comparison_{fakes.FINISHED}").set_value(fakes.BROKEN).run()
    assert is_fine(app)
    assert app.query_params["comparison"] == fakes.BROKEN
    assert "1 run failed" in shown(app)

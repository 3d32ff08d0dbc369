"""Compare: the leaderboard, every closer look, and states that are not the finished one."""

import pandas as pd
import pytest

from tests.pages import fakes
from tests.pages.conftest import Open, errors, is_fine, shown
from tlcore.service import comparisons, plans

SECTIONS = ("Learning curves", "Confusion matrices", "Per class", "Cost", "Settings and proof", "All runs")


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
    table: pd.DataFrame = app.table[0].value
    assert len(table) == 5
    accuracies = [float(value) for value in table["Test accuracy (%)"]]
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


def test_choosing_another_comparison_changes_the_address(open_page: Open, full: fakes.Store) -> None:
    app = open_page("compare", comparison=fakes.FINISHED)
    app.selectbox(key=f"choose_comparison_{fakes.FINISHED}").set_value(fakes.BROKEN).run()
    assert is_fine(app)
    assert app.query_params["comparison"] == fakes.BROKEN
    assert "1 run failed" in shown(app)

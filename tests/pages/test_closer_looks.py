"""Compare: what transfer brings, what a time buys, and how much data."""

import pandas as pd
import pytest

from tests.pages import fakes
from tests.pages.conftest import Open, is_fine, shown
from tests.pages.fakes import renamed
from tests.records import example
from tlcore.spec import Budget

OTHER = "e" * 32


def put(full: fakes.Store, **more: object) -> str:
    """Another comparison in the store."""
    full.examples[OTHER] = renamed(example(**more), OTHER)
    return OTHER


def test_transfer_is_told_and_explained(open_page: Open, full: fakes.Store) -> None:
    app = open_page("compare", comparison=fakes.FINISHED, show="Transfer", x="seconds")
    assert is_fine(app)
    assert app.segmented_control(key="x").value == "seconds"
    assert "Feature extraction starts" in shown(app)
    assert "From scratch (random start, train all) learnt nothing in 3 of 3 runs" in shown(app)
    assert "Higher start (jumpstart)" in shown(app)
    assert not [box for box in app.selectbox if box.key == "transfer_panel"], "there is one panel"
    measures, reached = (table.value for table in app.table[-2:])
    assert len(measures) == 4
    assert len(reached) == 5, "from scratch too"
    assert str(reached.iloc[0, 1]).startswith("\\>"), "a table reads a bare > as a quotation"


@pytest.mark.parametrize("x", ["epochs", "images seen", "seconds"])
def test_every_axis_has_its_measures(open_page: Open, full: fakes.Store, x: str) -> None:
    app = open_page("compare", comparison=fakes.RUNNING, show="Transfer", x=x)
    assert is_fine(app)
    table: pd.DataFrame = app.table[-2].value
    unit = {"epochs": "epoch", "images seen": "images", "seconds": "s"}[x]
    assert all(str(cell).rstrip("s").endswith(unit.rstrip("s")) for cell in table["read at"])


def test_without_from_scratch_the_page_says_what_to_add(open_page: Open, full: fakes.Store) -> None:
    app = open_page("compare", comparison=put(full, strategies=("fine_tuning", "lora")), show="Transfer")
    assert is_fine(app)
    assert "--strategy from_scratch" in shown(app)
    assert len(app.table[-1].value) == 2, "the time to an accuracy needs no baseline"


def test_models_and_fractions_are_chosen(open_page: Open, full: fakes.Store) -> None:
    strategies = ("from_scratch", "fine_tuning", "feature_extraction:classifier=knn")
    put(full, strategies=strategies, models=("a", "b"), fractions=(0.5, 1.0), seeds=(0,))
    app = open_page("compare", comparison=OTHER, show="Transfer")
    assert is_fine(app)
    box = app.selectbox(key="transfer_panel")
    assert box.options == [
        f"{model}, {data}" for data in ("all training images", "50 % of the training images") for model in "ab"
    ]
    assert "One seed" in shown(app)
    assert is_fine(box.set_value(box.options[3]).run())


def test_the_front_and_the_best_within_a_time_are_in_the_address(open_page: Open, full: fakes.Store) -> None:
    app = open_page("compare", comparison=fakes.FINISHED, show="Cost", cost="parameters trained", budget_seconds="5")
    assert is_fine(app)
    assert app.segmented_control(key="cost").value == "parameters trained"
    assert app.number_input(key="budget_seconds").value == 5
    assert "by test accuracy at the end of a run, from the cheapest: Feature extraction (94.1 %, 2.56" in shown(app)
    assert "Within 5 s of training: Transfer learning" in shown(app)
    assert "planned for the whole budget" in shown(app)
    (costs,) = [t.value for t in app.table if "Parameters trained" in t.value and "Whole run" in t.value]
    assert next(iter(costs)) == "Strategy", "one model needs no column; headings wrap, so that all columns are seen"
    app.number_input(key="budget_seconds").set_value(60.0).run()
    assert "Within 60 s of training: Staged fine-tuning" in shown(app)
    assert "from 4.26 s: Transfer learning; from 6.43 s: Feature extraction" in shown(app)


def test_how_much_data_is_there_only_with_several_parts(open_page: Open, full: fakes.Store) -> None:
    assert "How much data" not in open_page("compare", comparison=fakes.FINISHED).segmented_control(key="show").options
    put(full, fractions=(0.25, 0.5, 1.0))
    app = open_page("compare", comparison=OTHER, show="How much data")
    assert is_fine(app)
    assert "twice the images (388) would bring the test error from" in shown(app)
    assert "no word on twice the images" in shown(app)
    assert set(app.dataframe[-1].value["Training images"]) == {48, 97, 194}


def test_looks_at_what_has_not_begun(open_page: Open, full: fakes.Store) -> None:
    waiting = {(name, 0): "SCHEDULED" for name in ("from_scratch", "fine_tuning")}
    put(full, strategies=("from_scratch", "fine_tuning"), seeds=(0,), status=waiting, fractions=(0.5, 1.0))
    for section in ("Transfer", "Cost", "How much data"):
        app = open_page("compare", comparison=OTHER, show=section)
        assert is_fine(app)
    assert "No run has finished yet" in shown(app)


def test_a_budget_of_seconds_has_the_same_looks(open_page: Open, full: fakes.Store) -> None:
    found = example(seeds=(0, 1))
    spec = found.record.spec.model_copy(update={"budget": Budget(seconds=30)})
    full.examples[OTHER] = renamed(type(found)(found.record, found.predictions), OTHER, spec=spec)
    for section in ("Transfer", "Cost"):
        assert is_fine(open_page("compare", comparison=OTHER, show=section, x="seconds"))

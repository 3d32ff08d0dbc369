"""Compare, “Where they differ” and “Calibration”: two strategies image by image, and what probabilities are worth."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from tests.pages import fakes
from tests.pages.conftest import Open, is_fine, leaderboard_of, shown
from tests.pages.fakes import renamed
from tests.records import Example, example
from tlcore.datasets import store
from tlcore.service import recorded
from tlcore.service.datasets import DatasetInfo
from tlcore.settings import get_settings

SHIPPED = recorded.record  # before a store of examples takes its place
OTHER = "e" * 32
DIFFER, CALIBRATION = "Where they differ", "Calibration"
PARTS = ("Confusions", "Class by class", "One right, one wrong", "All strategies")
TWO = ("transfer_learning", "fine_tuning")


def put(full: fakes.Store, found: Example, **changed: object) -> Example:
    """The example as another comparison of the store."""
    full.examples[OTHER] = renamed(found, OTHER, **changed)
    return full.examples[OTHER]


def images_of(app) -> list[str]:
    """The first column of the table that stands for pictures."""
    return next((list(table.value["Image"]) for table in reversed(list(app.table)) if "Image" in table.value), [])


@dataclass
class Cell:
    """Images of a cell, counted in another way than by the code under test."""

    found: Example
    strategies: tuple[str, ...]

    def paths(self, true: int, answered: int) -> set[str]:
        paths: set[str] = set()
        for run in self.found.record.runs:
            if run.spec.strategy in self.strategies:
                frame = self.found.predictions[run.run_id]
                there = (frame["split"] == "test") & (frame["label"] == true) & (frame["predicted"] == answered)
                paths |= set(frame[there]["path"])
        return paths


@pytest.mark.parametrize("comparison", [fakes.FINISHED, fakes.RUNNING, fakes.BROKEN, "recorded-demo"])
@pytest.mark.parametrize("part", PARTS)
def test_every_part_of_every_kind_of_comparison(open_page: Open, full: fakes.Store, comparison: str, part: str) -> None:
    app = open_page("compare", comparison=comparison, show=DIFFER, differ=part)
    assert is_fine(app)
    assert app.segmented_control(key="differ").value == part


def test_a_and_b_start_as_the_best_and_the_runner_up(open_page: Open, full: fakes.Store) -> None:
    app = open_page("compare", comparison=fakes.FINISHED, show=DIFFER)
    best, runner_up = (text.split(":")[0] for text in leaderboard_of(app)["Strategy"][:2])
    assert (app.selectbox(key="of_a").value, app.selectbox(key="of_b").value) == (best, runner_up)
    app.selectbox(key="of_b").set_value(best).run()
    assert "A and B are the same" in shown(app)


def test_the_boxes_choose_a_cell_and_show_its_images(open_page: Open, full: fakes.Store) -> None:
    found = put(full, example(strategies=TWO, classes=("ants", "bees", "wasps")))
    app = open_page("compare", comparison=OTHER, show=DIFFER, cell_true="bees", cell_answer="ants")
    expected = Cell(found, TWO).paths(1, 0)
    assert is_fine(app)
    assert f"{len(expected)} image" in shown(app)
    assert set(images_of(app)) <= expected
    assert len(images_of(app)) == min(12, len(expected))
    assert "not here any more: the images are listed without them" in shown(app)
    app.segmented_control(key="cell_of").set_value("A").run()
    first = app.selectbox(key="of_a").value
    name = {"Transfer learning": "transfer_learning", "Fine-tuning": "fine_tuning"}[first]
    assert set(images_of(app)) <= Cell(found, (name,)).paths(1, 0)


def test_a_click_on_a_cell_sets_the_boxes(open_page: Open, full: fakes.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from pages.shared import differ_cells

    clicked = {"selection": {"points": [{"customdata": ["bees", "ants", "words", "second", 1, 0]}]}}
    session: dict[str, object] = {"chart": clicked}
    monkeypatch.setattr(differ_cells.st, "session_state", session)
    differ_cells._clicked("chart", ("ants", "bees"))
    assert (session["cell_true"], session["cell_answer"], session["cell_of"]) == ("bees", "ants", "B")
    session["chart"] = {"selection": {"points": []}}
    differ_cells._clicked("chart", ("ants", "bees"))
    assert session["cell_true"] == "bees", "a click beside the cells changes nothing"


def test_both_directions_are_listed(open_page: Open, full: fakes.Store) -> None:
    found = put(full, example(strategies=TWO, seeds=(0,)))
    app = open_page("compare", comparison=OTHER, show=DIFFER, differ="One right, one wrong", of_a="Transfer learning",
                    of_b="Fine-tuning")  # fmt: skip
    right = {}
    for run in found.record.runs:
        frame = found.predictions[run.run_id].query("split == 'test'").set_index("path")
        right[run.spec.strategy] = frame["label"] == frame["predicted"]
    first, second = (right[name].sort_index() for name in TWO)
    only_a, only_b = set(first.index[first & ~second]), set(first.index[second & ~first])
    assert only_a
    assert only_b
    assert {metric.label: metric.value for metric in app.metric} == {
        "Both right": str((first & second).sum()), "A right, B wrong": str(len(only_a)),
        "B right, A wrong": str(len(only_b)), "Both wrong": str((~first & ~second).sum()),
    }  # fmt: skip
    assert set(images_of(app)) <= only_a
    app.segmented_control(key="side").set_value("B right, A wrong").run()
    assert is_fine(app)
    assert set(images_of(app)) <= only_b
    assert images_of(app)


def test_images_are_paged(open_page: Open, full: fakes.Store) -> None:
    put(full, example(strategies=TWO))
    app = open_page("compare", comparison=OTHER, show=DIFFER, differ="All strategies")
    first = images_of(app)
    assert len(first) == 12
    app.session_state["page_agreement_disagreement_153"] = 2
    app.run()
    assert is_fine(app)
    assert len(images_of(app)) == 12
    assert not set(first) & set(images_of(app))


def test_agreement_is_sorted_by_disagreement_or_by_loss(open_page: Open, full: fakes.Store) -> None:
    found = put(full, example(strategies=TWO))
    app = open_page("compare", comparison=OTHER, show=DIFFER, differ="All strategies", order="mean loss")
    truth = {}
    for frame in found.predictions.values():
        for row in frame[frame["split"] == "test"].itertuples():
            truth.setdefault(row.path, []).append(-np.log(getattr(row, f"prob_{row.label}")))
    means = pd.Series({path: np.mean(values) for path, values in truth.items()})
    assert means[images_of(app)].tolist() == pytest.approx(sorted(means, reverse=True)[:12])
    assert "entropy" in app.table[-1].value["Note"].iloc[0]


def test_pictures_are_shown_where_the_dataset_is_here(open_page: Open, full: fakes.Store, insects: DatasetInfo) -> None:
    paths = store.load_dataset(insects.id, get_settings()).images["path"].tolist()[:40]
    found = example(strategies=TWO, seeds=(0,), classes=insects.classes, num_test=40)
    names = {f"test/{number:05d}.jpg": path for number, path in enumerate(paths)}
    tables = {run_id: frame.assign(path=frame["path"].replace(names)) for run_id, frame in found.predictions.items()}
    dataset = found.record.dataset.model_copy(update={"id": insects.id})
    put(full, Example(found.record.model_copy(update={"dataset": dataset}), tables))
    app = open_page("compare", comparison=OTHER, show=DIFFER, differ="All strategies")
    assert is_fine(app)
    told = [image.proto.imgs[0].alt.split(", true class ") for image in app.image]
    assert len(told) == 12
    labels = next(iter(tables.values())).query("split == 'test'").set_index("path")["label"]
    assert [label for _, label in told] == [insects.classes[labels[path]] for path, _ in told]
    assert "listed without them" not in shown(app)
    assert all(path in shown(app) for path, _ in told)


@pytest.mark.parametrize("split", ["repeated", "kfold:3"])
@pytest.mark.parametrize("part", PARTS)
def test_seeds_with_test_images_of_their_own(open_page: Open, full: fakes.Store, split: str, part: str) -> None:
    put(full, example(strategies=TWO, split=split))
    app = open_page("compare", comparison=OTHER, show=DIFFER, differ=part)
    assert is_fine(app)
    assert ("Each seed has its own test images" in shown(app)) == (part != "All strategies")


def test_models_fractions_and_seeds_can_be_chosen(open_page: Open, full: fakes.Store) -> None:
    put(full, example(strategies=TWO, models=("mobilenetv2_100", "resnet18"), fractions=(0.5, 1.0), seeds=(0, 1)))
    app = open_page("compare", comparison=OTHER, show=DIFFER, of_model="resnet18", of_part="50 %", of_seed="seed 1")
    assert is_fine(app)
    assert app.selectbox(key="of_model").value == "resnet18"
    assert "seeds that both have finished: 1." in shown(app)
    app.selectbox(key="of_model").set_value("all models").run()
    assert len(app.selectbox(key="of_a").options) == 4
    assert "resnet18 / Fine-tuning" in app.selectbox(key="of_a").options
    for section in (DIFFER, CALIBRATION):
        assert is_fine(open_page("compare", comparison=OTHER, show=section, of_model="all models"))


def test_another_comparison_with_other_classes_strategies_and_seeds(open_page: Open, full: fakes.Store) -> None:
    put(full, example(strategies=("staged_fine_tuning", "from_scratch"), seeds=(5, 6), classes=("x", "y")))
    app = open_page("compare", comparison=fakes.FINISHED, show=DIFFER, cell_true="bees", of_a="Fine-tuning",
                    of_seed="seed 2")  # fmt: skip
    assert (app.selectbox(key="cell_true").value, app.selectbox(key="of_a").value) == ("bees", "Fine-tuning")
    app.selectbox(key=f"choose_comparison_{fakes.FINISHED}").set_value(OTHER).run()
    assert is_fine(app)
    assert app.selectbox(key="cell_true").value in ("x", "y")
    assert (app.selectbox(key="of_a").value, app.selectbox(key="of_seed").value) == (
        "Staged fine-tuning",
        "all together",
    )
    assert "seeds that both have finished: 5, 6" in shown(app)


def test_many_classes_and_classes_without_images(open_page: Open, full: fakes.Store) -> None:
    put(full, example(strategies=TWO, seeds=(0,), classes=[f"class {k:03d}" for k in range(100)], num_test=80))
    for part in PARTS:
        assert is_fine(open_page("compare", comparison=OTHER, show=DIFFER, differ=part))
    assert is_fine(open_page("compare", comparison=OTHER, show=CALIBRATION))


def test_the_shipped_recording_lists_images_without_pictures(open_page: Open, full: fakes.Store) -> None:
    whole = SHIPPED()
    everything = pd.read_parquet(recorded.FOLDER / "predictions.parquet")
    full.examples[whole.comparison_id] = Example(whole, dict(iter(everything.groupby("run_id"))))
    for part in PARTS:
        app = open_page("compare", comparison=whole.comparison_id, show=DIFFER, differ=part)
        assert is_fine(app)
        assert ("A recording has no pictures" in shown(app)) == (part != "Class by class")


@pytest.mark.parametrize("comparison", [fakes.FINISHED, fakes.RUNNING, fakes.BROKEN, "recorded-demo"])
def test_calibration_of_every_kind_of_comparison(open_page: Open, full: fakes.Store, comparison: str) -> None:
    app = open_page("compare", comparison=comparison, show=CALIBRATION, scaled="after temperature scaling")
    assert is_fine(app)
    assert "Temperature scaling divides" in shown(app)
    table: pd.DataFrame = app.table[-1].value
    assert set(table["Strategy"]) <= {str(name).split(":")[0] for name in leaderboard_of(app)["Strategy"]}


def test_a_linear_svm_is_said_to_have_no_probabilities(open_page: Open, full: fakes.Store) -> None:
    found = example(strategies=("fine_tuning", "feature_extraction:classifier=linear_svm"), seeds=(0,))
    runs = []
    for run in found.record.runs:
        if "svm" in run.spec.strategy:
            test = run.outcome.test.model_copy(update={"loss": None, "ece": None})
            runs.append(run.model_copy(update={"outcome": run.outcome.model_copy(update={"test": test})}))
            found.predictions[run.run_id] = found.predictions[run.run_id].assign(prob_0=np.nan, prob_1=np.nan)
        else:
            runs.append(run)
    put(full, Example(found.record.model_copy(update={"runs": tuple(runs)}), found.predictions))
    app = open_page("compare", comparison=OTHER, show=CALIBRATION)
    assert is_fine(app)
    assert "A linear SVM tells distances to its borders, no probabilities" in shown(app)
    row = app.table[-1].value.set_index("Strategy").loc["Feature extraction (classifier linear_svm)"]
    assert row["Temperature T"] == "no probabilities"
    for part in PARTS:
        app = open_page("compare", comparison=OTHER, show=DIFFER, differ=part)
        assert is_fine(app)
        assert "nan" not in shown(app).lower().replace("finan", "")

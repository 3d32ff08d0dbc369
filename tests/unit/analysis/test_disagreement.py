"""Which images strategies differ on, counted by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy

from tests.records import Example, example
from tlcore.analysis import charts
from tlcore.analysis.groups import groups_of
from tlcore.analysis.images.answers import cell_images, image_answers
from tlcore.analysis.images.disagreement import agreement, agreement_rows, in_order, one_right, overlap, right_alone
from tlcore.analysis.images.pairs import pair_of, summed_confusion

CLASSES = ("ants", "bees", "wasps")
PATHS = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
LABELS = [0, 0, 1, 2]
ANSWERS = {
    ("transfer_learning", 0): [0, 0, 1, 1],
    ("transfer_learning", 1): [0, 1, 1, 2],
    ("fine_tuning", 0): [0, 1, 2, 1],
    ("fine_tuning", 1): [0, 0, 2, 0],
}


@pytest.fixture(scope="module")
def small() -> Example:
    """Two strategies, two seeds and four images, with the answers above; 0.6 for each answer."""
    found = example(strategies=("transfer_learning", "fine_tuning"), seeds=(0, 1), classes=CLASSES, num_test=4)
    for run in found.record.runs:
        answers = np.array(ANSWERS[run.spec.strategy, run.spec.seed])
        probabilities = np.full((4, 3), 0.2)
        probabilities[np.arange(4), answers] = 0.6
        columns = {f"prob_{k}": probabilities[:, k] for k in range(3)}
        test = pd.DataFrame({"split": "test", "path": PATHS, "label": LABELS, "predicted": answers, **columns})
        old = found.predictions[run.run_id]
        found.predictions[run.run_id] = pd.concat([old[old["split"] == "val"], test.iloc[::-1]], ignore_index=True)
    return found


def pair_in(found, seed=None):
    groups = {group.strategy: group for group in groups_of(found.record)}
    return pair_of(groups["transfer_learning"], groups["fine_tuning"], list(groups.values()), seed)


def test_both_directions_are_counted_over_seeds(small):
    table = one_right(pair_in(small), small.predictions).set_index("path")
    assert table.loc["a.jpg"].to_dict() == {
        "label": 0, "seeds": 2, "both": 2, "only_first": 0, "only_second": 0, "neither": 0,
    }  # fmt: skip
    assert list(table["only_first"]) == [0, 1, 2, 1]
    assert list(table["only_second"]) == [0, 1, 0, 0]
    assert table.loc["d.jpg", "neither"] == 1
    sums = overlap(table, 2)
    assert (sums.both, sums.only_first, sums.only_second, sums.neither) == (1.0, 2.0, 0.5, 0.5)
    assert list(right_alone(table.reset_index(), "first")["path"]) == ["c.jpg", "d.jpg", "b.jpg"]
    assert list(right_alone(table.reset_index(), "second")["path"]) == ["b.jpg"]
    alone = one_right(pair_in(small, seed=0), small.predictions)
    assert list(alone["only_first"]) == [0, 1, 1, 0]


def test_agreement_of_all_runs(small):
    table = agreement(list(small.record.runs), small.predictions).set_index("path")
    assert list(table["runs"]) == [4] * 4
    assert list(table["right"]) == [1.0, 0.5, 0.5, 0.25]
    assert list(table["distinct"]) == [1, 2, 2, 3]
    spread = [entropy(p, base=2) for p in ([1], [0.5, 0.5], [0.5, 0.5], [0.5, 0.25, 0.25])]
    assert list(table["entropy"]) == pytest.approx(spread)
    losses = [-np.log([0.6] * 4).mean(), -np.log([0.6, 0.6, 0.2, 0.2]).mean(), -np.log([0.6, 0.6, 0.2, 0.2]).mean()]
    assert list(table["loss"])[:3] == pytest.approx(losses)
    assert list(in_order(table.reset_index(), "disagreement")["path"]) == ["d.jpg", "b.jpg", "c.jpg", "a.jpg"]
    assert in_order(table.reset_index(), "loss")["path"].iloc[0] == "d.jpg"
    first = agreement_rows(in_order(table.reset_index(), "disagreement"), CLASSES, limit=1)
    assert first[0]["Runs right"] == "1 of 4"
    assert (first[0]["True class"], first[0]["Different answers"]) == ("wasps", 3)


def test_agreement_stands_runs_without_probabilities(small):
    mute = {i: f.assign(**{f"prob_{k}": np.nan for k in range(3)}) for i, f in small.predictions.items()}
    table = in_order(agreement(list(small.record.runs), mute), "loss")
    assert table["loss"].isna().all()
    assert agreement_rows(table, CLASSES)[0]["Mean loss (nats)"] is None


def test_a_cell_lists_the_images_that_its_number_counts(small):
    pair = pair_in(small)
    either, asked = cell_images(pair, small.predictions, true=2, answered=1)
    assert either.to_dict("records") == [{"path": "d.jpg", "first": 1, "second": 1}]
    assert asked == 2
    alone, asked = cell_images(pair, small.predictions, true=1, answered=2, who="first")
    assert (len(alone), asked) == (0, 0)
    back, asked = cell_images(pair, small.predictions, true=1, answered=2, who="second")
    assert (list(back["path"]), asked) == (["c.jpg"], 2)


def test_cells_agree_with_the_matrices():
    found = example(classes=CLASSES)
    pair = pair_in(found)
    for place, who in enumerate(("first", "second")):
        counts = summed_confusion([runs[place] for runs in pair.runs], 3)
        cells = [[cell_images(pair, found.predictions, i, j, who)[1] for j in range(3)] for i in range(3)]
        assert cells == counts.tolist()


def test_an_image_tells_what_each_seed_answered(small):
    pair = pair_in(small)
    runs = {"A": [one for one, _ in pair.runs], "B": [other for _, other in pair.runs]}
    images = image_answers(runs, small.predictions, ["d.jpg", "not there.jpg", "b.jpg"], CLASSES)
    assert [image.path for image in images] == ["d.jpg", "b.jpg"]
    first, second = images[0].groups
    assert (images[0].label, first.right, second.right, first.seeds) == ("wasps", 1, 0, 2)
    assert first.truth == pytest.approx(0.4)
    assert {(a.answer, a.seeds) for a in second.answers} == {("bees", 1), ("ants", 1)}
    assert second.answers[0].probability == pytest.approx(0.6)


@pytest.mark.parametrize("dark", [False, True])
def test_the_matrices_and_their_difference(dark):
    found = example(classes=CLASSES)
    pair = pair_in(found)
    first, second = (summed_confusion([runs[place] for runs in pair.runs], 3) for place in range(2))
    side = charts.confusion_pair(found.record, pair, dark)
    heats = [trace for trace in side.data if trace.type == "heatmap"]
    for heat, counts in zip(heats, (first, second), strict=True):
        assert np.array(heat.z) == pytest.approx(counts / counts.sum(axis=1, keepdims=True))
    difference = charts.confusion_difference(found.record, pair, dark)
    heat, points, *numbers = difference.data
    rows = 100 * (first / first.sum(axis=1, keepdims=True) - second / second.sum(axis=1, keepdims=True))
    assert np.array(heat.z) == pytest.approx(rows)
    assert heat.zmin == -heat.zmax
    assert heat.zmid == 0
    written = {text for trace in numbers for text in trace.text}
    assert written == {f"{value:+.1f}".replace("-", "−") for value in rows.ravel() if abs(value) >= 0.05}
    assert heat.colorscale[0][1] == pair.second.entry.color
    clickable = {(int(y), int(x)) for x, y in zip(points.x, points.y, strict=True)}
    assert clickable == set(zip(*(n.tolist() for n in np.nonzero(first + second)), strict=True))
    assert [list(data[-2:]) for data in points.customdata] == [[y, x] for y, x in zip(points.y, points.x, strict=True)]


def test_figures_stand_odd_comparisons():
    two = example(strategies=("transfer_learning", "fine_tuning"), classes=("<b>x</b>", "y"), seeds=(0,))
    many = example(strategies=("transfer_learning", "fine_tuning"), classes=[f"c{k}" for k in range(100)], num_test=80)
    for found in (two, many):
        for figure in (
            charts.confusion_pair(found.record, pair_in(found)),
            charts.confusion_difference(found.record, pair_in(found)),
            charts.agreement_chart(agreement(list(found.record.runs), found.predictions), "r"),
        ):
            text = figure.to_json()
            assert "<b>x</b>" not in text.replace("\\u003c", "<").replace("\\u003e", ">").replace("\\/", "/")
            assert "NaN" not in text
            assert figure.layout.title.text


def test_the_chart_of_agreement_counts_every_image():
    found = example(seeds=(0, 1, 2))
    figure = charts.agreement_chart(agreement(list(found.record.runs), found.predictions), "r")
    assert sum(figure.data[0].y) == 153
    assert len(figure.data[0].y) == len(found.record.runs) + 1
    folds = example(split="kfold:3", seeds=(0, 1, 2), status={("fine_tuning", 0): "FAILED"})
    steps = charts.agreement_chart(agreement(list(folds.record.runs), folds.predictions), "r")
    assert sum(steps.data[0].y) == 459

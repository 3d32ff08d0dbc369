"""The change of each class between two strategies: numbers, intervals, tests and figures."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_statsmodels

from tests.records import example
from tlcore.analysis import charts
from tlcore.analysis.groups import groups_of
from tlcore.analysis.images import significance
from tlcore.analysis.images.changes import class_change_rows, class_changes
from tlcore.analysis.images.pairs import best_pair, groups_to_choose, models_to_choose, pair_of
from tlcore.analysis.images.significance import class_p_values
from tlcore.analysis.statistics.intervals import (
    Estimate,
    components,
    difference_estimate,
    mcnemar_exact,
    variance_of_mean,
)
from tlcore.errors import ComparisonError

THREE = ("ants", "bees", "wasps")


def pair_in(found, first, second, seed=None):
    groups = {group.strategy: group for group in groups_of(found.record)}
    return pair_of(groups[first], groups[second], list(groups.values()), seed)


def rights(found, strategy, label):
    """[S, N images of the class], counted in another way than by the code under test."""
    rows = []
    for run in found.record.runs:
        if run.spec.strategy == strategy:
            frame = found.predictions[run.run_id].set_index("path")
            part = frame[(frame["split"] == "test") & (frame["label"] == label)].sort_index()
            rows.append((part["label"] == part["predicted"]).to_numpy())
    return np.array(rows)


def test_each_class_has_the_interval_of_its_own_images():
    found = example(classes=THREE)
    pair = pair_in(found, "transfer_learning", "fine_tuning")
    changes = class_changes(found.record, pair, found.predictions)
    assert [change.name for change in changes] == list(THREE)
    for label, change in enumerate(changes):
        first, second = (rights(found, s, label) for s in ("transfer_learning", "fine_tuning"))
        expected = difference_estimate(first, second)
        assert change.images == 51
        assert change.change == pytest.approx(first.mean() - second.mean())
        assert change.interval == pytest.approx(expected.interval)
        assert change.basis == "seeds and images"


def test_the_tests_of_classes_are_those_of_two_ways_where_seeds_add_alike():
    rng = np.random.default_rng(2)
    difference = rng.integers(-1, 2, size=(3, 30)) + (rng.random((3, 30)) < 0.2)
    difference[0] += 1
    parts = components(difference)
    spread, freedom = variance_of_mean(parts, 3, 30)
    assert parts.seed > parts.residual
    assert spread > max(parts.seed, parts.image), "both vary"
    assert class_p_values([difference]) == pytest.approx([2 * t.sf(abs(difference.mean()) / spread**0.5, freedom)])
    still = np.tile(difference[0], (3, 1))
    alone, beside = class_p_values([still])[0], class_p_values([still, difference])[0]
    assert alone < beside, "a class whose seeds agree by luck borrows the variation of the others"


def test_a_class_without_a_p_value_is_an_error_and_no_certainty(monkeypatch):
    monkeypatch.setattr(significance, "pooled_estimates", lambda *given: [Estimate(0.1, None, "none")])
    with pytest.raises(AssertionError, match="nothing may be called clear"):
        class_p_values([np.zeros((2, 9), dtype=int)])


def test_one_seed_is_tested_as_statsmodels_does():
    found = example(classes=THREE)
    pair = pair_in(found, "transfer_learning", "from_scratch", seed=1)
    for label, change in enumerate(class_changes(found.record, pair, found.predictions)):
        first, second = (rights(found, s, label)[1] for s in ("transfer_learning", "from_scratch"))
        table = [[np.sum(first & second), np.sum(first & ~second)], [np.sum(~first & second), np.sum(~first & ~second)]]
        assert change.p_value == pytest.approx(mcnemar_of_statsmodels(table, exact=True).pvalue)
        assert change.basis == "images"
    assert mcnemar_exact(np.zeros(9, dtype=int)) == 1


def test_a_change_is_clear_only_after_the_correction():
    found = example(classes=[f"class {k:02d}" for k in range(12)], seeds=(0,), num_test=12 * 14)
    pair = pair_in(found, "transfer_learning", "from_scratch")
    for run, _ in pair.runs:
        found.predictions[run.run_id]["predicted"] = found.predictions[run.run_id]["label"]
    wrong = found.predictions[pair.runs[0][1].run_id]
    test = wrong[wrong["split"] == "test"].sort_values("path").index
    wrong["predicted"] = wrong["label"]
    for label, missed in ((0, 14), (1, 6)):
        rows = [row for row in test if wrong.loc[row, "label"] == label][:missed]
        wrong.loc[rows, "predicted"] = 5
    changes = class_changes(found.record, pair, found.predictions)
    assert [changes[0].p_value, changes[1].p_value] == pytest.approx([2 * 0.5**14, 2 * 0.5**6])
    assert changes[1].p_value < 0.05 < changes[1].adjusted, "alone it would look like a finding"
    assert [change.clear for change in changes] == [True] + [False] * 11
    rows = class_change_rows(changes, pair.names)
    assert [row["Clear after correction"] for row in rows[:3]] == ["yes", "no", "no"]
    assert rows[0]["A − B (points)"] == 100.0
    assert rows[-1]["95 % interval"].startswith("−"), "a true minus sign"


def redrawn(rng, apart):
    """A comparison of 40 classes with 50 test images each and 3 seeds, all redrawn; A's true lead is returned too."""
    found = example(
        strategies=("transfer_learning", "fine_tuning"), classes=[f"c{k:02d}" for k in range(40)], num_test=4
    )
    labels = np.repeat(np.arange(40), 50)
    ease = rng.normal(size=2000)
    levels = {"transfer_learning": 0.6, "fine_tuning": 0.6 - apart}
    for run in found.record.runs:
        own = rng.normal(scale=0.4, size=40)[labels] + rng.normal(scale=0.7, size=2000)
        right = ease + own + levels[run.spec.strategy] > 0
        found.predictions[run.run_id] = pd.DataFrame({
            "split": "test", "path": [f"{i:04d}.jpg" for i in range(2000)], "label": labels,
            "predicted": np.where(right, labels, (labels + 1) % 40),
        })  # fmt: skip
    spread = np.sqrt(1 + 0.4**2 + 0.7**2)
    return found, norm.cdf(0.6 / spread) - norm.cdf((0.6 - apart) / spread)


def test_the_intervals_of_classes_cover_the_truth():
    rng, covered = np.random.default_rng(7), []
    for _ in range(10):
        found, truth = redrawn(rng, apart=0.4)
        pair = pair_in(found, "transfer_learning", "fine_tuning")
        changes = class_changes(found.record, pair, found.predictions)
        covered += [change.interval[0] <= truth <= change.interval[1] for change in changes]
    assert 0.92 <= np.mean(covered) <= 0.99, "95 % of 400 classes, give or take"


def test_without_a_true_change_hardly_any_comparison_has_a_clear_class():
    rng, alone, corrected = np.random.default_rng(8), 0, 0
    for _ in range(20):
        found, _ = redrawn(rng, apart=0.0)
        changes = class_changes(found.record, pair_in(found, "transfer_learning", "fine_tuning"), found.predictions)
        alone += any(change.p_value < 0.05 for change in changes)
        corrected += any(change.clear for change in changes)
    assert alone >= 10, "without the correction most comparisons of 40 classes would claim something"
    assert corrected <= 3, "binomial: more than 3 of 20 at 5 % has a chance of 2 %"


def test_a_class_without_test_images_and_one_with_a_single_image():
    found = example(classes=THREE, seeds=(0, 1), num_test=2)
    changes = class_changes(found.record, pair_in(found, "fine_tuning", "transfer_learning"), found.predictions)
    assert [change.images for change in changes] == [1, 1, 0]
    assert changes[2].change is None
    assert changes[0].interval is None
    assert [row["Clear after correction"] for row in class_change_rows(changes, ("a", "b"))] == ["too few images"] * 3
    figure = charts.class_change_chart(changes, pair_in(found, "fine_tuning", "transfer_learning"), "r")
    assert len(figure.data[0].x) == 2


@pytest.mark.parametrize("split", ["repeated", "kfold:3"])
def test_seeds_with_images_of_their_own_use_the_corrected_t(split):
    found = example(classes=THREE, split=split)
    changes = class_changes(found.record, pair_in(found, "transfer_learning", "fine_tuning"), found.predictions)
    assert {change.basis for change in changes} == {"seeds, each with its own test images"}
    assert [change.images for change in changes] == [153] * 3, "51 of each of three seeds"
    for change in changes:
        excludes = change.interval[0] > 0 or change.interval[1] < 0
        assert (change.p_value < 0.05) == excludes or change.p_value == mcnemar_exact(np.zeros(1, dtype=int))


def test_seeds_that_agree_by_luck_have_the_p_value_of_the_one_that_tells_least():
    """Of the class, seed 0 has 12 test images and seed 1 has 4; A is right on all of them, B on none."""
    found = example(strategies=("transfer_learning", "fine_tuning"), seeds=(0, 1), split="repeated", num_test=24)
    for run in found.record.runs:
        frame = found.predictions[run.run_id]
        wrong = run.spec.strategy == "fine_tuning"
        frame["predicted"] = np.where((frame["label"] == 0) & wrong, 1, frame["label"])
        if run.spec.seed == 1:
            rows = frame[(frame["split"] == "test") & (frame["label"] == 0)].sort_values("path").index
            found.predictions[run.run_id] = frame.drop(rows[4:])
    change = class_changes(found.record, pair_in(found, "transfer_learning", "fine_tuning"), found.predictions)[0]
    assert (change.images, change.change) == (16, 1)
    assert change.p_value == pytest.approx(2 * 0.5**4), "McNemar's of four images, not that of twelve"


def test_other_test_images_are_refused():
    found = example(seeds=(0,))
    pair = pair_in(found, "transfer_learning", "fine_tuning")
    other = found.predictions[pair.runs[0][0].run_id]
    other["path"] = "moved/" + other["path"]
    with pytest.raises(ComparisonError, match="met other test images with seed 0"):
        class_changes(found.record, pair, found.predictions)


def test_the_best_and_the_runner_up_are_a_and_b():
    found = example(fractions=(0.5, 1.0), status={("staged_fine_tuning", 1): "FAILED"})
    pair = best_pair(found.record)
    means = {}
    for run in found.record.runs:
        if run.status == "FINISHED" and run.spec.fraction == 1:
            means.setdefault(run.spec.strategy, []).append(run.outcome.test.accuracy)
    order = sorted(means, key=lambda strategy: -np.mean(means[strategy]))
    assert [pair.first.strategy, pair.second.strategy] == order[:2]
    assert (pair.first.fraction, pair.second.fraction) == (1.0, 1.0)
    staged = pair_in(example(status={("staged_fine_tuning", 1): "FAILED"}), "staged_fine_tuning", "fine_tuning")
    assert staged.seeds == (0, 2), "only seeds that both finished"
    assert best_pair(example(strategies=("fine_tuning",)).record) is None


def test_a_random_start_on_another_network_stands_beside_every_model():
    found = example(strategies=("from_scratch", "fine_tuning"), seeds=(0,), scratch_model="resnet18")
    assert models_to_choose(found.record) == ["mobilenetv2_100"]
    chosen = groups_to_choose(found.record, "mobilenetv2_100", 1.0)
    assert {group.strategy for group in chosen} == {"from_scratch", "fine_tuning"}


@pytest.mark.parametrize("dark", [False, True])
def test_the_figure_is_filled_where_a_change_is_clear(dark):
    found = example(classes=THREE)
    pair = pair_in(found, "transfer_learning", "from_scratch")
    changes = class_changes(found.record, pair, found.predictions)
    (marks,) = charts.class_change_chart(changes, pair, "r", dark).data
    assert list(marks.marker.symbol) == ["circle" if c.clear else "circle-open" for c in changes]
    assert list(marks.x) == pytest.approx([100 * c.change for c in changes])
    assert set(marks.marker.color) == {pair.first.entry.color}, "A is better everywhere"

"""Comparisons whose seeds have test images of their own: intervals, what is comparable, and what is said of it."""

import re

import numpy as np
import pytest

from tests.records import example
from tlcore.analysis import charts
from tlcore.analysis.caveats import caveats, command_of, loud
from tlcore.analysis.comparison import comparable, leaderboard, result_of
from tlcore.analysis.groups import groups_of
from tlcore.analysis.report import as_html, document_of
from tlcore.analysis.statistics.estimates import all_right, difference_of, estimate_of, validation_ratio
from tlcore.analysis.statistics.resampling import OWN_IMAGES, resampled_difference, resampled_estimate
from tlcore.errors import ComparisonError

TWO = ("fine_tuning", "transfer_learning")


@pytest.fixture(scope="module")
def folds():
    return example(strategies=TWO, seeds=(0, 1, 2), split="kfold:3")


def with_test(record, choose, fingerprint="9" * 64):
    """The record with another test split for the chosen runs."""
    runs = tuple(
        run.model_copy(update={"resolved": run.resolved.model_copy(update={"test_fingerprint": fingerprint})})
        if choose(run.spec)
        else run
        for run in record.runs
    )
    return record.model_copy(update={"runs": runs})


@pytest.mark.parametrize(("split", "rest"), [("fixed", 397 - 153 - 50), ("repeated", 397 - 50), ("kfold:3", 397 - 50)])
def test_validation_images_of_seeds_overlap_unless_they_are_the_datasets_own(split, rest):
    record = example(strategies=TWO, split=split, fractions=(0.5, 1.0)).record
    assert validation_ratio(record) == pytest.approx(50 / rest)
    own = tuple(
        run.model_copy(update={"resolved": run.resolved.model_copy(update={"split_fingerprint": "5" * 64})})
        if run.spec.fraction == 1
        else run
        for run in record.runs
    )
    assert validation_ratio(record.model_copy(update={"runs": own})) == 0, "parts of training images differ by seed"
    assert validation_ratio(record.model_copy(update={"runs": ()})) == 0


@pytest.mark.parametrize(("split", "ratio"), [("kfold:3", 1 / 2), ("repeated", 153 / (397 - 153))])
def test_intervals_are_over_seeds_with_the_corrected_variance(split, ratio):
    found = example(strategies=TWO, seeds=(0, 1, 2), split=split)
    for group in groups_of(found.record):
        accuracies = [run.outcome.test.accuracy for run in group.runs]
        expected = resampled_estimate(accuracies, 153, ratio)
        assert estimate_of(found.record, group, all_right(found.predictions)) == expected
        assert estimate_of(found.record, group, {}) == expected, "accuracies are all that it takes"
    rows = leaderboard(found.record, found.predictions)
    assert {row.interval_covers for row in rows} == {OWN_IMAGES}
    note = charts.accuracy_intervals(rows).layout.title.subtitle.text
    assert "95 % interval over seeds, each with its own test images." in note.replace("\u00a0", " ")


def test_one_seed_speaks_of_its_images():
    found = example(strategies=TWO, seeds=(1,), split="kfold:3")
    assert {row.interval_covers for row in leaderboard(found.record, found.predictions)} == {"images"}
    assert "They speak of these trained networks" in result_of(found.record, found.predictions).verdict.claim


def test_a_difference_is_paired_by_seed_and_image(folds):
    first, second = groups_of(folds.record)
    found = difference_of(folds.record, first, second, all_right(folds.predictions)).estimate
    pairs = []
    for one, other in zip(first.runs, second.runs, strict=True):
        frames = [folds.predictions[run.run_id].query("split == 'test'").sort_values("path") for run in (one, other)]
        assert frames[0]["path"].tolist() == frames[1]["path"].tolist()
        pairs.append(np.stack([frame["label"].to_numpy() == frame["predicted"].to_numpy() for frame in frames]))
    assert found == resampled_difference(pairs, 1 / 2)
    assert found.basis == OWN_IMAGES
    assert difference_of(folds.record, first, second, {}) is None
    fixed = example(strategies=TWO)
    first, second = groups_of(fixed.record)
    found = difference_of(fixed.record, first, second, all_right(fixed.predictions)).estimate
    assert found.basis == "seeds and images"
    means = [np.mean([run.outcome.test.accuracy for run in group.runs]) for group in (first, second)]
    assert found.mean == pytest.approx(means[0] - means[1])


def test_a_difference_between_runs_that_met_other_images_is_refused(folds):
    first, second = groups_of(folds.record)
    moved = {run.run_id: folds.predictions[run.run_id].assign(path=lambda f: "x/" + f["path"]) for run in second.runs}
    with pytest.raises(ComparisonError, match="did not predict the same images"):
        difference_of(folds.record, first, second, all_right({**folds.predictions, **moved}))


def test_test_splits_must_agree_per_seed(folds):
    assert comparable(folds.record.runs) == []
    other = with_test(folds.record, lambda spec: spec.seed == 2 and spec.strategy == "fine_tuning")
    told = "the test images differ for seed 2: 2 test splits (999999999999 and 000000277777)"
    assert comparable(other.runs) == [told]
    assert comparable(with_test(folds.record, lambda spec: spec.seed == 2).runs) == [], "all runs of the seed moved"
    fixed = example(strategies=TWO).record
    assert len(comparable(with_test(fixed, lambda spec: spec.seed == 2).runs)) == 1, "a fixed split has one for all"
    assert comparable([*folds.record.runs, *fixed.runs])[0] == "split differs: kfold:3 and fixed"


@pytest.mark.parametrize("split", ["kfold:3", "repeated", "fixed"])
def test_where_test_splits_differ_nobody_wins_and_it_is_said_first(split):
    """In the verdict, beside the table and in the report."""
    found = example(strategies=TWO, split=split)
    record = with_test(found.record, lambda spec: spec.strategy == "fine_tuning" and spec.seed in {0, 2})
    seeds = "" if split == "fixed" else " for seed 0 and 2"
    verdict = result_of(record, found.predictions).verdict
    assert verdict.text.startswith(f"Not compared: the test images differ{seeds}: 2 test splits")
    assert verdict.best == ()
    assert loud(record)[0].startswith(f"Not comparable: the test images differ{seeds}")
    assert not any("Not comparable" in line for line in caveats(record)), "once is enough"
    html = as_html(document_of(record, found.predictions))
    assert html.index("Not comparable: the test images differ") < html.index("<table>")
    assert "Not compared: the test images differ" in html


def test_seeds_of_a_fixed_split_that_met_other_images_have_no_mean():
    found = example(strategies=TWO)
    last = next(run.run_id for run in found.record.runs if run.spec.seed == 2)
    moved = {**found.predictions, last: found.predictions[last].assign(path=lambda f: "x/" + f["path"])}
    for view in (leaderboard, result_of, document_of):
        with pytest.raises(ComparisonError, match="did not predict the same images"):
            view(found.record, moved)


def test_the_report_and_the_verdict_name_the_plan(folds):
    claim = result_of(folds.record, folds.predictions).verdict.claim
    assert claim.startswith("3 seeds, each with its own test images:")
    assert result_of(folds.record, {}).split == "kfold:3"
    (line,) = [line for line in caveats(folds.record) if line.startswith("Split kfold:3")]
    assert "each seed has its own test images" in line
    assert "Nadeau &amp; Bengio 2003" in (html := as_html(document_of(folds.record, folds.predictions)))
    assert re.search(r"<dt>Split</dt><dd>kfold:3 \(3 folds: each seed has its own test images", html)
    fixed = example(strategies=TWO)
    assert not any(line.startswith("Split") for line in caveats(fixed.record))
    assert "own test images" not in as_html(document_of(fixed.record, fixed.predictions))


def test_folds_that_no_seed_tests_are_said():
    some = example(strategies=TWO, seeds=(0, 3, 4), split="kfold:3").record
    assert any("the seeds test 2 of 3 folds, so not every image was tested" in line for line in caveats(some))
    assert not any("not every image" in line for line in caveats(example(split="kfold:3", seeds=(0, 4, 5)).record))


def test_the_command_repeats_the_plan(folds):
    assert "--split kfold:3 --seeds 0,1,2" in command_of(folds.record.spec, folds.record.dataset)
    assert "--split" not in command_of(example().record.spec, folds.record.dataset)


def test_classes_tell_their_images_per_seed(folds):
    runs = list(folds.record.runs)
    (ants, bees) = runs[0].per_class["test"]
    changed = (ants.model_copy(update={"num_images": ants.num_images + 1}), bees)
    runs[0] = runs[0].model_copy(update={"per_class": {**runs[0].per_class, "test": changed}})
    table = charts.per_class_table(folds.record.model_copy(update={"runs": tuple(runs)}))
    counts = table[table["Strategy"] == runs[0].spec.entry.short_label].set_index("Class")["Images"]
    assert (counts["ants"], counts["bees"]) == (round(ants.num_images + 1 / 3, 1), bees.num_images)

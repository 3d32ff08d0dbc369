"""Transfer measures on constructed curves, with every number worked out by hand."""

from math import inf

import pytest

from tests.records import example
from tests.records_curves import NUM_TRAIN, curve, with_curves
from tlcore.analysis import charts
from tlcore.analysis.curves import still_rising
from tlcore.analysis.groups import groups_of
from tlcore.analysis.transfer import (
    EXPLAINED,
    missing_words,
    threshold_rows,
    threshold_table,
    transfer_rows,
    transfer_sentences,
    transfer_table,
)
from tlcore.analysis.transfer.paths import Path, common_horizon, height, path_of, value_at
from tlcore.analysis.transfer.rows import chance_of
from tlcore.results import ConfusionMatrix

AXES = ("epoch", "images_seen", "train_seconds")
TWO = {
    "from_scratch": [curve([0.5, 0.6]), curve([0.5, 0.7])],
    "fine_tuning": [curve([0.7, 0.9]), curve([0.8, 0.9])],
}


def one_row(curves, x="epoch", **more):
    (row,) = transfer_rows(with_curves(curves, **more).record, x)
    return row


def test_two_seeds_by_hand():
    row = one_row(TWO)
    assert (row.read_at, row.horizon, row.num_seeds) == (1.0, 2.0, 2)
    assert row.jumpstart.mean == pytest.approx(0.25)
    half = 12.7062 * 0.05 * (1 + 2 * 50 / 194) ** 0.5  # 50 of 244 images are drawn for validation by each seed
    assert row.jumpstart.interval == pytest.approx((0.25 - half, min(1, 0.25 + half)), abs=1e-4)
    # Seed 0: (0.1 + 0.3)/2 against (0 + 0.05)/2; seed 1: (0.15 + 0.35)/2 against (0 + 0.1)/2.
    assert row.area.mean == pytest.approx((0.175 + 0.2) / 2)
    assert row.area.interval == pytest.approx((0.1875 - half / 4, 0.1875 + half / 4), abs=1e-4)
    assert row.end.mean == pytest.approx(0.25), "the last evaluation of two: 0.3 and 0.2"
    assert row.end.interval == pytest.approx(row.jumpstart.interval)
    assert row.averaged == (1, 1)
    assert (row.rising, row.baseline_rising) == (True, True)


def test_an_interval_holds_no_more_than_is_possible_and_it_is_said():
    """Two seeds apart by 0.2: t = 12.7, so that the interval alone would reach 2.1 above the mean."""
    row = one_row({
        "from_scratch": [curve([0.1, 0.1]), curve([0.1, 0.1])],
        "fine_tuning": [curve([0.6, 0.7]), curve([0.9, 1.0])],
    })  # fmt: skip
    for measure in (row.jumpstart, row.area, row.end):
        assert -1 <= measure.interval[0] < measure.mean < measure.interval[1] <= 1
    assert row.jumpstart.interval == (-1, 1)
    assert not row.jumpstart.differs
    (said,) = transfer_table([row])
    assert said["Higher start (points)"] == "+65.0 (−100.0 to +100.0)"
    assert "cut at ±100" in EXPLAINED


def test_the_measures_do_not_depend_on_the_unit_where_runs_keep_the_same_pace():
    rows = [one_row(TWO, x) for x in AXES]
    assert [row.read_at for row in rows] == [1.0, NUM_TRAIN, 10.0]
    assert [row.horizon for row in rows] == [2.0, 2 * NUM_TRAIN, 20.0]
    assert len({(round(r.jumpstart.mean, 9), round(r.area.mean, 9), round(r.end.mean, 9)) for r in rows}) == 1


def test_the_ratio_is_gain_over_from_scratchs_own_area_above_chance():
    curves = {"from_scratch": [curve([0.7, 0.7])], "fine_tuning": [curve([0.8, 0.8])]}
    row = one_row(curves)  # heights 0.15 and 0.225
    assert row.ratio.mean == pytest.approx(0.5)
    assert row.ratio.interval is None
    guessing = {**curves, "from_scratch": [curve([0.5, 0.52])]}
    assert one_row(guessing).ratio is None, "an area that 50 validation images could give by guessing"


def test_seconds_count_what_each_run_took():
    curves = {
        "from_scratch": [curve([0.6, 0.8], seconds=[10.0, 20.0])],
        "fine_tuning": [curve([0.7, 0.9], seconds=[12.0, 24.0])],
    }
    row = one_row(curves, "train_seconds")
    assert row.read_at == 12.0
    assert row.jumpstart.mean == pytest.approx(0.7 - 0.64)
    assert row.horizon == 20.0
    fine = (12 * 0.2 / 2 + 8 * (0.2 + 0.2 + 0.2 * 8 / 12) / 2) / 20
    assert row.area.mean == pytest.approx(fine - (10 * 0.1 / 2 + 10 * (0.1 + 0.3) / 2) / 20)


def test_a_fit_is_one_pass_and_is_charged_its_seconds():
    curves = {
        "from_scratch": [curve([0.5, 0.7])],
        "feature_extraction": [curve([0.9], seconds=[6.0], fit=True)],
    }
    row = one_row(curves, "train_seconds")
    assert row.read_at == 10.0
    assert row.jumpstart.mean == pytest.approx(0.4)
    assert row.area.mean == pytest.approx((0.4 * 14 - 0.2 * 10 / 2) / 20), "nothing in its first 6 seconds"
    assert row.rising is False
    epochs = one_row(curves, "epoch")
    assert (epochs.read_at, epochs.horizon) == (1.0, 2.0)
    assert epochs.area.mean == pytest.approx((0.4 * 1 - 0.1) / 2)
    late = {**curves, "feature_extraction": [curve([0.9], seconds=[30.0], fit=True)]}
    slow = one_row(late, "train_seconds")
    assert slow.jumpstart.mean == pytest.approx(0.2), "from scratch had ended with 0.7 by then"
    assert slow.area.mean == pytest.approx(-0.05), "it had nothing by the end of the horizon"


def test_one_pass_over_a_part_of_the_images_is_that_part_of_an_epoch():
    part = curve([0.9], images=97, fit=True)
    curves = {"from_scratch": [curve([0.5, 0.7])], "feature_extraction": [part]}
    record = with_curves(curves, fractions=(0.5,)).record
    run = next(run for run in record.runs if run.spec.strategy == "feature_extraction")
    assert path_of(run, "epoch").x == pytest.approx((0.5,))
    assert path_of(run, "images_seen").x == (97.0,)


def test_a_fit_before_training_is_charged_to_what_follows():
    (run,) = with_curves({"lp_ft": [(*curve([0.8], fit=True), *curve([0.9, 0.95]))]}).record.runs
    path = path_of(run, "images_seen")
    assert path.x == (NUM_TRAIN, 2 * NUM_TRAIN, 3 * NUM_TRAIN)
    assert path_of(run, "epoch").x == pytest.approx((1.0, 2.0, 3.0))
    assert (path.idle, path.one_pass) == (NUM_TRAIN, False)


def test_trials_that_were_not_chosen_are_charged():
    record = with_curves({"fine_tuning": [curve([0.8, 0.9])]}, {"fine_tuning": {"tuning_seconds": 40.0}}).record
    path = path_of(record.runs[0], "train_seconds")
    assert path.x == (50.0, 60.0)
    assert path.idle == 40.0
    assert path_of(record.runs[0], "epoch").x == (1.0, 2.0)


def test_heights_are_areas_over_the_horizon():
    path = Path((2.0, 4.0), (0.6, 1.0))
    assert height(path, 0.5, 4.0) == pytest.approx((2 * 0.1 / 2 + 2 * (0.1 + 0.5) / 2) / 4)
    assert height(path, 0.5, 1.0) == pytest.approx(0.025)
    assert height(Path((2.0,), (0.9,), 2.0, True), 0.5, 1.0) == 0.0
    assert height(Path((2.0,), (0.9,), 2.0, True), 0.5, 2.0) == 0.0, "its pass is paid for only then"
    assert height(Path((2.0, 4.0), (0.9, 1.0), 2.0), 0.5, 2.0) == 0.0
    assert height(path, 0.5, 0.0) == 0.0
    assert (value_at(path, 3.0), value_at(path, 9.0)) == (pytest.approx(0.8), 1.0)
    fit = Path((2.0,), (0.9,), 2.0, True)
    assert common_horizon(fit, fit) is None
    assert common_horizon(fit, path) == 4.0


def test_chance_is_the_largest_class_of_validation():
    record = with_curves(TWO).record
    assert chance_of(record) == pytest.approx(0.5)
    matrix = ConfusionMatrix(classes=("a", "b"), counts=((1, 2), (3, 4)))
    uneven = [run.model_copy(update={"confusion": {"val": matrix}}) for run in record.runs]
    assert chance_of(record.model_copy(update={"runs": tuple(uneven)})) == pytest.approx(0.7)
    bare = [run.model_copy(update={"confusion": {}}) for run in example(classes=("a", "b", "c", "d")).record.runs]
    four = example(classes=("a", "b", "c", "d")).record
    assert chance_of(four.model_copy(update={"runs": tuple(bare)})) == 0.25


def negative(change, seeds=4, last=0.60):
    """Fine-tuning that ends 20 points below from scratch, a little else in each seed. change: its last step."""
    noise = [0.0, 0.01, 0.02, 0.03]
    return {
        "from_scratch": [curve([0.7, 0.8 + n]) for n in noise[:seeds]],
        "fine_tuning": [curve([last - change, last + 2 * n]) for n in noise[:seeds]],
    }


def test_negative_transfer_is_flagged_where_it_had_its_time():
    row = one_row(negative(change=-0.05))
    assert row.end.mean == pytest.approx(-0.185)
    assert row.rising is False
    assert row.p == row.end.p
    assert row.p < 0.05
    assert row.is_negative
    said = transfer_sentences([row])[-1]
    assert "Negative transfer" in said
    assert "ends 18.5 points (" in said
    assert "below it" in said
    assert not one_row(negative(change=0.2)).is_negative, "it still rises"
    assert not one_row(negative(change=-0.05, seeds=1)).is_negative, "one seed tells nothing"
    assert not one_row(negative(change=-0.05, last=0.95)).is_negative, "it ends above"


def test_who_learnt_nothing_or_was_evaluated_once_is_no_negative_transfer():
    stuck = one_row(negative(change=-0.05), outcome={"fine_tuning": {"did_not_learn": True}})
    assert stuck.p < 0.05
    assert not stuck.is_negative
    said = transfer_sentences([stuck])
    assert "Learnt nothing, so where they end says nothing of transfer: Fine-tuning (4 of 4 runs)." in said
    assert not any("Negative transfer" in line for line in said)
    once = {name: [history[1:] for history in own] for name, own in negative(change=-0.05).items()}
    early = one_row(once)
    assert early.rising is None
    assert early.end.mean < 0
    assert early.p < 0.05
    assert not early.is_negative


def test_the_test_for_negative_transfer_is_corrected_for_the_number_of_rows():
    curves = negative(change=-0.05)
    curves = {**curves, "transfer_learning": curves["fine_tuning"], "staged_fine_tuning": curves["fine_tuning"]}
    rows = transfer_rows(with_curves(curves).record)
    assert [row.p for row in rows] == pytest.approx([3 * row.end.p for row in rows])


def test_only_seeds_that_both_have_finished_count():
    record = with_curves(TWO, status={("from_scratch", 1): "RUNNING"}).record
    (row,) = transfer_rows(record)
    assert row.num_seeds == 1
    assert row.jumpstart.mean == pytest.approx(0.2)
    none = with_curves(TWO, status={("from_scratch", n): "FAILED" for n in (0, 1)}).record
    assert transfer_rows(none) == []
    assert "No seed has finished both" in missing_words(groups_of(none))
    lone = example(strategies=("fine_tuning",)).record
    assert "--strategy from_scratch" in missing_words(groups_of(lone))


def test_from_scratch_on_another_network_is_the_baseline_of_every_model():
    built = example(strategies=("from_scratch", "fine_tuning"), models=("a", "b"), scratch_model="small", seeds=(0,))
    rows = transfer_rows(built.record)
    assert [(row.group.model, row.baseline.model) for row in rows] == [("a", "small"), ("b", "small")]
    assert "small, another network" in " ".join(transfer_sentences(rows))
    assert {row["Against"] for row in transfer_table(rows)} == {"From scratch on small (a different network)"}
    assert len({r.model for r in threshold_rows(built.record)}) == 2
    own = example(strategies=("from_scratch", "fine_tuning"), models=("a", "b"), seeds=(0,)).record
    assert [(row.group.model, row.baseline.model) for row in transfer_rows(own)] == [("a", "a"), ("b", "b")]


def test_the_plain_from_scratch_is_the_baseline_and_its_variants_are_no_rows():
    names = ("from_scratch:learning_rate=0.3", "from_scratch", "fine_tuning")
    (row,) = transfer_rows(example(strategies=names, seeds=(0,)).record)
    assert row.baseline.strategy == "from_scratch"
    (row,) = transfer_rows(example(strategies=names[::2], seeds=(0,)).record)
    assert row.baseline.strategy == names[0]


def test_a_baseline_that_learnt_nothing_is_said_first():
    record = with_curves(TWO, {"from_scratch": {"did_not_learn": True}}).record
    said = transfer_sentences(transfer_rows(record))
    assert "learnt nothing in 2 of 2 runs: the measures stand against a network that guesses" in said[0]
    assert not any("learnt nothing" in line for line in transfer_sentences(transfer_rows(with_curves(TWO).record)))


def test_thresholds_are_censored_where_runs_end():
    curves = {
        "from_scratch": [curve([0.5, 0.74]), curve([0.5, 0.6])],
        "fine_tuning": [curve([0.8, 0.9]), curve([0.7, 0.9])],
        "feature_extraction": [curve([0.72], seconds=[6.0], fit=True), curve([0.68], seconds=[6.0], fit=True)],
    }
    rows = {(r.group.strategy, r.share): r for r in threshold_rows(with_curves(curves).record, "train_seconds")}
    half = {name: rows[name, 0.5] for name in curves}
    assert half["fine_tuning"].accuracy == pytest.approx(0.7), "half way from 0.5 to 0.9"
    assert (half["fine_tuning"].median, half["fine_tuning"].seeds) == (10.0, 2)
    assert (half["from_scratch"].median, half["from_scratch"].seeds) == (20.0, 1), "half of the seeds have it by 20 s"
    assert (half["feature_extraction"].median, half["feature_extraction"].seeds) == (6.0, 1)
    top = {name: rows[name, 0.95] for name in curves}
    assert (top["from_scratch"].median, top["from_scratch"].followed, top["from_scratch"].seeds) == (None, 20.0, 0)
    assert (top["feature_extraction"].median, top["feature_extraction"].followed) == (None, inf)
    table = {row["Strategy"].split(":")[0]: row for row in threshold_table(list(rows.values()), "train_seconds")}
    assert table["From scratch"]["88.0 % (95 % of the way)"] == "> 20 s (0 of 2 seeds)"
    assert table["Feature extraction"]["88.0 % (95 % of the way)"] == "never (0 of 2 seeds)"
    assert table["Fine-tuning"]["88.0 % (95 % of the way)"] == "20 s"


def test_seeds_that_never_had_it_were_followed_as_far_as_the_first_of_them():
    """One that has it does not count, however early it had it; of the others the one that ended first does."""
    seeds = [curve([0.9], seconds=[5.0]), curve([0.5, 0.6]), curve([0.5, 0.5, 0.6])]
    record = with_curves({"fine_tuning": seeds}).record
    row = {r.share: r for r in threshold_rows(record, "train_seconds")}[0.95]
    assert (row.seeds, row.median, row.followed) == (1, None, 20.0)


def test_nothing_above_chance_has_no_thresholds():
    assert threshold_rows(with_curves({"from_scratch": [curve([0.5, 0.4])]}).record) == []


def test_a_curve_rises_while_the_last_third_of_its_steps_gains_more_than_chance():
    def runs(*curves):
        return with_curves({"fine_tuning": list(curves)}).record.runs

    assert still_rising(runs(curve([0.5, 0.9]))) is True
    assert still_rising(runs(curve([0.5, 0.505]))) is False
    assert still_rising(runs(curve([0.5, 0.6]))) is False, "a third of that, which 50 images do not show"
    assert still_rising(runs(curve([0.5, 0.9])), margin=0.5) is False
    assert still_rising(runs(curve([0.1, 0.2, 0.8, 0.8, 0.8, 0.81, 0.8, 0.8]))) is False, "it rose early"
    assert still_rising(runs(curve([0.5, 0.9]), curve([0.9, 0.5]))) is False, "mean over seeds"
    assert still_rising(runs(curve([0.5]))) is None
    assert still_rising(runs(curve([0.5], fit=True))) is False
    assert still_rising([]) is None


def test_the_figures_show_what_was_computed():
    built = with_curves(TWO)
    rows = transfer_rows(built.record)
    figure = charts.transfer_chart(rows)
    assert [trace.x[0] for trace in figure.data] == pytest.approx([25.0, 18.75, 25.0])
    assert figure.data[0].error_x.array[0] == pytest.approx(100 * (rows[0].jumpstart.interval[1] - 0.25))
    assert [trace.marker.symbol for trace in figure.data] == ["circle", "circle", "circle-open"]
    thresholds = threshold_rows(built.record, "train_seconds")
    drawn = charts.threshold_chart(thresholds, "train_seconds")
    line = next(trace for trace in drawn.data if trace.name == "Fine-tuning")
    assert list(line.x) == [r.median for r in thresholds if r.group.strategy == "fine_tuning"]
    arrows = next(trace for trace in drawn.data if trace.marker.symbol == "triangle-right-open")
    assert set(arrows.x) == {20.0}
    assert {trace.name for trace in drawn.data if trace.showlegend is not False} == {"Fine-tuning", "From scratch"}
    never = {"from_scratch": [curve([0.5, 0.5])], "fine_tuning": [curve([0.8, 0.9])]}
    lone = charts.threshold_chart(threshold_rows(with_curves(never).record))
    assert [trace.name for trace in lone.data if trace.showlegend is not False] == ["From scratch", "Fine-tuning"]
    for empty in (charts.transfer_chart([]), charts.threshold_chart([])):
        assert "NaN" not in empty.to_json()

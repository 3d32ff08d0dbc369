"""The front of accuracy and cost, and the best within a time, on constructed rows and curves."""

from dataclasses import replace
from itertools import pairwise

import pytest
from scipy import stats

from tests.records import example
from tests.records_curves import curve, with_curves
from tlcore.analysis import charts
from tlcore.analysis.costs import cost_sentences, pareto_front, priced
from tlcore.analysis.groups import fraction_words, groups_of, measured
from tlcore.analysis.leaderboard import leaderboard
from tlcore.analysis.left_out import left_out_of, left_out_sentence
from tlcore.analysis.report import figure_sections
from tlcore.analysis.report.blocks import Grid, Lines, Words
from tlcore.analysis.report.closer import cost_section
from tlcore.analysis.statistics.estimates import all_right
from tlcore.analysis.time_budgets import (
    best_within,
    budget_curves,
    lead_within,
    reign_sentence,
    reign_table,
    reigns,
    within_sentence,
)
from tlcore.analysis.verdict import decide

NAMES = ("from_scratch", "feature_extraction", "transfer_learning", "fine_tuning", "staged_fine_tuning")
ALL = fraction_words(1.0)
BUDGET = {
    "feature_extraction": [curve([0.90], seconds=[4.0], fit=True), curve([0.86], seconds=[5.0], fit=True)],
    "fine_tuning": [curve([0.6, 0.95, 0.7], seconds=[6.0, 12.0, 18.0]), curve([0.7, 0.92, 0.8], seconds=[6.5, 13, 18])],
}


def rows_at(places):
    """Rows with these (seconds, accuracy), in the order of `NAMES`."""
    built = example(strategies=NAMES, seeds=(0,))
    by_name = {row.strategy: row for row in leaderboard(built.record, built.predictions)}
    return [
        by_name[name].model_copy(update={"train_seconds": seconds, "test_accuracy": accuracy, "ci95": None})
        for name, (seconds, accuracy) in zip(NAMES, places, strict=False)
    ]


def names(rows):
    return [NAMES.index(row.strategy) for row in rows]


def test_the_front_is_what_nobody_beats():
    rows = rows_at([(5.0, 0.7), (2.0, 0.6), (9.0, 0.9), (6.0, 0.65), (9.0, 0.8)])
    assert names(pareto_front(rows)) == [1, 0, 2]
    assert names(pareto_front(rows[:1])) == [0]
    assert pareto_front([]) == []


def test_equals_share_the_front_and_a_tie_in_one_measure_is_beaten():
    assert names(pareto_front(rows_at([(5.0, 0.7), (5.0, 0.7), (5.0, 0.6), (6.0, 0.7)]))) == [0, 1]


def test_every_cost_has_a_front_of_its_own():
    first, second = rows_at([(1.0, 0.7), (5.0, 0.9)])
    first = first.model_copy(update={"peak_memory_bytes": 4_000_000_000, "num_trainable_parameters": 10})
    second = second.model_copy(update={"peak_memory_bytes": 2_000_000_000, "num_trainable_parameters": None})
    assert names(pareto_front([first, second], "train_seconds")) == [0, 1]
    assert names(pareto_front([first, second], "peak_memory_bytes")) == [1]
    assert names(priced([first, second], "num_trainable_parameters")) == [0], "an unknown cost is no cost of 0"
    (worth, beaten) = cost_sentences([first, second], "peak_memory_bytes")
    assert "Feature extraction (90.0 %, 2 GB)" in worth
    assert beaten.endswith("no worse on average: From scratch.")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0"),
        (0.0436, "0.044"),
        (4.1234, "4.12"),
        (99.44, "99.4"),
        (99.7, "100"),
        (999.7, "1,000"),
        (1204.4, "1,204"),
    ],
)
def test_measurements_have_as_many_digits_as_are_worth_reading(value, words):
    assert measured(value) == words


def test_fewer_training_images_are_another_price():
    built = example(strategies=("fine_tuning", "transfer_learning"), seeds=(0,), fractions=(0.5, 1.0))
    rows = leaderboard(built.record, built.predictions)
    assert {row.fraction for row in priced(rows)} == {1.0}


def test_the_figure_fills_the_front_and_hollows_the_rest():
    rows = rows_at([(5.0, 0.7), (2.0, 0.6), (9.0, 0.9), (6.0, 0.65)])
    line, *marks = charts.pareto(rows).data
    assert (list(line.x), list(line.y), line.line.shape) == ([2.0, 5.0, 9.0], [0.6, 0.7, 0.9], "hv")
    assert [mark.marker.symbol for mark in marks] == ["circle", "circle", "circle", "circle-open"]
    assert "NaN" not in charts.pareto([]).to_json()
    built = example()
    (own,) = [r for r in leaderboard(built.record, built.predictions) if r.strategy == "fine_tuning"]
    (bar,) = charts.pareto([own]).data
    assert bar.y[0] + bar.error_y.array[0] == pytest.approx(own.ci95[1])
    assert bar.x[0] == own.train_seconds
    assert charts.pareto([own], "peak_memory_bytes").data[0].x[0] == pytest.approx(1.2)


def found_at(record, seconds):
    return {within.group.strategy: within.accuracy.mean for within in best_within(record, seconds)}


def test_the_best_within_a_time_is_the_highest_so_far_and_needs_every_seed():
    record = with_curves(BUDGET).record
    assert found_at(record, 3.9) == {}
    assert found_at(record, 4.5) == {}, "one of two seeds would be another sample"
    assert found_at(record, 5.0) == {"feature_extraction": pytest.approx(0.88)}
    assert list(found_at(record, 6.5)) == ["feature_extraction", "fine_tuning"]
    assert found_at(record, 6.5)["fine_tuning"] == pytest.approx(0.65)
    assert found_at(record, 12.5)["fine_tuning"] == pytest.approx((0.95 + 0.7) / 2)
    assert found_at(record, 99)["fine_tuning"] == pytest.approx(0.935), "not where it fell to afterwards"
    assert next(iter(found_at(record, 99))) == "fine_tuning"


def test_the_lead_is_paired_by_seed():
    record = with_curves(BUDGET).record
    first, second = (within.group for within in best_within(record, 99))
    lead = lead_within(record, first, second, 99)
    wider = (1 + 2 * 50 / 194) ** 0.5  # 50 of 244 images are drawn for validation by each seed
    p_value = 2 * stats.t.sf(stats.ttest_rel([0.95, 0.92], [0.90, 0.86]).statistic / wider, 1)
    assert (lead.mean, lead.p) == (pytest.approx(0.055), pytest.approx(p_value))
    half = stats.t.ppf(0.975, 1) * 0.03 * wider / 2  # 0.95 and 0.92: a standard error of 0.015
    assert best_within(record, 99)[0].accuracy.interval[0] == pytest.approx(0.935 - half)
    said = within_sentence(record, 99)
    assert said.startswith("Within 99 s of training: Fine-tuning, 93.5 % of the validation images right; next Feature")
    assert "difference +5.5 points, 95 % interval −2.3 to +13.3" in said
    assert "no strategy has been evaluated" in within_sentence(record, 1)
    assert "no other has been evaluated" in within_sentence(record, 5.5)


def test_intervals_of_what_is_best_within_a_time_hold_no_more_than_is_possible():
    curves = {"fine_tuning": [curve([0.8]), curve([1.0])], "feature_extraction": [curve([0.3]), curve([0.2])]}
    record = with_curves(curves).record
    found = best_within(record, 99)
    assert found[0].accuracy.interval == (0, 1)
    assert lead_within(record, found[0].group, found[1].group, 99).interval == (-1, 1)


def test_the_lead_changes_hands_at_the_evaluation_that_takes_it():
    record = with_curves(BUDGET).record
    found = reigns(record)
    assert [(r.start, r.group.strategy) for r in found] == [(5.0, "feature_extraction"), (13.0, "fine_tuning")]
    assert found[0].runner_up is None
    assert found[1].lead == pytest.approx(0.055)
    assert reign_sentence(found, record).endswith("from 5 s: Feature extraction; from 13 s: Fine-tuning.")
    assert [row["From (training time)"] for row in reign_table(found, record)] == ["5 s", "13 s"]
    assert [row["Ahead by (points)"] for row in reign_table(found, record)] == [None, 5.5]
    for before, after in pairwise(found):
        assert next(iter(found_at(record, after.start - 1e-6))) == before.group.strategy
        assert next(iter(found_at(record, after.start))) == after.group.strategy


def test_who_leads_keeps_the_lead_at_equality():
    curves = {"transfer_learning": [curve([0.8])], "fine_tuning": [curve([0.7, 0.8])]}
    assert [r.group.strategy for r in reigns(with_curves(curves).record)] == ["transfer_learning"]


def test_trials_that_were_not_chosen_are_paid_for():
    record = with_curves(BUDGET, {"feature_extraction": {"tuning_seconds": 20.0}}).record
    assert [(r.start, r.group.strategy) for r in reigns(record)] == [(6.5, "fine_tuning")]


def test_a_comparison_without_results_has_no_reigns():
    record = with_curves(BUDGET, status={(name, seed): "RUNNING" for name in BUDGET for seed in (0, 1)}).record
    assert (reigns(record), budget_curves(record), reign_sentence([], record)) == ([], [], None)
    assert "NaN" not in charts.best_by_time([]).to_json()


def test_the_curve_of_the_best_is_what_best_within_says():
    record = with_curves(BUDGET).record
    curves = budget_curves(record)
    for each in curves:
        for at, value in zip(each.seconds, each.accuracy, strict=True):
            assert found_at(record, at)[each.group.strategy] == pytest.approx(value)
    figure = charts.best_by_time(curves, seconds=9.0)
    assert [shape.x0 for shape in figure.layout.shapes] == [9.0]
    assert all(trace.line.shape == "hv" for trace in figure.data)


def test_lines_of_two_models_by_any_time_can_be_told_apart():
    curves = budget_curves(example(("fine_tuning", "transfer_learning"), models=("m", "n")).record)
    drawn = [(trace.line.color, trace.line.dash) for trace in charts.best_by_time(curves).data]
    assert len(drawn) == len(set(drawn)) == 4


OUTCOMES = {
    "from_scratch": {"did_not_learn": True, "train_seconds": 1.0},
    "fine_tuning": {"train_seconds": 4.0},
    "transfer_learning": {"train_seconds": 18.0},
}


def stuck_and_late():
    """From scratch did not learn, fine-tuning was still rising when it lost; both are quick."""
    curves = {
        "from_scratch": [curve([0.99], seconds=[1.0]) for _ in range(3)],
        "fine_tuning": [curve([0.5, 0.6, 0.7], seconds=[2.0, 3.0, 4.0]) for _ in range(3)],
        "transfer_learning": [curve([0.6, 0.95, 0.95], seconds=[6.0, 12.0, 18.0]) for _ in range(3)],
    }
    built = with_curves(curves, OUTCOMES)
    found = decide(built.record, groups_of(built.record), all_right(built.predictions))
    rival = next(r for r in found.rivals if r.group.strategy == "fine_tuning")
    others = tuple(r for r in found.rivals if r is not rival)
    return built, replace(found, rivals=(*others, replace(rival, standing="still rising", relation="worse")))


def test_what_cannot_be_judged_is_no_choice_and_is_mentioned():
    built, decision = stuck_and_late()
    left_out = left_out_of(built.record, decision)
    assert left_out == {
        ("mobilenetv2_100", "from_scratch"): "did not learn", ("mobilenetv2_100", "fine_tuning"): "still rising",
    }  # fmt: skip
    assert set(left_out_of(built.record, None)) == {("mobilenetv2_100", "from_scratch")}, "known without a verdict"
    said = left_out_sentence(built.record, left_out)
    assert "From scratch (did not learn), Fine-tuning (behind, and still getting better at the end)" in said
    assert left_out_sentence(built.record, {}) is None
    rows = leaderboard(built.record, built.predictions)
    assert len(pareto_front(rows)) == 3
    assert [row.strategy for row in pareto_front(rows, left_out=left_out)] == ["transfer_learning"]
    assert len(cost_sentences(rows, left_out=left_out)) == 1, "nor are they called beaten"
    assert [within.group.strategy for within in best_within(built.record, 99, left_out)] == ["transfer_learning"]
    assert [r.group.strategy for r in reigns(built.record, left_out)] == ["transfer_learning"]
    assert within_sentence(built.record, 2, left_out).startswith(
        "Within 2 s of training no strategy that can be judged"
    )
    marks = {t.name: t for t in charts.pareto(rows, left_out=left_out).data}
    assert [marks[name].marker.symbol for name in ("From scratch", "Fine-tuning", "Transfer learning")] == [
        "x-thin", "x-thin", "circle",
    ]  # fmt: skip
    assert "did not learn" in marks["From scratch"].hovertemplate


def test_it_is_said_which_accuracy_chooses():
    built, decision = stuck_and_late()
    section = cost_section(built.record, leaderboard(built.record, built.predictions), decision)
    lists = [line for block in section.blocks if isinstance(block, Lines) for line in block.lines]
    words = [block.text for block in section.blocks if isinstance(block, Words)]
    assert lists[0].startswith("Worth their price by test accuracy at the end of a run")
    assert lists[-1].startswith("Left out, as they were not given enough")
    assert words[0] == "Highest mean validation accuracy from 6 s: Transfer learning."
    assert words[-1].startswith("Chosen by validation accuracy, as test images are met only once")
    assert words[-1].endswith("A seed has 50 validation images: one is 2 points.")
    assert "Test accuracy" in charts.pareto([]).layout.title.text
    assert "validation accuracy" in charts.best_by_time([]).layout.title.text


def test_the_report_tells_every_cost_with_its_unit():
    built = example(strategies=("feature_extraction", "fine_tuning"), seeds=(0, 1), fractions=(0.2, 1.0))
    rows = leaderboard(built.record, built.predictions)
    sections = {section.title: section for section in figure_sections(built.record, rows, built.predictions, None)}
    (table,) = [block.rows for block in sections["What each strategy costs"].blocks if isinstance(block, Grid)]
    assert [(row["Strategy"], row["Training data"]) for row in table] == [
        (row.short_label, fraction_words(row.fraction)) for row in rows
    ]
    shown = next(row for row in rows if row.strategy == "fine_tuning" and row.fraction == 1)
    of_it = next(line for line in table if (line["Strategy"], line["Training data"]) == ("Fine-tuning", ALL))
    assert of_it["Peak memory (GB)"] == pytest.approx(shown.peak_memory_bytes / 1e9, abs=0.005)
    assert of_it["Model file (MB)"] == pytest.approx(shown.model_bytes / 1e6, abs=0.05)
    assert of_it["Training time per run (s)"] == pytest.approx(shown.train_seconds, abs=0.05)
    assert of_it["Answer for one image (ms)"] == pytest.approx(shown.latency_ms, abs=0.05)
    assert of_it["Parameters trained"] == shown.num_trainable_parameters

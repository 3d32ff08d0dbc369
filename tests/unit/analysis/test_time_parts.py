"""Where the time of runs went: means over runs, what stays unnamed, and what is advised."""

import json
from dataclasses import replace

import pytest

from tests.records import before, example
from tlcore.analysis import charts
from tlcore.analysis.time_parts import PARTS, time_sentences, time_shares, time_table
from tlcore.results import CROWDED, TimePart

NAMES = ("feature_extraction", "fine_tuning")


def timed(record, **seconds):
    """The record with these parts for every finished run, whose whole is 10 s."""
    runs = [
        run.model_copy(
            update={"outcome": run.outcome.model_copy(update={"total_seconds": 10.0, "seconds_by_part": seconds})}
        )
        for run in record.runs
    ]
    return record.model_copy(update={"runs": tuple(runs)})


def test_parts_and_what_stays_unnamed_are_the_whole():
    record = example(NAMES, seeds=(0, 1)).record
    for shares in time_shares(record):
        whole = [run.outcome.total_seconds for run in shares.group.finished]
        assert shares.total == pytest.approx(sum(whole) / len(whole))
        assert shares.seconds["other"] == pytest.approx(0.5)
    fits, steps = time_shares(record)
    assert fits.largest == "features"
    assert steps.largest == "backward"
    assert (fits.pace, steps.pace) == (300.0, 40.0)


def test_means_are_over_runs_with_all_trials_of_tuning():
    record = example(("fine_tuning",), seeds=(0, 1), tune=3).record
    (shares,) = time_shares(record)
    outcomes = [run.outcome for run in record.runs]
    assert shares.total == pytest.approx(sum(o.total_seconds for o in outcomes) / 2)
    assert shares.seconds["forward"] == pytest.approx(sum(o.seconds_by_part["forward"] for o in outcomes) / 2)


def test_the_largest_named_part_is_what_holds_a_strategy_back():
    record = timed(example(("fine_tuning",), seeds=(0,)).record, augment=4.0, forward=1.0)
    (line,) = time_sentences(time_shares(record))
    assert line.startswith("Fine-tuning: 40 % of 10.0 s in “Reading and augmenting”: a plainer augmentation")
    quick = timed(example(("fine_tuning",), seeds=(0,)).record, augment=0.4, forward=0.1)
    assert time_sentences(time_shares(quick)) == [], "nothing to gain"


def test_other_programs_are_named_where_they_slowed_a_run():
    record = timed(example(NAMES, seeds=(0, 1)).record, forward=4.0)
    first = record.runs[0]
    note = f"{CROWDED}: its threads waited for a core 47 % of the time"
    crowded = first.model_copy(update={"outcome": first.outcome.model_copy(update={"notes": (note,)})})
    shares = time_shares(record.model_copy(update={"runs": (crowded, *record.runs[1:])}))
    said = {line.partition(":")[0]: "Other programs used the processor" in line for line in time_sentences(shares)}
    assert said == {name: name == first.spec.entry.short_label for name in said}
    assert len(said) == 2


def test_a_random_start_is_not_advised_to_freeze():
    shares = time_shares(timed(example(("from_scratch", "fine_tuning"), seeds=(0,)).record, backward=4.0))
    scratch, tuned = time_sentences(shares)
    assert scratch.endswith("in “Backward pass”: a smaller network or image size makes it shorter.")
    assert tuned.endswith("in “Backward pass”: training fewer layer groups, or the head alone, makes it shorter.")


def test_what_holds_back_is_said_once_for_all_amounts_of_data():
    shares = time_shares(timed(example(NAMES, seeds=(0,), fractions=(0.2, 1.0)).record, forward=4.0))
    assert [line.partition(":")[0] for line in time_sentences(shares)] == [
        "Feature extraction, all training images",
        "Fine-tuning, all training images",
    ]


def test_names_of_bars_fit_beside_them_and_the_legend_follows_the_bars():
    shares = time_shares(example(NAMES, seeds=(0,), fractions=(0.2, 1.0)).record)
    figure = json.loads(charts.time_parts_chart(shares).to_json())
    names = figure["data"][0]["y"]
    assert len(set(names)) == 4
    assert names[3] == 'Fine-tuning<br><span style="font-size:11px">20 % of the training images</span>'
    assert figure["layout"]["legend"]["traceorder"] == "normal"


def test_the_table_has_a_row_for_each_part_that_took_time():
    record = timed(example(NAMES, seeds=(0,)).record, augment=4.0, forward=1.0, logging=0.001)
    rows = {row["Part"]: row for row in time_table(time_shares(record))}
    assert list(rows) == [
        "Reading and augmenting",
        "Forward pass",
        "Progress and MLflow",
        "Anything else",
        "All",
        "Images per second",
    ]
    assert rows["Forward pass"]["Fine-tuning"] == "1.00 s (10 %)"
    assert rows["Progress and MLflow"]["Fine-tuning"] == "< 0.01 s"
    assert rows["All"]["Fine-tuning"] == "10.00 s"
    assert rows["Images per second"] == {
        "Part": "Images per second", "Feature extraction": "300.0", "Fine-tuning": "40.0",
    }  # fmt: skip


def test_a_part_too_short_for_its_digits_is_not_said_to_have_been_absent():
    first, second = time_shares(timed(example(NAMES, seeds=(0,)).record, forward=1.0))
    shares = [replace(first, seconds={"logging": 0.001}), replace(second, seconds={"logging": 0.2})]
    row = next(row for row in time_table(shares) if row["Part"] == "Progress and MLflow")
    assert (row["Feature extraction"], row["Fine-tuning"]) == ("< 0.01 s", "0.20 s (100 %)")
    alone = {row["Part"]: row for row in time_table(shares[:1])}
    assert alone["Progress and MLflow"]["Feature extraction"] == "< 0.01 s"
    assert "Checkpoints" not in alone


def test_runs_from_before_they_were_measured_are_left_out():
    record = timed(example(NAMES, seeds=(0,)).record)
    assert time_shares(record) == []
    assert before(example(NAMES)).record.runs


def test_every_part_has_words_and_a_colour_and_is_drawn_to_scale():
    assert set(PARTS) == {*TimePart.__args__, "other"}
    shares = time_shares(example(NAMES, seeds=(0,)).record)
    figure = json.loads(charts.time_parts_chart(shares).to_json())
    drawn = {trace["name"]: trace for trace in figure["data"]}
    assert len({trace["marker"]["color"] for trace in drawn.values()}) == len(drawn)
    assert sum(trace["x"][1] for trace in drawn.values()) == pytest.approx(shares[1].total)
    assert drawn["Backward pass"]["customdata"][1] == pytest.approx(shares[1].seconds["backward"] / shares[1].total)


def test_parts_too_short_to_be_seen_are_drawn_as_anything_else():
    record = timed(example(NAMES, seeds=(0,)).record, forward=8.0, network=0.04, logging=0.03)
    figure = json.loads(charts.time_parts_chart(time_shares(record)).to_json())
    drawn = {trace["name"]: trace["x"][0] for trace in figure["data"]}
    assert drawn == {"Forward pass": 8.0, "Anything else": pytest.approx(2.0)}

"""Mean curves on hand-made histories."""

from itertools import pairwise

import pytest

from tests.records import example, history
from tlcore.analysis import charts
from tlcore.analysis.curves import band, phase_borders
from tlcore.results import EvaluationPoint


def runs_with(*series, status="FINISHED", field="val_accuracy"):
    """One run for each series of (seconds, value)."""
    base = example(strategies=["fine_tuning"], seeds=range(len(series))).record.runs
    made = []
    for run, points in zip(base, series, strict=True):
        history = tuple(
            EvaluationPoint(
                step=i, epoch=i, images_seen=i * 10, train_seconds=s, timestamp_ms=0, phase=0, **{field: value}
            )
            for i, (s, value) in enumerate(points)
        )
        made.append(run.model_copy(update={"history": history, "status": status}))
    return made


def test_seeds_are_interpolated_on_each_others_times():
    runs = runs_with([(0, 0.0), (10, 1.0)], [(0, 0.0), (5, 0.2), (10, 0.4)])
    found = band(runs, "val", "accuracy", "train_seconds")
    assert found.x == (0, 5, 10)
    assert found.mean == pytest.approx((0, 0.35, 0.7))
    assert found.low == pytest.approx((0, 0.2, 0.4))
    assert found.high == pytest.approx((0, 0.5, 1.0))
    assert found.num_seeds == 2


def test_a_seed_that_ended_earlier_keeps_its_last_value():
    runs = runs_with([(1, 0.5), (8, 0.8)], [(1, 0.5), (10, 1.0)])
    found = band(runs, "val", "accuracy", "train_seconds")
    assert found.x[-1] == 10
    assert found.mean[-1] == pytest.approx(0.9)


def test_a_running_seed_ends_the_mean_where_it_is():
    runs = runs_with([(1, 0.5), (4, 0.6)], [(1, 0.5), (10, 1.0)], status="RUNNING")
    assert band(runs, "val", "accuracy", "train_seconds").x == (1, 4)


def test_broken_runs_do_not_bend_the_mean_unless_they_are_all_there_is():
    good, bad = runs_with([(0, 0.9), (1, 0.9)], [(0, 0.1), (1, 0.1)])
    bad = bad.model_copy(update={"status": "FAILED"})
    assert band([good, bad], "val", "accuracy", "epoch").mean == (0.9, 0.9)
    assert band([bad], "val", "accuracy", "epoch").mean == (0.1, 0.1)


def test_missing_and_infinite_values_are_left_out():
    runs = runs_with([(0, None), (1, 0.5), (2, float("nan")), (3, 0.7)])
    assert band(runs, "val", "accuracy", "train_seconds").x == (1, 3)
    assert band(runs, "val", "loss", "train_seconds") is None
    assert band([], "val", "loss", "epoch") is None


def test_a_fit_is_one_point():
    found = band(example(strategies=["feature_extraction"]).record.runs, "val", "accuracy", "epoch")
    assert found.is_point
    assert found.num_seeds == 3


def test_a_phase_begins_where_the_one_before_was_last_measured():
    runs = example(strategies=["staged_fine_tuning"], epochs=6).record.runs
    assert phase_borders(runs, "epoch") == {1: 2.0}
    assert phase_borders(runs, "images_seen") == {1: 388.0}
    assert phase_borders(example(strategies=["fine_tuning"]).record.runs, "epoch") == {}


def test_the_records_builder_stops_a_history_early():
    import numpy as np

    spec = example(strategies=["fine_tuning"]).record.runs[0].spec
    assert len(history(spec, np.random.default_rng(0), upto=0.5)) == 3


def test_strategies_evaluated_once_at_the_same_moment_stand_side_by_side():
    names = ["transfer_learning", "fine_tuning", "lora"]
    figure = charts.learning_curves(example(strategies=names, seeds=(0,), epochs=1).record)
    dots = [t for t in figure.data if t.marker.symbol == "circle"]
    at = sorted(t.x[0] for t in dots)
    assert len(at) == 3
    assert min(b - a for a, b in pairwise(at)) >= 0.02
    assert {t.customdata[0] for t in dots} == {1.0}, "the hover says when it really was"
    assert all("%{customdata" in t.hovertemplate for t in dots)


def test_the_legend_stands_right_below_the_axis():
    figure = charts.learning_curves(example(seeds=(0,)).record)
    plot = figure.layout.height - figure.layout.margin.t - figure.layout.margin.b
    assert figure.layout.legend.yanchor == "top"
    assert 40 <= -figure.layout.legend.y * plot <= 60, "pixels between plot and legend: the axis has its room"

"""Mean curves on hand-made histories."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

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
    assert found.num_seeds == 2


def test_a_band_is_the_t_interval_of_the_mean_within_what_is_possible():
    values = [(0.70, 0.95), (0.74, 0.99), (0.71, 0.90), (0.76, 1.0)]
    found = band(runs_with(*[list(enumerate(own)) for own in values]), "val", "accuracy", "epoch")
    low, high = found.interval
    for place, column in enumerate(zip(*values, strict=True)):
        oracle = stats.t.interval(0.95, len(column) - 1, loc=np.mean(column), scale=stats.sem(column))
        assert (low[place], high[place]) == (pytest.approx(oracle[0]), pytest.approx(min(1.0, oracle[1])))
    assert high[1] == 1.0, "an accuracy cannot be above 1"
    wider = band(runs_with(*[list(enumerate(own)) for own in values]), "val", "accuracy", "epoch", 0.25)
    assert wider.mean[0] - wider.interval[0][0] == pytest.approx(2**0.5 * (found.mean[0] - low[0])), "1/4 + 0.25"
    losses = runs_with([(0, 0.1), (1, 0.1)], [(0, 3.0), (1, 0.2)], field="val_loss")
    low, high = band(losses, "val", "loss", "epoch").interval
    assert low[0] == 0.0, "nor a loss below 0"
    assert high[0] == pytest.approx(stats.t.interval(0.95, 1, loc=1.55, scale=stats.sem([0.1, 3.0]))[1])


def test_one_seed_has_no_band():
    assert band(runs_with([(0, 0.5), (1, 0.6)]), "val", "accuracy", "epoch").interval is None
    figure = charts.learning_curves(example(strategies=["fine_tuning"], seeds=(0,)).record)
    assert [t.fill for t in figure.data] == [None, None]
    assert "interval" not in figure.layout.title.subtitle.text + figure.data[0].text[0]


def test_the_figure_draws_the_interval_and_says_so():
    record = example(strategies=["fine_tuning", "feature_extraction"]).record
    figure = charts.learning_curves(record)
    (shade,) = [t for t in figure.data if t.fill == "toself"]
    runs = [r for r in record.runs if r.spec.strategy == "fine_tuning"]
    low, high = band(runs, "val", "accuracy", "epoch", 50 / 194).interval
    assert tuple(shade.y) == high + low[::-1]
    (val,) = [t for t in figure.data if t.legendgroup == "fine_tuning" and t.line.dash == "solid"]
    assert val.text[0] == f"<br>95 % interval of the mean {low[0]:.1%} to {high[0]:.1%}"
    (fit,) = [t for t in figure.data if t.marker.symbol == "diamond"]
    fits = [r for r in record.runs if r.spec.strategy == "feature_extraction"]
    (bottom,), (top,) = band(fits, "val", "accuracy", "epoch", 50 / 194).interval
    assert fit.y[0] + fit.error_y.array[0] == pytest.approx(top)
    assert fit.y[0] - fit.error_y.arrayminus[0] == pytest.approx(bottom)
    assert (
        "Band: 95 % interval of the mean over 3 seeds; with so few seeds it is wide."
        in figure.layout.title.subtitle.text
    )


def test_bands_of_few_seeds_do_not_press_the_losses_together():
    figure = charts.learning_curves(example(strategies=["fine_tuning"], seeds=(0, 1)).record, "loss")
    drawn = [value for t in figure.data if t.fill is None for value in t.y]
    assert figure.layout.yaxis.range[0] == 0
    assert max(drawn) < figure.layout.yaxis.range[1] < 1.5 * max(drawn)


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

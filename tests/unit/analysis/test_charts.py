"""What the figures show, read from their traces; how they look was judged by eye in light and dark."""

import json
import re

import numpy as np
import pytest

from tests.records import example
from tlcore.analysis import charts
from tlcore.analysis.charts.style import LETTER
from tlcore.analysis.groups import groups_of
from tlcore.analysis.images.pairs import best_pair
from tlcore.analysis.leaderboard import leaderboard
from tlcore.analysis.time_parts import time_shares
from tlcore.strategies import CORE, STRATEGIES

NASTY = ("<b>ants</b>", "bees & wasps that have a long name")


@pytest.fixture(scope="module")
def whole():
    return example()


def all_figures(built, dark):
    rows = leaderboard(built.record, built.predictions)
    counts = dict.fromkeys(built.record.dataset.classes, 10)
    return [
        charts.learning_curves(built.record, "accuracy", "epoch", dark),
        charts.learning_curves(built.record, "loss", "train_seconds", dark),
        charts.live_curves(built.record, dark),
        charts.confusion_matrices(built.record, "test", True, dark),
        charts.per_class_chart(built.record, "val", dark),
        charts.accuracy_intervals(rows, dark=dark),
        charts.pareto(rows, dark=dark),
        charts.class_counts(counts, dark),
    ]


@pytest.mark.parametrize("dark", [False, True])
def test_every_figure_suits_its_page(whole, dark):
    for figure in all_figures(whole, dark):
        layout = figure.layout
        assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0, 0, 0, 0)"
        assert layout.font.color == ("#f0f2f6" if dark else "#262730")
        assert layout.uirevision
        assert layout.title.text
        assert (layout.title.y, layout.title.pad.t) == (1, 6), "the same place however tall the figure is"
        assert any(axis.title.text for axis in figure.select_xaxes())


def test_every_figure_stands_a_comparison_without_results():
    built = example(status={(s, n): "SCHEDULED" for s in CORE for n in range(3)})
    for figure in all_figures(built, dark=False):
        assert "NaN" not in figure.to_json()


def test_class_names_cannot_bring_markup():
    built = example(classes=NASTY, seeds=[0])
    for figure in all_figures(built, dark=False):
        assert "<b>ants" not in json.loads(figure.to_json()).__repr__()


@pytest.mark.parametrize("strategy", CORE)
def test_each_strategy_has_its_colour_everywhere(strategy):
    built = example(strategies=[strategy], seeds=[0, 1])
    rows = leaderboard(built.record, built.predictions)
    color = STRATEGIES[strategy].color
    for figure in (charts.learning_curves(built.record), charts.live_curves(built.record)):
        drawn = {t.line.color or t.marker.color for t in figure.data if t.fill is None}
        assert drawn == {color}
    assert charts.pareto(rows).data[-1].marker.line.color == color
    assert charts.accuracy_intervals(rows).data[-1].marker.color == color


def test_training_is_dashed_and_validation_solid(whole):
    figure = charts.learning_curves(whole.record, "accuracy", "epoch")
    mine = [t for t in figure.data if t.legendgroup == "transfer_learning" and t.fill is None]
    val, train = mine
    assert (val.line.dash, train.line.dash) == ("solid", "dash")
    runs = [r for r in whole.record.runs if r.spec.strategy == "transfer_learning"]
    assert val.y[-1] == pytest.approx(np.mean([r.history[-1].val_accuracy for r in runs]))
    assert train.y[0] == pytest.approx(np.mean([r.history[0].train_accuracy for r in runs]))
    assert sum(bool(t.showlegend) for t in figure.data) == len(CORE)


def test_a_fit_is_a_marker_with_a_dotted_line_across(whole):
    figure = charts.learning_curves(whole.record, "accuracy", "epoch")
    mine = [t for t in figure.data if t.legendgroup == "feature_extraction"]
    assert [t.mode for t in mine] == ["lines", "markers", "markers"]
    assert mine[0].line.dash == "dot"
    assert tuple(mine[0].x) == (0, 6)


def test_one_evaluation_of_a_strategy_that_trains_is_a_plain_mark():
    (run,) = example(strategies=["fine_tuning"], seeds=[0]).record.runs
    begun = run.model_copy(update={"history": run.history[:1], "status": "RUNNING", "outcome": None})
    record = example(strategies=["fine_tuning"], seeds=[0]).record.model_copy(update={"runs": (begun,)})
    figure = charts.learning_curves(record)
    assert [t.mode for t in figure.data] == ["markers", "markers"]
    assert [t.marker.symbol for t in figure.data] == ["circle", "circle-open"]
    assert "fitted" not in figure.layout.title.subtitle.text


def test_accuracy_axes_stay_between_0_and_100_per_cent(whole):
    rows = leaderboard(whole.record, whole.predictions)
    axes = [charts.learning_curves(whole.record).layout.yaxis, charts.live_curves(whole.record).layout.yaxis]
    axes += [charts.accuracy_intervals(rows).layout.xaxis, charts.pareto(rows).layout.yaxis]
    axes += [charts.per_class_chart(whole.record).layout.xaxis]
    for one in axes:
        assert 0 <= one.range[0] < one.range[1] <= 1
        assert one.labelalias["95%"] == "95\u00a0%"


def test_phase_borders_are_marked_for_staged_strategies_only(whole):
    figure = charts.learning_curves(whole.record, "accuracy", "epoch")
    assert [shape.x0 for shape in figure.layout.shapes] == [2.0]
    assert figure.layout.annotations[-1].text == "Staged fine-tuning, phase 2"
    assert not charts.learning_curves(example(strategies=["fine_tuning"]).record).layout.shapes


def test_models_and_fractions_get_panels_of_their_own():
    built = example(models=("a", "b"), fractions=(0.1, 1.0), seeds=[0])
    figure = charts.learning_curves(built.record)
    titles = [a.text for a in figure.layout.annotations if "training images" in a.text]
    assert titles == [f"{m}, {f}" for f in ("all training images", "10 % of the training images") for m in "ab"]


def test_confusion_matrices_share_order_and_scale_and_average_seeds(whole):
    figure = charts.confusion_matrices(whole.record, "test", normalised=False)
    assert len(figure.data) == 5
    assert {t.coloraxis for t in figure.data} == {"coloraxis"}
    for trace, group in zip(figure.data, groups_of(whole.record), strict=True):
        frames = [whole.predictions[r.run_id].query("split == 'test'") for r in group.runs]
        truth = np.mean([
            [[((f.label == i) & (f.predicted == j)).sum() for j in range(2)] for i in range(2)] for f in frames
        ], axis=0)  # fmt: skip
        assert np.array(trace.z) == pytest.approx(truth)
    assert "mean of 3 seeds" in figure.layout.title.subtitle.text


def test_normalised_rows_sum_to_one(whole):
    for trace in charts.confusion_matrices(whole.record, "val", normalised=True).data:
        assert np.array(trace.z).sum(axis=1) == pytest.approx([1, 1])


def test_a_class_without_images_is_empty_not_zero():
    built = example(classes=("a", "b", "c"), num_test=30, seeds=[0], strategies=["fine_tuning"])
    run = built.record.runs[0]
    matrix = run.confusion["test"].model_copy(update={"counts": ((9, 1, 0), (0, 10, 0), (0, 0, 0))})
    record = built.record.model_copy(update={"runs": (run.model_copy(update={"confusion": {"test": matrix}}),)})
    trace = charts.confusion_matrices(record).data[0]
    assert np.isnan(np.array(trace.z, dtype=float)[2]).all()
    assert list(trace.text[2]) == ["", "", ""]
    assert list(trace.text[0]) == ["90", "10", ""]


def test_many_classes_are_read_by_hovering():
    built = example(classes=[f"class {i}" for i in range(50)], num_test=200, num_val=100, seeds=[0])
    figure = charts.confusion_matrices(built.record)
    assert all(t.texttemplate is None for t in figure.data)
    assert "class 49" in figure.data[0].customdata[49, 49]
    per_class = charts.per_class_chart(built.record)
    assert len(per_class.layout.yaxis.ticktext) == 40
    assert "40 of 50" in per_class.layout.title.subtitle.text


def test_per_class_table_is_counted_from_predictions(whole):
    table = charts.per_class_table(whole.record)
    assert len(table) == 10
    runs = [r for r in whole.record.runs if r.spec.strategy == "fine_tuning"]
    frames = [whole.predictions[r.run_id].query("split == 'test'") for r in runs]
    recall = np.mean([(f.predicted[f.label == 1] == 1).mean() for f in frames])
    row = table.query("Class == 'bees' and Strategy == 'Fine-tuning'").iloc[0]
    assert row["Recall (%)"] == pytest.approx(100 * recall, abs=0.051)


def test_intervals_in_the_dot_plot_are_those_of_the_table(whole):
    rows = leaderboard(whole.record, whole.predictions)
    dots = [t for t in charts.accuracy_intervals(rows).data if t.error_x.array is not None]
    for row, dot in zip(rows, dots, strict=True):
        assert dot.x[0] + dot.error_x.array[0] == pytest.approx(row.ci95[1])
        assert dot.x[0] - dot.error_x.arrayminus[0] == pytest.approx(row.ci95[0])


@pytest.mark.parametrize("lowest", [0.02, 0.3, 0.6, 0.85, 0.97, 0.99])
def test_the_dot_plot_has_two_to_five_marks_that_a_phone_has_room_for(whole, lowest):
    row = leaderboard(whole.record, whole.predictions)[0]
    rows = [row.model_copy(update={"test_accuracy": at, "test_accuracies": (), "ci95": None}) for at in (lowest, 0.995)]
    axis = charts.accuracy_intervals(rows).layout.xaxis
    marks = np.arange(0, 1.001, axis.dtick)
    assert 2 <= sum(axis.range[0] - 1e-9 <= mark <= axis.range[1] + 1e-9 for mark in marks) <= 5


def test_cost_is_logarithmic_only_over_a_wide_range(whole):
    rows = leaderboard(whole.record, whole.predictions)
    assert charts.pareto(rows).layout.xaxis.type == "log"
    near = [row for row in rows if row.strategy in {"fine_tuning", "from_scratch"}]
    assert charts.pareto(near).layout.xaxis.type is None


def test_class_counts_say_how_uneven_the_classes_are():
    figure = charts.class_counts({"a": 30, "b": 10})
    assert tuple(figure.data[0].x) == (30, 10)
    assert "3.0 : 1" in figure.layout.title.subtitle.text


def test_class_counts_stand_beside_their_bars_in_the_colour_of_the_page():
    figure = charts.class_counts({"a": 30, "b": 10}, dark=True)
    bars = figure.data[0]
    assert (bars.textposition, list(bars.text), bars.textfont.color) == ("outside", ["30", "10"], None)
    assert figure.layout.xaxis.range[1] > 1.1 * 30, "room for the value of the longest"


def test_names_beside_the_dots_leave_most_of_a_phone_to_the_dots():
    names = [f"partial_fine_tuning:last_groups={k}" for k in (2, 4)] + ["fine_tuning", "from_scratch"]
    for models in (("mobilenetv2_100",), ("mobilenetv2_100", "resnet18")):
        built = example(strategies=names, seeds=(0,), models=models)
        figure = charts.accuracy_intervals(leaderboard(built.record, built.predictions))
        for text in figure.layout.yaxis.ticktext:
            lines = re.sub(r"<(?!br)[^>]*>", "", text).split("<br>")
            assert max(map(len, lines)) <= 28
            assert len(lines) <= 4
        hovers = " ".join(trace.hovertemplate for trace in figure.data)
        assert "mobilenetv2_100 / Partial fine-tuning: " in hovers, "the whole name is in the hover"


def places_of_names(figure, side):
    """Pixels from one name to the next, and what a name takes there, on the first horizontal axis."""
    axis = figure.layout.xaxis
    longest = max(len(name) for name in axis.ticktext)
    taken = axis.tickfont.size if axis.tickangle == -90 else LETTER * axis.tickfont.size * longest
    return side / len(axis.ticktext), taken


@pytest.mark.parametrize("number", [2, 4, 10, 20, 30])
@pytest.mark.parametrize("length", [4, 9, 40])
def test_names_of_classes_never_meet_below_a_matrix(number, length):
    classes = [f"{place:02d}{'x' * (length - 2)}" for place in range(number)]
    built = example(classes=classes, seeds=[0], num_test=60, num_val=60)
    figure = charts.confusion_matrices(built.record)
    columns = len(figure._grid_ref[0])
    room, taken = places_of_names(figure, (charts.CONFUSION_WIDTH - 220) / columns)
    assert taken <= room
    pair = best_pair(built.record)
    room, taken = places_of_names(charts.confusion_difference(built.record, pair), 260)
    assert taken <= room


def test_short_names_lie_and_long_ones_that_begin_alike_keep_their_ends():
    assert charts.confusion_matrices(example(seeds=[0]).record).layout.xaxis.tickangle == 0
    long = ["a field of annual crops in the north", "a field of annual crops in the south"]
    built = example(classes=long, seeds=[0])
    figure = charts.confusion_matrices(built.record)
    assert list(figure.layout.xaxis.ticktext) == ["a field …he north", "a field …he south"]
    assert figure.data[0].customdata[0][1][0] == long[0], "the hover has the whole names"


def test_a_legend_stands_right_below_the_axis_however_wide_the_page_is():
    built = example(strategies=tuple(STRATEGIES), seeds=(0,))
    rows = leaderboard(built.record, built.predictions)
    figures = {
        "curves": charts.learning_curves(built.record, "accuracy"),
        "pareto": charts.pareto(rows),
        "time": charts.time_parts_chart(time_shares(built.record)),
        "classes": charts.per_class_chart(built.record),
    }
    for name, figure in figures.items():
        margin, legend = figure.layout.margin, figure.layout.legend
        plot = figure.layout.height - margin.t - margin.b
        assert (legend.yref, legend.yanchor) == ("paper", "top"), name
        assert 40 <= -legend.y * plot <= 60, name
        assert -legend.y * plot < margin.b - 22, f"{name}: a line of it has room"


def test_the_live_chart_says_so_far_only_while_something_may_follow():
    built = example(strategies=("fine_tuning",), seeds=(0,)).record
    going = built.model_copy(update={"status": "RUNNING"})
    titles = [charts.live_curves(record).layout.title.text for record in (built, going)]
    assert ["so far" in title for title in titles] == [False, True]

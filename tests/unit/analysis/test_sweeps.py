"""Sweeps of a setting: which variants belong together, where they stand, and what the figure shows."""

import numpy as np
import pytest

from tests.records import before, example
from tests.records_model import GROUP_SIZES, HEAD_SIZE
from tlcore.analysis import charts
from tlcore.analysis.leaderboard import leaderboard
from tlcore.analysis.sweeps import sweeps_of

DEPTHS = tuple(f"partial_fine_tuning:last_groups={k}" for k in (1, 4, 12))


def swept(*strategies, **more):
    built = example(strategies=strategies, **{"seeds": (0, 1), **more})
    return built, sweeps_of(built.record, leaderboard(built.record, built.predictions))


def test_freeze_depth_reaches_from_the_head_alone_to_the_whole_network():
    built, (sweep,) = swept("fine_tuning", *DEPTHS, "transfer_learning")
    (line,) = sweep.lines
    assert [p.value for p in line.points] == [0, 1, 4, 12, 18]
    assert [p.row.strategy for p in line.points] == ["transfer_learning", *DEPTHS, "fine_tuning"]
    figure = charts.sweep_chart(sweep)
    (trace,) = figure.data
    for x, y, reference in zip(trace.x, trace.y, ["transfer_learning", *DEPTHS, "fine_tuning"], strict=True):
        frames = [
            built.predictions[r.run_id].query("split == 'test'") for r in built.record.runs
            if r.spec.strategy == reference
        ]  # fmt: skip
        assert y == pytest.approx(np.mean([np.mean(f.label == f.predicted) for f in frames])), x
    assert trace.y[0] + trace.error_y.array[0] == pytest.approx(line.points[0].row.ci95[1])
    assert figure.layout.xaxis.type is None, "counts stay on an even axis"
    assert figure.layout.xaxis.ticktext == (
        "0<br>head only", "1<br>blocks.6.0", "4<br>blocks.5.0", "12<br>blocks.2.2", "18<br>conv_stem",
    )  # fmt: skip
    assert figure.layout.xaxis.title.text == "Layer groups that train, counted from the head"
    assert charts.sweep_rows(sweep)[1]["Parameters trained"] == GROUP_SIZES["blocks.6.0"] + HEAD_SIZE


def test_names_of_layer_groups_are_slanted_where_they_would_meet():
    angles = []
    for depths in ((1, 2, 3), (4, 12)):
        names = [f"partial_fine_tuning:last_groups={k}" for k in depths]
        built = example(strategies=(*names, "fine_tuning"), seeds=(0,))
        (sweep,) = sweeps_of(built.record, leaderboard(built.record, built.predictions))
        angles.append(charts.sweep_chart(sweep).layout.xaxis.tickangle)
    assert angles == [-40, 0]


def test_the_head_alone_is_the_variant_where_there_is_one_and_else_said_to_have_another_recipe():
    none = "partial_fine_tuning:last_groups=0"
    said = {}
    for ends in ((), ("transfer_learning",), (none,), (none, "transfer_learning")):
        _, (sweep,) = swept(*DEPTHS, *ends)
        (line,) = sweep.lines
        figure = charts.sweep_chart(sweep)
        said[ends] = line.points[0].row.strategy, figure.layout.title.subtitle.text.partition("interval.")[2].strip()
    assert said == {
        (): (DEPTHS[0], ""),
        ("transfer_learning",): (
            "transfer_learning", "0 is the head alone (transfer learning, which has a recipe of its own)."
        ),
        (none,): (none, "0 is the head alone."),
        (none, "transfer_learning"): (none, "0 is the head alone."),
    }  # fmt: skip


def test_the_plain_strategy_stands_at_its_default():
    _, (sweep,) = swept("partial_fine_tuning", *DEPTHS)
    assert [p.value for p in sweep.lines[0].points] == [1, 2, 4, 12]


def test_a_rate_that_spans_decades_is_logarithmic():
    _, (sweep,) = swept("fine_tuning", "fine_tuning:learning_rate=0.001", "fine_tuning:learning_rate=0.1")
    figure = charts.sweep_chart(sweep)
    assert tuple(figure.data[0].x) == (0.001, 0.01, 0.1)
    assert figure.layout.xaxis.type == "log"
    assert figure.layout.xaxis.title.text == "Learning rate of the head, logarithmic"
    _, (near,) = swept("fine_tuning:learning_rate=0.001", "fine_tuning:learning_rate=0.002")
    assert charts.sweep_chart(near).layout.xaxis.type is None


def test_a_cut_network_is_swept_too():
    _, (sweep,) = swept("feature_extraction:cut_at=3", "feature_extraction:cut_at=9")
    assert charts.sweep_chart(sweep).layout.xaxis.title.text.startswith("Layer groups kept of the network")
    assert [p.value for p in sweep.lines[0].points] == [3, 9]


def test_other_settings_must_agree_within_a_sweep():
    _, sweeps = swept(
        "fine_tuning", "fine_tuning:learning_rate=0.1,momentum=0.5", "fine_tuning:learning_rate=0.2,momentum=0.5",
        "fine_tuning:learning_rate=0.3",
    )  # fmt: skip
    found = {(s.setting, s.fixed): [p.value for p in s.lines[0].points] for s in sweeps}
    assert found == {("learning_rate", "momentum 0.5"): [0.1, 0.2]}


def test_words_are_no_sweep():
    assert swept("fine_tuning:optimizer=adamw", "fine_tuning:optimizer=sgd")[1] == []
    assert swept("fine_tuning", "lora")[1] == []


def test_models_and_fractions_have_lines_of_their_own():
    _, (sweep,) = swept(*DEPTHS, models=("a", "b"), fractions=(0.5, 1.0), seeds=(0,))
    figure = charts.sweep_chart(sweep)
    assert [t.name for t in figure.data] == [
        f"{m}, {f}" for m in "ab" for f in ("all training images", "50 % of the training images")
    ]
    assert len({t.line.color for t in figure.data}) == 4
    assert {"Model", "Training data"} <= set(charts.sweep_rows(sweep)[0])


def test_a_record_of_an_earlier_version_lacks_the_far_end_and_the_names():
    built = before(example(strategies=("fine_tuning", *DEPTHS, "transfer_learning"), seeds=(0,)))
    (sweep,) = sweeps_of(built.record, leaderboard(built.record, built.predictions))
    assert [p.value for p in sweep.lines[0].points] == [0, 1, 4, 12]
    assert charts.sweep_chart(sweep).layout.xaxis.ticktext == ("0", "1", "4", "12")


def test_what_has_not_finished_is_left_out():
    _, found = swept(*DEPTHS, seeds=(0,), status={(DEPTHS[0], 0): "FAILED", (DEPTHS[1], 0): "RUNNING"})
    assert found == []

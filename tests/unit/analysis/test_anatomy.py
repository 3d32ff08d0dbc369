"""What each strategy did to its network: tables and figures against the numbers of the records."""

import math

import pytest

from tests.records import before, example
from tests.records_model import GROUP_SIZES, HEAD_SIZE
from tlcore.analysis import anatomy, charts
from tlcore.analysis.champions import champions
from tlcore.results import FrozenState, LayerGroup
from tlcore.strategies import STRATEGIES

NAMES = [*GROUP_SIZES, "head"]
TOTAL = sum(GROUP_SIZES.values()) + HEAD_SIZE


def looked_into(*strategies, **more):
    record = example(strategies=strategies, seeds=(0,), **more).record
    return anatomy.subjects_of(record, champions(record))


def cells(trace, column=0):
    """What a heatmap shows, by row's place: value and text."""
    return [(row[column], trace.text[i][column] if trace.text is not None else None) for i, row in enumerate(trace.z)]


def test_phases_are_told_in_words_with_their_steps_and_parameters():
    rows = anatomy.phase_rows(looked_into("staged_fine_tuning"))
    assert [row["What trains"] for row in rows] == ["the new head", "every layer"]
    assert [row["Steps"] for row in rows] == ["1 to 14", "15 to 42"]
    assert [row["Parameters that train"] for row in rows] == [HEAD_SIZE, TOTAL]
    assert [row["Parameters frozen"] for row in rows] == [TOTAL - HEAD_SIZE, 0]
    assert [row["Frozen part"] for row in rows] == ["unchanged (312 tensors)", "–"]
    assert {row["Normalisation statistics"] for row in rows} == {"kept"}


def test_a_fit_is_one_pass_and_a_changed_frozen_part_is_loud():
    (fitted,) = looked_into("feature_extraction")
    assert anatomy.phase_rows([fitted])[0]["Steps"] == "one pass"
    broken = FrozenState(phase=0, num_tensors=1, before="a", after="b")
    outcome = fitted.run.outcome.model_copy(update={"frozen_states": (broken,)})
    changed = anatomy.Subject(fitted.run.model_copy(update={"outcome": outcome}), fitted.entry)
    assert anatomy.phase_rows([changed])[0]["Frozen part"] == "CHANGED (1 tensor)"


@pytest.mark.parametrize(
    ("trainable", "words"),
    [
        ("head", "the new head"),
        ("last:1", "the last layer group and the head"),
        ("last:12", "the last 12 layer groups and the head"),
        ("knn", "k-NN on stored features"),
        ("blocks\\.6", "parameters whose name matches blocks\\.6"),
    ],
)
def test_what_trains_in_words(trainable, words):
    assert anatomy.part_words(trainable) == words


@pytest.mark.parametrize(
    ("share", "words"), [(0.0, "0 %"), (1.234, "123 %"), (0.0123, "1.2 %"), (0.00123, "0.1 %"), (4e-8, "4e-06 %")]
)
def test_movement_in_words(share, words):
    assert anatomy.moved_words(share) == words


@pytest.mark.parametrize(("number", "words"), [(840, "840"), (2_562, "2.56 k"), (999_900, "1 M"), (1_300_000, "1.3 M")])
def test_amounts_in_words(number, words):
    assert anatomy.amount(number) == words


def test_the_matrix_shows_what_trained_in_which_phase():
    figure = charts.trained_chart(looked_into("transfer_learning", "gradual_unfreezing"))
    frozen, gradual = figure.data
    assert [text for _, text in cells(frozen)] == ["F"] * 18 + ["T"]
    assert len(gradual.z[0]) == 19, "the head, then one more layer group per stage"
    for stage in range(19):
        assert [text for _, text in cells(gradual, stage)] == ["F"] * (18 - stage) + ["T"] * (stage + 1)
    assert frozen.colorscale[1][1] == STRATEGIES["transfer_learning"].color
    rows = figure.layout.yaxis
    assert rows.range[0] > rows.range[1], "the input is at the top"
    assert rows.ticktext[0] == "1 conv_stem · 928"
    assert rows.ticktext[-1] == "head · 2.56 k"
    assert figure.layout.xaxis.ticktext == ("1", *(str(n) for n in range(1, 20)))


def test_adapters_beside_frozen_weights_are_a_small_percentage():
    (trace,) = charts.trained_chart(looked_into("lora")).data
    assert trace.text[0][0] == f"{100 * (928 // 50) / 928:.2g}\u00a0%"
    assert "18 parameters train; the group has 928" in trace.customdata[0][0]
    assert trace.text[-1][0] == "T"


def test_movement_is_logarithmic_and_zero_is_a_colour_of_its_own():
    subjects = looked_into("partial_fine_tuning", "from_scratch")
    figure = charts.movement_chart(subjects)
    partial = next(s for s in subjects if s.entry.id == "partial_fine_tuning")
    place = subjects.index(partial)
    moved, stayed = figure.data[2 * place : 2 * place + 2]
    for row, group in enumerate(partial.groups):
        assert (moved.z[row][0] is None) == (group.moved == 0)
        assert (stayed.z[row][0] is None) == (group.moved != 0)
        if group.moved:
            assert moved.z[row][0] == pytest.approx(math.log10(group.moved))
            assert stayed.text[row][0] == ""
        else:
            assert stayed.text[row][0] == "0"
    assert {color for _, color in stayed.colorscale} == {"#eaecef"}
    assert figure.layout.coloraxis.cmin <= -2
    assert figure.layout.coloraxis.colorbar.ticktext[-1] == "100 % or more"


def test_updated_statistics_are_not_called_unchanged():
    still = LayerGroup(name="a", num_parameters=4, num_trainable=(0,), moved=0.0, statistics_moved=0.0)
    assert anatomy.is_unchanged(still)
    assert not anatomy.is_unchanged(still.model_copy(update={"statistics_moved": 0.1}))
    assert not anatomy.is_unchanged(still.model_copy(update={"moved": None}))
    (subject,) = looked_into("transfer_learning")
    groups = tuple(g.model_copy(update={"statistics_moved": 0.1}) for g in subject.groups[:-1]) + subject.groups[-1:]
    outcome = subject.run.outcome.model_copy(update={"layer_groups": groups})
    updated = anatomy.Subject(subject.run.model_copy(update={"outcome": outcome}), subject.entry)
    _, stayed = charts.movement_chart([updated]).data
    assert stayed.text[0][0] == "0 *"
    assert "normalisation statistics moved by 10 %" in stayed.customdata[0][0]


def test_a_network_that_was_cut_shares_the_rows_of_the_whole_one():
    whole, cut = looked_into("transfer_learning", "fine_tuning")
    groups = tuple(g for g in cut.groups if g.name not in ("blocks.6.0", "blocks.5.2"))
    outcome = cut.run.outcome.model_copy(update={"layer_groups": groups})
    shorter = anatomy.Subject(cut.run.model_copy(update={"outcome": outcome}), cut.entry)
    assert anatomy.group_names([shorter, whole]) == NAMES
    figure = charts.trained_chart([whole, shorter])
    assert [figure.data[1].text[i][0] for i in (15, 16, 17, 18)] == ["T", "", "", "T"]
    assert "not part of this network" in figure.data[1].customdata[17][0]


def test_learning_rates_have_a_line_for_each_group_where_it_trains():
    subjects = looked_into("gradual_unfreezing", "staged_fine_tuning", "feature_extraction")
    figure = charts.learning_rates(subjects, "step")
    titles = [a.text for a in figure.layout.annotations if a.text]
    assert len(titles) == 2, "a fit has no rates"
    assert "Staged fine-tuning" in titles[0]
    staged = {t.name: t for t in figure.data if t.xaxis == "x"}
    assert set(staged) == {"the head", "the backbone"}
    history = next(s.run.history for s in subjects if s.entry.id == "staged_fine_tuning")
    assert list(staged["the head"].x) == [p.step for p in history]
    assert list(staged["the head"].y) == [p.learning_rates["head"] for p in history]
    assert list(staged["the backbone"].y) == [p.learning_rates.get("backbone") for p in history]
    assert staged["the backbone"].y[0] is None, "no line while it is frozen"
    gradual = {t.name for t in figure.data if t.xaxis == "x2"}
    assert {"layer group 1 conv_stem", "layer group 18 blocks.6.0"} <= gradual
    assert figure.layout.yaxis.type == "log"
    assert sum(bool(t.showlegend) for t in figure.data) == 4, "head, backbone, first and last layer group"


def test_phase_boundaries_stand_at_their_step_or_epoch():
    subjects = looked_into("staged_fine_tuning")
    assert [s.x0 for s in charts.learning_rates(subjects, "step").layout.shapes] == [14]
    assert [s.x0 for s in charts.learning_rates(subjects, "epoch").layout.shapes] == [pytest.approx(2.0)]
    assert len(charts.learning_rates(looked_into("gradual_unfreezing")).layout.shapes) == 18


def test_a_record_of_an_earlier_version_says_so_instead_of_failing():
    record = before(example(strategies=("fine_tuning", "lora"), seeds=(0,))).record
    subjects = anatomy.subjects_of(record, champions(record))
    assert anatomy.recorded(subjects) == []
    assert anatomy.not_recorded(subjects) == (
        "What Fine-tuning, LoRA did to each layer group: not recorded by this version."
    )
    assert anatomy.phase_rows(subjects) == []
    for figure in (charts.trained_chart(subjects), charts.movement_chart(subjects), charts.learning_rates(subjects)):
        figure.to_json()
    assert anatomy.not_recorded(looked_into("fine_tuning")) is None


def test_many_phases_share_one_label_on_the_learning_curves():
    figure = charts.learning_curves(
        example(strategies=("gradual_unfreezing", "staged_fine_tuning", "lp_ft"), seeds=(0,)).record
    )
    labels = [a for a in figure.layout.annotations if "phase" in a.text]
    assert [a.text for a in labels] == [
        "Staged fine-tuning, phase 2", "LP-FT, phase 2", "Gradual unfreezing, phases 2 to 19 begin",
    ]  # fmt: skip
    assert len({a.yshift for a in labels}) == 3, "each strategy's label has a line of its own"
    assert len(figure.layout.shapes) == 1 + 1 + 18


def test_champions_of_one_seed():
    record = example(strategies=("fine_tuning", "lora"), seeds=(0, 1)).record
    assert [r.spec.seed for r in champions(record, seed=1)] == [1, 1]


def test_it_is_said_which_network_is_described_and_which_phases_left_nothing():
    (subject,) = looked_into("lp_ft")
    first = subject.run.outcome.model_copy(update={"best_step": 0})
    early = anatomy.Subject(subject.run.model_copy(update={"outcome": first}), subject.entry)
    assert anatomy.kept_lines([early]) == [
        "LP-FT: the network that is kept is that of step 0 (best on validation), phase 1; phase 2 trained, but no "
        "later network was better on validation, so nothing of it is kept."
    ]
    assert [row["Kept network"] for row in anatomy.phase_rows([early])] == ["step 0", "nothing of this phase"]
    assert anatomy.kept_lines([subject]) == [
        "LP-FT: the network that is kept is that of step 42 (best on validation), phase 2."
    ]
    assert [row["Kept network"] for row in anatomy.phase_rows([subject])] == ["trained on", "step 42"]
    (gradual,) = looked_into("gradual_unfreezing")
    halfway = gradual.run.outcome.model_copy(update={"best_step": gradual.phases[16].last_step})
    (line,) = anatomy.kept_lines([anatomy.Subject(gradual.run.model_copy(update={"outcome": halfway}), gradual.entry)])
    assert line.endswith(
        "phase 17; phases 18 to 19 trained, but no later network was better on validation, so nothing of them is kept."
    )


def test_the_schedule_is_a_line_at_every_step_with_dots_on_it():
    figure = charts.learning_rates(looked_into("staged_fine_tuning"))
    line = next(t for t in figure.data if t.mode == "lines" and t.name == "the head")
    dots = next(t for t in figure.data if t.mode == "markers" and t.name == "the head")
    at = dict(zip(line.x, line.y, strict=True))
    assert set(range(1, 43)) <= set(at)
    assert [at[x] for x in dots.x] == pytest.approx(list(dots.y))
    assert line.x[14] is None, "the line breaks where phase 2 begins"

"""What is said beside the table: another network, partial weights, tuning, notes, names of variants and own ones."""

import json

import pytest

from tests.records import example
from tlcore.analysis import charts
from tlcore.analysis.caveats import caveats, command_of, loud, notes_of
from tlcore.analysis.comparison import result_of
from tlcore.analysis.differences import differences
from tlcore.analysis.groups import groups_of, in_words
from tlcore.analysis.leaderboard import leaderboard, leaderboard_table
from tlcore.analysis.report import as_html, document_of
from tlcore.analysis.trials import settings_text, trial_rows, tuning_words
from tlcore.results import WeightsMatch
from tlcore.strategies import export_strategy, parse_strategy

OWN = parse_strategy(
    "name: head_then_top\nlabel: 'Head & top: <b>first</b> the head'\n"
    "phases:\n  - {train: head, share: 0.5}\n  - {train: 'last:3', share: 0.5}\n",
    "mine.yaml",
)
VARIANTS = ("partial_fine_tuning:last_groups=1", "partial_fine_tuning:last_groups=4")


@pytest.fixture(scope="module")
def other():
    """From scratch on a network of its own."""
    return example(strategies=("from_scratch", "fine_tuning"), seeds=(0,), scratch_model="resnet18")


@pytest.fixture(scope="module")
def tuned():
    return example(strategies=("fine_tuning", "transfer_learning"), seeds=(0,), tune=3)


def with_resolved(record, **changes):
    runs = tuple(r.model_copy(update={"resolved": r.resolved.model_copy(update=changes)}) for r in record.runs)
    return record.model_copy(update={"runs": runs})


def test_another_network_is_marked_wherever_it_is_named(other):
    rows = leaderboard(other.record, other.predictions)
    table = leaderboard_table(rows).set_index("Strategy")["Model"]
    assert table["From scratch: random start, train all"] == "resnet18 (a different network)"
    assert table["Fine-tuning: pretrained start, train all"] == "mobilenetv2_100"
    assert loud(other.record)[0].startswith("From scratch ran on resnet18, a different network")
    drawn = charts.accuracy_intervals(rows).layout.yaxis.ticktext
    assert sum("a different network" in text.replace("<br>", " ") for text in drawn) == 1
    panels = [a.text for a in charts.learning_curves(other.record).layout.annotations]
    assert "resnet18 (a different network)" in panels
    assert loud(example(strategies=("from_scratch", "fine_tuning"), seeds=(0,)).record) == []


def test_partial_weights_are_said_loudly_and_in_the_report(other):
    match = WeightsMatch(source="file:/w.pth", matched=200, missing=100, other_shape=12, unknown=3, examples=("a.b",))
    record = with_resolved(other.record, weights=match)
    (line,) = [line for line in loud(record) if line.startswith("Only") and "mobilenetv2_100" in line]
    assert line.startswith(
        "Only 200 of 312 tensors of mobilenetv2_100 came from file:/w.pth; 112 started at random, such as a.b."
    )
    assert 'class="warning">Only 200 of 312' in as_html(document_of(record, {}))
    whole = with_resolved(other.record, weights=match.model_copy(update={"missing": 0, "other_shape": 0}))
    assert not any(line.startswith("Only") for line in loud(whole))


def test_what_tuning_cost_is_part_of_the_time_and_said(tuned):
    rows = leaderboard(tuned.record, tuned.predictions)
    table = leaderboard_table(rows).set_index("Strategy")
    run = next(r for r in tuned.record.runs if r.spec.strategy == "fine_tuning")
    mine = table.loc["Fine-tuning: pretrained start, train all"]
    assert mine["Training time (s)"] == pytest.approx(run.outcome.train_seconds, abs=0.05)
    assert mine["Of it, trials not chosen (s)"] == pytest.approx(run.outcome.tuning_seconds, abs=0.05)
    assert any("best of 3 trials" in line for line in caveats(tuned.record))
    plain = example(strategies=("fine_tuning",), seeds=(0,))
    assert "Of it, trials not chosen (s)" not in leaderboard_table(leaderboard(plain.record, plain.predictions))
    assert any("none was tuned" in line for line in caveats(plain.record))


def test_every_trial_is_a_row(tuned):
    rows = trial_rows(tuned.record.runs, tuned.record)
    assert [row["Trial"] for row in rows] == [1, 2, 3, 1, 2, 3]
    assert [row["Chosen"] for row in rows[:3]] == ["", "chosen", "failed: the loss became nan"]
    assert rows[0]["Settings tried"] == "Learning rate of the head 0.1, Weight decay 0.0005"
    assert rows[2]["Validation accuracy (%)"] is None
    assert rows[0]["Run"] == "Fine-tuning · mobilenetv2_100 · seed 0"
    assert settings_text({}) == "the recipe's own"
    assert settings_text({"2.learning_rate": 0.5}) == "Learning rate of the head, phase 2 0.5"


def test_which_trial_was_chosen_stands_before_long_words(tuned):
    columns = list(trial_rows(tuned.record.runs, tuned.record)[0])
    assert columns.index("Chosen") < columns.index("Settings tried")


def test_it_is_said_where_the_recipes_own_trial_sweeps_what_others_draw(tuned):
    assert "can hardly be better" not in tuning_words(tuned.record.runs)
    found = example(strategies=("feature_extraction",), seeds=(0,), tune=2)
    (run,) = found.record.runs
    own, other = run.outcome.trials
    trials = (own.model_copy(update={"settings": {}}), other.model_copy(update={"settings": {"c_low": 1, "c_high": 1}}))
    drawn = run.model_copy(update={"outcome": run.outcome.model_copy(update={"trials": trials})})
    assert "Feature extraction: trial 0 tries every C of its range" in tuning_words([drawn])


def test_notes_of_runs_say_whose_they_are():
    record = example(strategies=("fine_tuning", "lora"), seeds=(0, 1)).record
    runs = list(record.runs)
    early = "stopped early at step 21: no better evaluation in 3"
    for place in (0, 2):
        runs[place] = runs[place].model_copy(
            update={
                "resolved": runs[place].resolved.model_copy(update={"notes": (early,)}),
                "outcome": runs[place].outcome.model_copy(update={"notes": (early,)}),
            }
        )
    noted = record.model_copy(update={"runs": tuple(runs)})
    assert notes_of(noted) == [f"{early} (Fine-tuning)."]
    assert f"{early} (Fine-tuning)." in caveats(noted)


def test_variants_have_names_and_colours_of_their_own_everywhere():
    built = example(strategies=("partial_fine_tuning", *VARIANTS), seeds=(0,))
    colors = {g.entry.color for g in groups_of(built.record)}
    assert len(colors) == 3
    result = json.loads(result_of(built.record, built.predictions).model_dump_json())
    assert [s["label"].rpartition("(")[2] for s in result["strategies"][1:]] == ["last groups 1)", "last groups 4)"]
    live = charts.live_curves(built.record)
    assert {t.line.color for t in live.data} == colors
    assert in_words(built.record.spec.entry(VARIANTS[0])) == (
        "Partial fine-tuning (last layer groups and head, last groups 1)"
    )
    titles = [a.text.replace("<br>", " ") for a in charts.confusion_matrices(built.record).layout.annotations]
    assert "Partial fine-tuning (last groups 4)" in titles


def test_settings_that_differ_are_named_for_new_fields_too():
    lines = differences(
        example(strategies=("lora", "lora:lora_rank=2", "fine_tuning:hidden_units=64"), seeds=(0,)).record
    )
    assert "Rank of the adapters (LoRA): 8 (LoRA); 2 (LoRA (lora rank 2))" in lines
    assert any(line.startswith("Hidden layer in the head (units): 0 (LoRA") for line in lines)


def test_an_own_strategy_brings_its_definition_and_no_markup():
    built = example(strategies=("head_then_top", "fine_tuning"), seeds=(0,), own_strategies=(OWN,))
    assert "--strategy file:head_then_top.yaml" in command_of(built.record.spec, built.record.dataset)
    page = as_html(document_of(built.record, built.predictions))
    assert "<b>first" not in page.replace("\\u003cb", "")
    assert export_strategy(OWN).splitlines()[0] in page
    rows = leaderboard(built.record, built.predictions)
    for figure in (
        charts.learning_curves(built.record), charts.live_curves(built.record), charts.accuracy_intervals(rows),
        charts.pareto(rows), charts.per_class_chart(built.record), charts.confusion_matrices(built.record),
    ):  # fmt: skip
        assert "<b>first" not in str(figure.to_dict())


def test_many_names_have_room_in_the_figures():
    built = example(
        strategies=("from_scratch", "fine_tuning", "gradual_unfreezing", *VARIANTS), seeds=(0,),
        models=("a_model", "b"), fractions=(0.1, 1.0), classes=("a", "b", "a wasp with a very long name"),
    )  # fmt: skip
    matrices = charts.confusion_matrices(built.record)
    assert all(len(line) <= 22 for a in matrices.layout.annotations for line in a.text.split("<br>"))
    assert matrices.layout.xaxis.tickangle == -90, "names that would overlap stand upright"
    few = charts.pareto(leaderboard(example(seeds=(0,)).record, {}))
    many = charts.pareto(leaderboard(built.record, built.predictions))
    assert many.layout.margin.b > few.layout.margin.b, "a longer legend has more room"

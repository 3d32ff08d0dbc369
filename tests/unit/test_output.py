"""What the terminal says of a comparison."""

from tests.records import example
from tlcore.analysis.comparison import result_of
from tlcore.cli.output import note, say, show_result, table


def test_tuned_runs_say_their_trials_what_was_chosen_and_what_it_took(capsys):
    built = example(strategies=["fine_tuning", "transfer_learning"], seeds=[0], tune=3)
    show_result(result_of(built.record, built.predictions))
    said = capsys.readouterr().out
    outcomes = [run.outcome for run in built.record.runs]
    spent, whole = sum(o.tuning_seconds for o in outcomes), sum(o.train_seconds for o in outcomes)
    assert f"tuned: 3 trials per run; trials that were not chosen took {spent:.1f} of {whole:.1f} s (75%)" in said
    assert "  fine_tuning, seed 0: learning_rate=0.01, weight_decay=0.0005" in said
    assert "  transfer_learning, seed 0: " in said


def test_without_tuning_nothing_is_said_of_trials(capsys):
    built = example(strategies=["fine_tuning"], seeds=[0])
    show_result(result_of(built.record, built.predictions))
    assert "trials" not in capsys.readouterr().out


def test_names_are_printed_as_they_are(capsys):
    """Rich would take the end of `a:b:` for an emoji."""
    say("class :b: of [red]")
    note("class :b:")
    table("", ["name "], [["class :b:"]])
    said = capsys.readouterr()
    assert said.out.split("\n")[0] == "class :b: of [red]"
    assert said.out.count(":b:") == 2
    assert said.err == "class :b:\n"

"""A run that is stopped or killed goes on as if nothing had happened."""

import json
import re
from dataclasses import replace

import pytest
import torch

from tests.training_support import Bench, Crash, Recorder, tiny_dataset
from tlcore.errors import RunCancelledError
from tlcore.results import TimePart
from tlcore.spec import Budget
from tlcore.strategies import STRATEGIES
from tlcore.training.loop import plan, position

TIMES = {"train_seconds", "timestamp_ms"}
BUDGET = Budget(steps=9)  # staged: the border is at step 3; an epoch is 2.25 steps


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    return Bench(folder, tiny_dataset(folder, classes=3, per_class=10), budget=BUDGET)


# What is run whole and in pieces: every strategy, and the options that a resumed run could forget about.
OPTIONS = {
    "norms-train": ("fine_tuning", {"normalization": "train", "gradient_clip": 0.5}),
    "patience": ("staged_fine_tuning", {"patience": 1, "learning_rate": 1e-30, "backbone_learning_rate": 0.0}),
    "balanced": ("partial_fine_tuning", {"class_balance": "balanced_sampling", "last_groups": 1}),
    "drawn": ("fine_tuning", {"augmentation": "trivial_augment", "noise": 0.1, "class_balance": "loss_weights"}),
    "adam": ("fine_tuning", {"optimizer": "adam", "layer_decay": 0.5, "schedule": "step"}),
}
CASES = {**{strategy: (strategy, {}) for strategy in STRATEGIES}, **OPTIONS}
BORDERS = ("staged_fine_tuning", "lp_ft", "gradual_unfreezing", "patience")


def spec_of(bench, case):
    strategy, overrides = CASES[case]
    model = {"lora": "test_vit", "norms-train": "test_efficientnet"}.get(case, "test_resnet")
    budget = Budget(steps=24) if case == "patience" else BUDGET  # its border would be at step 8
    return replace(bench, model=model).spec(strategy, overrides=overrides, budget=budget)


@pytest.fixture(scope="module")
def uninterrupted(bench):
    """What each case does when it is left alone."""
    known = {}

    def found(case):
        if case not in known:
            bench.run(spec_of(bench, case), f"whole-{case}")
            known[case] = result(bench, f"whole-{case}")
        return known[case]

    return found


def result(bench, name):
    """Curve, metrics and weights, without anything that a clock says."""
    artifacts = bench.work(name) / "artifacts"
    history = json.loads((artifacts / "history.json").read_text())
    outcome = json.loads((artifacts / "outcome.json").read_text())
    kept = ("train", "val", "test", "last_val", "best_step", "images_seen", "frozen_states", "did_not_learn", "notes")
    kept += ("phases", "layer_groups", "num_trainable_parameters")
    weights = (bench.work(name) / "model" / "weights.safetensors").read_bytes()
    predictions = (artifacts / "predictions.parquet").read_bytes()
    curve = [{k: v for k, v in point.items() if k not in TIMES} for point in history]
    return curve, {k: outcome[k] for k in kept}, weights, predictions


def run_in_pieces(bench, spec, name, patience):
    """Run with a little more patience each time, until it ends by itself; how many pieces it took."""
    for piece in range(1, 60):
        try:
            bench.run(spec, name, Recorder(stop_after=patience + piece))
        except (RunCancelledError, Crash):
            continue
        return piece
    raise AssertionError("it never ended")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("patience", [1, 2])  # questions whether to stop that are answered with no
def test_a_run_stopped_again_and_again_gives_the_same_bits(bench, uninterrupted, case, patience):
    name = f"pieces-{case}-{patience}"
    pieces = run_in_pieces(bench, spec_of(bench, case), name, patience)
    assert pieces > 1
    assert result(bench, name) == uninterrupted(case)


@pytest.mark.parametrize("case", BORDERS)
@pytest.mark.parametrize("step", range(1, 9))  # before, at and after each border; an epoch is 2.25 steps
def test_a_stop_at_any_step_changes_nothing(bench, uninterrupted, case, step):
    spec, name = spec_of(bench, case), f"border-{case}-{step}"
    with pytest.raises(RunCancelledError):
        bench.run(spec, name, Recorder(stop_at=step))
    bench.run(spec, name)
    assert result(bench, name) == uninterrupted(case)


@pytest.mark.parametrize("case", ["from_scratch", "gradual_unfreezing", "lora"])
@pytest.mark.parametrize("step", [3, 4, 6])
def test_a_crash_goes_back_to_the_last_evaluation(bench, uninterrupted, case, step):
    spec, name = spec_of(bench, case), f"crash-{case}-{step}"
    with pytest.raises(Crash):
        bench.run(spec, name, Recorder(crash_at=step))
    bench.run(spec, name)
    assert result(bench, name) == uninterrupted(case)


def test_patience_ends_a_phase_and_the_next_one_takes_what_is_left(bench, uninterrupted):
    """Nothing learns, so that no evaluation of the head is better than its first; the border would be at step 8."""
    outcome = bench.run(spec_of(bench, "patience"), "patience-whole")
    head, rest = outcome.phases
    assert (head.first_step, head.last_step) == (0, 4)  # epochs end with steps 2 and 4
    assert rest.first_step == 4
    assert 8 < rest.last_step < 24
    assert len(outcome.notes) == 2
    assert "phase 1 ended early, at optimiser step 4: 1 evaluation without a better one" in outcome.notes[0]


@pytest.mark.parametrize(("step", "first"), [(3, 1), (4, 4), (7, 6), (8, 8)])
def test_a_crash_between_rare_evaluations_goes_back_to_the_last_epoch(bench, monkeypatch, step, first):
    """One evaluation fits, at step 9; epochs end with steps 3, 5 and 7, each saved before the next step."""
    monkeypatch.setattr(plan, "MAX_EVALUATIONS", 2)
    spec, name = bench.spec("from_scratch"), f"rare-{step}"
    bench.run(spec, f"{name}-whole")
    monkeypatch.setattr(position, "SAVE_SECONDS", 0.0)
    with pytest.raises(Crash):
        bench.run(spec, name, Recorder(crash_at=step))
    recorder = Recorder()
    bench.run(spec, name, recorder)
    trained = [int(found[1]) for _, message in recorder.messages if (found := re.search(r"step (\d+) of", message))]
    assert trained[0] == first
    assert result(bench, name) == result(bench, f"{name}-whole")


def test_a_resumed_run_says_from_where_it_goes_on(bench, caplog):
    spec = spec_of(bench, "gradual_unfreezing")
    with pytest.raises(Crash):
        bench.run(spec, "told", Recorder(crash_at=6))
    reporter = Recorder()
    with caplog.at_level("INFO"):
        bench.run(spec, "told", reporter)
    (said,) = [(done, words) for done, words in reporter.messages if "checkpoint" in words]
    found = re.fullmatch(r"goes on from its checkpoint: step (\d+), phase [2-6] of 6", said[1])
    assert 0 < int(found[1]) < 6
    assert said[0] == pytest.approx(int(found[1]) / 9)
    assert said[1] in caplog.text


def test_the_whole_history_is_sent_again_with_its_own_timestamps(bench):
    spec, first, second = bench.spec("transfer_learning"), Recorder(stop_at=5), Recorder()
    with pytest.raises(RunCancelledError):
        bench.run(spec, "again", first)
    bench.run(spec, "again", second)
    sent_before = first.histories[-1][0]
    assert second.histories[0] == (sent_before, len(sent_before))
    assert second.histories[-1][0][: len(sent_before)] == sent_before


def test_a_finished_run_that_is_asked_for_again_only_concludes(bench):
    spec = bench.spec("transfer_learning")
    bench.run(spec, "finished")
    before = result(bench, "finished")
    recorder = Recorder()
    bench.run(spec, "finished", recorder)
    assert result(bench, "finished") == before
    assert not any("training:" in message for _, message in recorder.messages)


def test_the_time_of_a_resumed_run_includes_what_it_took_before(bench):
    spec = bench.spec("fine_tuning")
    with pytest.raises(RunCancelledError):
        bench.run(spec, "timed", Recorder(stop_at=5))
    last = bench.work("timed") / "checkpoint" / "last.pt"
    content = torch.load(last, weights_only=True)
    assert set(content["plain"]["seconds_by_part"]) >= {"network", "augment", "forward", "backward", "optimizer"}
    content["plain"]["seconds_by_part"] = {"forward": 1000.0}
    torch.save(content, last)
    outcome = bench.run(spec, "timed")
    assert 1000 < outcome.seconds_by_part["forward"] < 1000 + outcome.total_seconds
    named = {part: seconds for part, seconds in outcome.seconds_by_part.items() if part != "forward"}
    assert set(named) == set(TimePart.__args__) - {"forward", "features", "fit"}, "those were made before it stopped"
    assert sum(named.values()) < outcome.total_seconds

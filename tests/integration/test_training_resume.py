"""A run that is stopped or killed goes on as if nothing had happened."""

import json
import re

import pytest

from tests.training_support import Bench, Crash, Recorder, tiny_dataset
from tlcore.errors import RunCancelledError
from tlcore.spec import Budget
from tlcore.strategies import STRATEGIES
from tlcore.training import plan, position

TIMES = {"train_seconds", "timestamp_ms"}
BUDGET = Budget(steps=9)  # staged: the border is at step 3; an epoch is 2.25 steps


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    return Bench(folder, tiny_dataset(folder, classes=3, per_class=10), budget=BUDGET)


@pytest.fixture(scope="module")
def uninterrupted(bench):
    """What each strategy does when it is left alone."""
    found = {}
    for strategy in STRATEGIES:
        bench.run(bench.spec(strategy), f"whole-{strategy}")
        found[strategy] = result(bench, f"whole-{strategy}")
    return found


def result(bench, name):
    """Curve, metrics and weights, without anything that a clock says."""
    artifacts = bench.work(name) / "artifacts"
    history = json.loads((artifacts / "history.json").read_text())
    outcome = json.loads((artifacts / "outcome.json").read_text())
    kept = ("train", "val", "test", "last_val", "best_step", "images_seen", "frozen_states", "did_not_learn", "notes")
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


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("patience", [1, 2, 3])  # questions whether to stop that are answered with no
def test_a_run_stopped_again_and_again_gives_the_same_bits(bench, uninterrupted, strategy, patience):
    name = f"pieces-{strategy}-{patience}"
    pieces = run_in_pieces(bench, bench.spec(strategy), name, patience)
    assert pieces > 1
    assert result(bench, name) == uninterrupted[strategy]


@pytest.mark.parametrize("step", [1, 2, 3, 4, 9])
def test_a_stop_around_the_phase_border_changes_nothing(bench, uninterrupted, step):
    spec, name = bench.spec("staged_fine_tuning"), f"border-{step}"
    with pytest.raises(RunCancelledError):
        bench.run(spec, name, Recorder(stop_at=step))
    recorder = Recorder()
    bench.run(spec, name, recorder)
    assert result(bench, name) == uninterrupted["staged_fine_tuning"]


@pytest.mark.parametrize("strategy", ["from_scratch", "staged_fine_tuning"])
@pytest.mark.parametrize("step", [3, 4, 6])
def test_a_crash_goes_back_to_the_last_evaluation(bench, uninterrupted, strategy, step):
    spec, name = bench.spec(strategy), f"crash-{strategy}-{step}"
    with pytest.raises(Crash):
        bench.run(spec, name, Recorder(crash_at=step))
    bench.run(spec, name)
    assert result(bench, name) == uninterrupted[strategy]


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

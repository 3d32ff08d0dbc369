"""Tuning: trials inside one run, chosen on validation, paid for, and resumed where they stood."""

import json
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest

from tests.integration.test_training_resume import result
from tests.training_support import Bench, Crash, Recorder, tiny_dataset
from tlcore.errors import NonFiniteLossError, RunCancelledError
from tlcore.spec import Budget
from tlcore.training import run as run_module
from tlcore.training import tuning
from tlcore.training.loop import checkpoints

TRIALS = 3
KINDS = ("fine_tuning", "feature_extraction", "lp_ft")


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    return Bench(folder, tiny_dataset(folder, classes=3, per_class=10), budget=Budget(steps=4))


@pytest.fixture(scope="module")
def tuned(bench):
    """What each strategy does with three trials: the spec, the outcome, and what was reported."""
    found = {}
    for strategy in KINDS:
        spec, recorder = bench.spec(strategy, tune=TRIALS), Recorder()
        found[strategy] = spec, bench.run(spec, f"tuned-{strategy}", recorder), recorder
    return found


@pytest.mark.parametrize("strategy", KINDS)
def test_the_best_trial_on_validation_is_the_run(bench, tuned, strategy):
    _, outcome, recorder = tuned[strategy]
    trials = outcome.trials
    assert [trial.number for trial in trials] == [0, 1, 2]
    assert trials[0].settings == {} and trials[1].settings and trials[1].settings != trials[2].settings
    (chosen,) = [trial for trial in trials if trial.chosen]
    best = max(trials, key=lambda t: (t.val_accuracy, -(t.val_loss or 0), -t.number))
    assert chosen == best
    assert outcome.val.accuracy == chosen.val_accuracy
    assert recorder.trials == trials


@pytest.mark.parametrize("strategy", KINDS)
def test_the_parts_of_the_time_are_those_of_all_trials(bench, tuned, strategy):
    _, outcome, _ = tuned[strategy]
    ended = tuning._load(bench.work(f"tuned-{strategy}") / "checkpoint")
    part = "fit" if strategy == "feature_extraction" else "forward"
    assert len(ended) == TRIALS and all(trial.seconds_by_part[part] > 0 for trial in ended)
    assert outcome.seconds_by_part[part] == pytest.approx(sum(trial.seconds_by_part[part] for trial in ended), rel=0.01)


@pytest.fixture
def slow_start(monkeypatch):
    """Each time that the run itself is prepared, decoding takes a made-up 1,000 seconds, on the wall too."""
    real = run_module.prepare

    def slow(ground, *given):
        found = real(ground, *given)
        found.task.watch.include({"decode": 1000.0})
        clock.append(1000.0)
        return found

    clock = [0.0]
    tick = time.perf_counter
    monkeypatch.setattr(time, "perf_counter", lambda: tick() + sum(clock))
    monkeypatch.setattr(run_module, "prepare", slow)


@pytest.mark.parametrize("trials_over", [0, 1, TRIALS])
def test_the_time_before_the_trials_is_kept_over_a_stop(bench, slow_start, trials_over):
    """Images are decoded there. The whole and its parts tell of the same."""
    spec, name = bench.spec("fine_tuning", tune=TRIALS), f"stopped-{trials_over}"
    recorder = Recorder(crash_after_trials=trials_over) if trials_over else Recorder(stop_at=2)
    with pytest.raises(Crash if trials_over else RunCancelledError):
        bench.run(spec, name, recorder)
    outcome = bench.run(spec, name)
    assert outcome.seconds_by_part["decode"] == pytest.approx(3000, abs=100), "before, before again, and after"
    assert sum(outcome.seconds_by_part.values()) == pytest.approx(outcome.total_seconds, abs=100)


def test_a_process_that_died_before_its_first_checkpoint_counts_for_nothing(bench, slow_start):
    spec = bench.spec("fine_tuning", tune=TRIALS)
    with pytest.raises(Crash):
        bench.run(spec, "died-early", Recorder(crash_at=1))
    assert not list(bench.work("died-early").rglob(checkpoints.LAST))
    outcome = bench.run(spec, "died-early")
    assert outcome.seconds_by_part["decode"] == pytest.approx(2000, abs=100), "before, and after"
    assert sum(outcome.seconds_by_part.values()) == pytest.approx(outcome.total_seconds, abs=100)


@pytest.mark.parametrize("strategy", KINDS)
def test_a_trial_is_the_plain_run_with_its_settings(bench, tuned, strategy):
    """`compare --set` with a trial's values gives what the trial had, and the run is the chosen one's."""
    spec, outcome, _ = tuned[strategy]
    for trial in outcome.trials:
        name = f"plain-{strategy}-{trial.number}"
        plain = bench.run(spec.model_copy(update={"tune": 0, "overrides": trial.settings}), name)
        assert plain.val.accuracy == trial.val_accuracy
        assert plain.val.loss == pytest.approx(trial.val_loss, rel=1e-4)
        if trial.chosen:
            mine, its = result(bench, f"tuned-{strategy}"), result(bench, name)
            assert mine[0] == its[0], "the curve"
            assert mine[2:] == its[2:], "weights and predictions"


def test_every_strategy_gets_the_same_draws_for_the_same_settings(tuned):
    """fine_tuning's and LP-FT's rates differ by ten, but the factor that a trial puts on them is the same."""
    full, staged = tuned["fine_tuning"][1].trials[1].settings, tuned["lp_ft"][1].trials[1].settings
    assert full["learning_rate"] / 1e-2 == pytest.approx(staged["2.learning_rate"] / 1e-3, rel=1e-3)
    assert full["backbone_learning_rate"] / 1e-3 == pytest.approx(staged["2.backbone_learning_rate"] / 1e-4, rel=1e-3)
    alone = tuned["feature_extraction"][1].trials[1].settings
    assert alone == {key: staged[f"1.{key}"] for key in ("c_low", "c_high")}


@pytest.mark.parametrize("strategy", KINDS)
def test_all_trials_are_paid_for_and_features_once(bench, tuned, strategy):
    _, outcome, _ = tuned[strategy]
    history = json.loads((bench.work(f"tuned-{strategy}") / "artifacts" / "history.json").read_text())
    assert outcome.train_seconds == pytest.approx(sum(t.train_seconds for t in outcome.trials))
    assert outcome.tuning_seconds == pytest.approx(outcome.train_seconds - history[-1]["train_seconds"], abs=0.05)
    assert 0 < outcome.tuning_seconds < outcome.train_seconds
    assert outcome.total_seconds >= outcome.train_seconds * 0.5


def test_features_are_charged_to_the_first_trial_alone(bench, tuned):
    """Their cost is set to 100 s an image, which no trial after the first pays again."""
    for meta in (bench.folder / "cache" / "features").glob("*/meta.json"):
        kept = json.loads(meta.read_text())
        meta.write_text(json.dumps({**kept, "seconds_per_image": 100.0}))
    recorder = Recorder()
    outcome = bench.run(bench.spec("feature_extraction", tune=2), "dear", recorder)
    images = recorder.resolution.num_train + recorder.resolution.num_val
    assert outcome.train_seconds == pytest.approx(100 * images, rel=0.1)
    assert outcome.trials[1].train_seconds < 100


def test_trials_never_meet_the_test_split(bench, monkeypatch):
    met = []
    real = tuning.prepare

    def watched(ground, recipe, folder, reporter):
        prepared = real(ground, recipe, folder, reporter)
        source = prepared.task.source
        test = set(ground.split.test)

        def read(kind):
            def reader(rows):
                met.extend(test & set(rows.tolist()))
                return getattr(source, kind)(rows)

            return reader

        spied = replace(source, read_eval=read("read_eval"), read_train=read("read_train"))
        return replace(prepared, task=replace(prepared.task, source=spied))

    monkeypatch.setattr(tuning, "prepare", watched)
    bench.run(bench.spec("fine_tuning", tune=2, seed=5), "watched")
    assert met == []


def test_the_progress_is_over_all_trials(tuned):
    _, _, recorder = tuned["fine_tuning"]
    shares = [done for done, message in recorder.messages if message.startswith("trial ")]
    assert shares == sorted(shares)
    assert shares[0] < 0.1 and shares[-1] > 0.9
    assert {m.partition(",")[0] for _, m in recorder.messages if m.startswith("trial ")} == {
        f"trial {i} of 3" for i in (1, 2, 3)
    }


def test_the_curve_is_the_chosen_trials_alone(tuned):
    _, outcome, recorder = tuned["fine_tuning"]
    (sent,) = recorder.histories
    assert sent[1] == len(sent[0]) and sent[0][-1].val_accuracy is not None
    assert max(point.val_accuracy for point in sent[0]) == outcome.val.accuracy


@pytest.mark.parametrize("strategy", KINDS)
@pytest.mark.parametrize("patience", [2, 5, 11])
def test_a_stop_in_any_trial_changes_nothing(bench, tuned, strategy, patience):
    spec, whole, _ = tuned[strategy]
    name = f"stopped-{strategy}-{patience}"
    for piece in range(80):
        try:
            outcome = bench.run(spec, name, Recorder(stop_after=patience + piece))
            break
        except RunCancelledError:
            continue
    assert piece > 1
    assert result(bench, name) == result(bench, f"tuned-{strategy}")
    timeless = {"train_seconds": 0.0}
    assert [t.model_copy(update=timeless) for t in outcome.trials] == [
        t.model_copy(update=timeless) for t in whole.trials
    ]


def test_finished_trials_are_not_repeated_after_a_crash(bench, tuned):
    spec = tuned["fine_tuning"][0]

    class Dies(Recorder):
        def progressed(self, done, message):
            if message.startswith("trial 3 of 3, training: step 2"):
                raise Crash
            super().progressed(done, message)

    with pytest.raises(Crash):
        bench.run(spec, "crashed", Dies())
    recorder = Recorder()
    bench.run(spec, "crashed", recorder)
    assert {m.partition(",")[0] for _, m in recorder.messages if m.startswith("trial ")} == {"trial 3 of 3"}
    assert result(bench, "crashed") == result(bench, "tuned-fine_tuning")
    assert len(list((bench.work("crashed") / "checkpoint").glob("trial-*"))) == 1, "only the best is kept"


def test_a_resumed_trial_stores_no_features_of_its_trained_network(bench, tuned):
    """The stored features are lost between a stop within the second trial and its resumption."""

    class Stops(Recorder):
        def should_stop(self):
            said = self.messages[-1][1] if self.messages else ""
            return said.startswith("trial 2 of 3") and "step 3 of" in said

    places, spec = bench.folder / "cache" / "features", tuned["lp_ft"][0]
    with pytest.raises(RunCancelledError):
        bench.run(spec, "lost", Stops())
    before = {place.parent.name: np.load(place) for place in places.glob("*/features.npy")}
    shutil.rmtree(places)
    bench.run(spec, "lost")
    (made,) = places.glob("*/features.npy")
    assert np.array_equal(np.load(made), before[made.parent.name])
    assert result(bench, "lost") == result(bench, "tuned-lp_ft")


WILD = {"learning_rate": 100.0, "backbone_learning_rate": 100.0, "momentum": 0.999, "gradient_clip": 0.0}


def test_a_trial_that_diverges_is_noted_and_not_chosen(bench, monkeypatch):
    def draw(strategy, recipe, model, asked, seed, trial):
        return WILD if trial == 1 else {}

    monkeypatch.setattr(tuning, "trial_settings", draw)
    outcome = bench.run(bench.spec("from_scratch", tune=2, budget=Budget(steps=40)), "diverges")
    assert outcome.trials[1].error and "loss is" in outcome.trials[1].error
    assert outcome.trials[1].val_accuracy is None
    assert [trial.chosen for trial in outcome.trials] == [True, False]
    assert outcome.tuning_seconds > 0


def test_a_run_whose_trials_all_diverge_says_so(bench):
    spec = bench.spec("from_scratch", tune=2, budget=Budget(steps=40), overrides=WILD)
    with pytest.raises(NonFiniteLossError, match="every trial diverged"):
        bench.run(spec, "hopeless")

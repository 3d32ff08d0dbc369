"""The JSON contract, the leaderboard, and the sentences, on synthetic comparisons counted again by hand."""

import json
import math

import numpy as np
import pytest

from tests.records import example
from tlcore.analysis.caveats import loud, notes_of
from tlcore.analysis.comparison import (
    comparable,
    differences,
    leaderboard,
    leaderboard_table,
    overfitting,
    result_of,
)
from tlcore.analysis.findings import rising_from
from tlcore.results import ComparisonResult, EvaluationPoint
from tlcore.spec import Budget
from tlcore.strategies import CORE, STRATEGIES

RUN_KEYS = {
    "run_id", "model", "strategy", "seed", "fraction", "status", "error", "test", "val", "train", "best_epoch",
    "epochs", "images_seen", "train_seconds", "total_seconds", "peak_memory_bytes", "num_parameters",
    "num_trainable_parameters", "frozen_state_unchanged",
}  # fmt: skip


@pytest.fixture(scope="module")
def whole():
    return example()


def with_outcome(record, run_index, **changes):
    """The record with one run's outcome changed."""
    runs = list(record.runs)
    outcome = runs[run_index].outcome.model_copy(update=changes)
    runs[run_index] = runs[run_index].model_copy(update={"outcome": outcome})
    return record.model_copy(update={"runs": tuple(runs)})


def with_resolved(record, choose, **changes):
    """The record with the resolved settings of the chosen runs changed."""
    runs = tuple(
        r.model_copy(update={"resolved": r.resolved.model_copy(update=changes)}) if choose(r) else r
        for r in record.runs
    )
    return record.model_copy(update={"runs": runs})


def test_result_follows_the_contract(whole):
    data = json.loads(result_of(whole.record, whole.predictions).model_dump_json())
    assert {"comparison_id", "dataset", "models", "weights", "device", "device_reason", "budget", "runs", "strategies",
            "verdict"} <= set(data)  # fmt: skip
    assert {"id", "name", "fingerprint", "num_images", "num_classes", "splits"} <= set(data["dataset"])
    assert data["budget"] == {"epochs": 6}
    assert data["weights"] == "file:/data/weights/mobilenetv2_100.safetensors"
    assert len(data["runs"]) == 15
    assert all(set(run) >= RUN_KEYS for run in data["runs"])
    assert [s["strategy"] for s in data["strategies"]] == list(CORE)
    assert data["verdict"]["distinguishable"] is False
    assert data["verdict"]["text"].startswith("Not distinguishable at a budget of 6 epochs: ")
    assert len(data["verdict"]["pairs"]) == 6, "from scratch did not learn, so it is not tested"
    assert ComparisonResult.model_validate(data)


def test_mean_is_counted_from_the_predictions(whole):
    for entry in result_of(whole.record, whole.predictions).strategies:
        runs = [r for r in whole.record.runs if r.spec.strategy == entry.strategy]
        frames = [whole.predictions[r.run_id].query("split == 'test'") for r in runs]
        mean = np.mean([np.mean(f["label"] == f["predicted"]) for f in frames])
        assert entry.test_accuracy_mean == pytest.approx(mean)
        assert entry.test_accuracy_ci95[0] < mean < entry.test_accuracy_ci95[1]
        assert entry.num_seeds == 3


def test_best_begins_with_the_highest_mean(whole):
    result = result_of(whole.record, whole.predictions)
    top = max(result.strategies, key=lambda s: s.test_accuracy_mean)
    assert result.verdict.best[0] == top.strategy
    assert f": {STRATEGIES[top.strategy].short_label} (" in result.verdict.text


def test_several_models_are_named_in_best_and_weights():
    built = example(models=("a_model", "b_model"), seeds=[0], fractions=(0.5, 1.0), strategies=["fine_tuning"])
    result = result_of(built.record, built.predictions)
    assert len(result.strategies) == 4
    model, strategy = result.verdict.best[0].split(" / ")
    assert model in {"a_model", "b_model"}
    assert strategy == "fine_tuning"
    assert result.weights.startswith("a_model=file:")


def test_what_does_not_exist_is_null_never_nan():
    built = example(seeds=[0], status={("fine_tuning", 0): "FAILED", ("from_scratch", 0): "SCHEDULED"})
    svm = next(i for i, r in enumerate(built.record.runs) if r.spec.strategy == "feature_extraction")
    part = built.record.runs[svm].outcome.test.model_copy(update={"loss": math.nan, "ece": None})
    record = with_outcome(built.record, svm, test=part)
    text = result_of(record, built.predictions).model_dump_json()
    assert "NaN" not in text
    runs = {r["strategy"]: r for r in json.loads(text)["runs"]}
    assert runs["feature_extraction"]["test"]["loss"] is None
    assert runs["feature_extraction"]["best_epoch"] == 0
    failed = runs["fine_tuning"]
    assert failed["error"].startswith("the loss became nan")
    assert failed["test"] == {"accuracy": None, "balanced_accuracy": None, "loss": None, "ece": None}
    assert failed["train_seconds"] is None
    assert runs["transfer_learning"]["frozen_state_unchanged"] is True
    assert runs["from_scratch"]["frozen_state_unchanged"] is None
    json.dumps(result_of(record, {}).model_dump(), allow_nan=False)


def test_nothing_finished_yet_is_a_result_too():
    built = example(strategies=["fine_tuning"], seeds=[0], status={("fine_tuning", 0): "SCHEDULED"})
    result = result_of(built.record, {})
    assert result.verdict.text == "No run has finished yet: there is nothing to compare."
    assert result.verdict.best == ()
    assert result.device is None
    assert result.strategies[0].test_accuracy_mean is None


def test_without_predictions_one_seed_has_the_same_interval():
    built = example(seeds=[0])
    assert result_of(built.record, {}).strategies == result_of(built.record, built.predictions).strategies


def test_without_predictions_several_seeds_cover_seeds_only(whole):
    rows = leaderboard(whole.record, {})
    assert {row.interval_covers for row in rows} == {"seeds"}
    assert {row.interval_covers for row in leaderboard(whole.record, whole.predictions)} == {"seeds and images"}


def test_leaderboard_is_sorted_and_counts_seeds():
    built = example(status={("fine_tuning", 2): "RUNNING", ("transfer_learning", 1): "FAILED"})
    rows = leaderboard(built.record, built.predictions)
    assert [r.test_accuracy for r in rows] == sorted((r.test_accuracy for r in rows), reverse=True)
    counts = {r.strategy: (r.seeds_finished, r.seeds_asked) for r in rows}
    assert counts["fine_tuning"] == (2, 3)
    assert counts["from_scratch"] == (3, 3)
    scratch = next(r for r in rows if r.strategy == "from_scratch")
    assert scratch.did_not_learn == 3
    assert scratch.test_spread == pytest.approx(np.std(scratch.test_accuracies, ddof=1))


def test_smaller_fractions_and_unfinished_rows_come_last():
    built = example(seeds=[0], fractions=(0.1, 1.0), status={("fine_tuning", 0): "KILLED"})
    rows = leaderboard(built.record, built.predictions)
    assert [r.fraction for r in rows] == [1.0] * 5 + [0.1] * 5
    assert rows[4].strategy == rows[9].strategy == "fine_tuning"


def test_table_names_units_and_leaves_out_what_is_constant(whole):
    table = leaderboard_table(leaderboard(whole.record, whole.predictions))
    assert "Model" not in table
    assert "Training data" not in table
    assert table["Test accuracy (%)"].between(0, 100).all()
    assert set(table["Frozen part"]) == {"unchanged", "–"}
    wide = example(models=("a", "b"), seeds=[0], fractions=(0.5, 1.0))
    assert {"Model", "Training data"} <= set(leaderboard_table(leaderboard(wide.record, wide.predictions)))


def test_differences_name_the_recipes_and_nothing_that_agrees(whole):
    lines = differences(whole.record)
    assert any(line.startswith("Label smoothing: 0.1 (From scratch); 0 (") for line in lines)
    assert any("0.01, then 0.001 (Staged fine-tuning)" in line for line in lines)
    assert not any(line.startswith(("Device", "Batch size", "Version", "Pretrained weights")) for line in lines)


def test_differences_say_who_has_which_value(whole):
    record = with_resolved(whole.record, lambda r: r.spec.strategy == "fine_tuning", batch_size=16)
    assert (
        "Batch size: 32 (From scratch, Feature extraction, Transfer learning, Staged fine-tuning); 16 (Fine-tuning)"
        in (differences(record))
    )
    record = with_resolved(whole.record, lambda r: r.spec.seed == 2, device="cuda:0")
    assert "Device: cpu (seed 0, seed 1); cuda:0 (seed 2)" in differences(record)
    record = with_resolved(whole.record, lambda r: r == whole.record.runs[3], library_versions={"torch": "3.0"})
    assert any(line.startswith("Version of torch: 2.15.0") and "3.0 (" in line for line in differences(record))


def test_a_librarys_own_interpolation_is_a_difference():
    """As of MobileNetV2: bicubic in timm, bilinear in torchvision."""
    record = example(models=("mobilenetv2_100", "torchvision:mobilenet_v2"), seeds=[0]).record
    recipe = record.runs[0].resolved.recipe
    bilinear = {**recipe, "preprocessing": {**recipe["preprocessing"], "interpolation": "bilinear"}}
    record = with_resolved(record, lambda r: r.spec.model.startswith("torchvision"), recipe=bilinear)
    (said,) = [line for line in differences(record) if line.startswith("Preprocessing, interpolation: ")]
    assert "bilinear (torchvision:mobilenet_v2)" in said


def test_the_same_family_and_test_split_are_comparable(whole):
    assert comparable(whole.record.runs) == []
    other = with_resolved(whole.record, lambda r: r.spec.seed == 1, test_fingerprint="9" * 64)
    assert len(comparable(other.runs)) == 1
    assert "test images differ" in comparable(other.runs)[0]
    longer = example(epochs=9).record.runs
    assert comparable([*whole.record.runs, *longer]) == ["budget differs: 6 epochs and 9 epochs"]


def test_overfitting_and_learning_nothing_are_said_once_each(whole):
    lines = overfitting(whole.record)
    assert len(lines) == 2
    assert lines[0].startswith("From scratch (random start, train all) learnt nothing")
    assert lines[1].startswith("Fine-tuning (pretrained start, train all) overfits: its best checkpoint gets 99.5 %")
    assert "the validation loss rises" in lines[1]


def test_a_training_loss_that_rose_far_above_guessing_asks_for_a_lower_rate():
    found = example(strategies=("from_scratch", "fine_tuning"), seeds=(0, 1, 2)).record
    runs = list(found.runs)
    for at, run in enumerate(runs):
        if run.spec.strategy == "from_scratch" or run.spec.seed == 2:
            loss = 1306.4 if run.spec.seed == 2 else 20.0
            points = tuple(point.model_copy(update={"train_loss": loss}) for point in run.history)
            outcome = run.outcome.model_copy(update={"did_not_learn": True})
            runs[at] = run.model_copy(update={"history": points, "outcome": outcome})
    lines = overfitting(found.model_copy(update={"runs": tuple(runs)}))
    assert lines == [
        "The training loss rose far above that of guessing, and nothing was learnt there: From scratch (to 1,306); "
        "Fine-tuning (to 1,306, in 1 of 3 seeds). This is no verdict on the strategy; give it a lower learning rate."
    ]


def test_a_gap_that_a_small_validation_part_explains_is_no_overfitting():
    small = example(strategies=["fine_tuning"], num_val=20).record
    assert overfitting(small) == []
    assert len(overfitting(example(strategies=["fine_tuning"], num_val=200).record)) == 1


def losses(train, val):
    pairs = enumerate(zip(train, val, strict=True))
    return [
        EvaluationPoint(
            step=i, epoch=i, images_seen=i, train_seconds=i, timestamp_ms=0, phase=0, train_loss=t, val_loss=v
        )
        for i, (t, v) in pairs
    ]


def test_rising_validation_loss_is_seen_only_while_training_loss_falls():
    assert rising_from(losses([1, 0.5, 0.3, 0.2], [0.8, 0.5, 0.6, 0.7])) == 1
    assert rising_from(losses([1, 0.5, 0.3, 0.2], [0.8, 0.5, 0.45, 0.4])) is None
    assert rising_from(losses([1, 0.5, 0.6, 0.7], [0.8, 0.5, 0.6, 0.7])) is None


def test_seeds_with_other_weights_are_not_repeats(whole):
    first, *rest = whole.record.runs
    changed = first.model_copy(update={"spec": first.spec.model_copy(update={"weights": "file:/other"})})
    assert comparable(whole.record.runs) == []
    assert any("no repeats of one another" in reason for reason in comparable((changed, *rest)))


def test_a_comparison_without_runs_has_a_result():
    record = example().record.model_copy(update={"runs": ()})
    result = result_of(record, {})
    assert (result.runs, result.strategies, result.verdict.best) == ((), (), ())


def test_equal_means_are_all_among_the_best():
    built = example(strategies=["fine_tuning", "transfer_learning"], seeds=[0])
    first, second = built.record.runs
    same = {first.run_id: built.predictions[first.run_id], second.run_id: built.predictions[first.run_id]}
    verdict = result_of(built.record, same).verdict
    assert set(verdict.best) == {"fine_tuning", "transfer_learning"}
    assert ", 0.0 points (95 % interval " in verdict.text
    assert verdict.pairs[0].p_value == 1


def test_the_verdict_names_three_contenders_and_counts_the_rest():
    built = example(models=("a_model", "b_model", "c_model"), strategies=["feature_extraction", "staged_fine_tuning"])
    verdict = result_of(built.record, built.predictions).verdict
    assert len(verdict.best) == 6
    assert verdict.text.count(" more than ") == 3
    assert " and 2 more. " in verdict.text


def test_strategies_that_overfit_share_one_sentence():
    built = example(strategies=["fine_tuning", "staged_fine_tuning"], seeds=[0])
    record = built.record
    for index in range(2):
        worse = record.runs[index].outcome.val.model_copy(update={"accuracy": 0.5 + 0.1 * index})
        record = with_outcome(record, index, val=worse)
    (line,) = overfitting(record)
    gaps = [100 * (run.outcome.train.accuracy - run.outcome.val.accuracy) for run in record.runs]
    assert line.startswith(f"2 rows overfit: their best checkpoints get {min(gaps):.1f} to {max(gaps):.1f} points more")
    assert "Fine-tuning and Staged fine-tuning" in line
    record = with_outcome(with_outcome(record, 0, did_not_learn=True), 1, did_not_learn=True)
    (line,) = overfitting(record)
    assert line.startswith("Fine-tuning and Staged fine-tuning learnt nothing")


def test_unequal_budgets_are_said_aloud(whole):
    assert not [line for line in loud(whole.record) if "budgets" in line]
    built = example(strategies=["fine_tuning", "transfer_learning", "feature_extraction"], seeds=[0])
    place = next(i for i, run in enumerate(built.record.runs) if run.spec.strategy == "transfer_learning")
    less = with_outcome(built.record, place, images_seen=640)
    assert loud(less) == ["Transfer learning met 640 images, Fine-tuning met 1,164 images: budgets were not equal."]
    almost = with_outcome(built.record, place, images_seen=1_164 - 31)
    assert loud(almost) == [], "less than a batch is rounding"
    runs = list(built.record.runs)
    runs[place] = runs[place].model_copy(update={"history": runs[place].history[:3]})
    assert loud(built.record.model_copy(update={"runs": tuple(runs)})) == [
        "Transfer learning took 21 steps, Fine-tuning took 42 steps: budgets were not equal."
    ]
    timed = less.model_copy(update={"spec": less.spec.model_copy(update={"budget": Budget(seconds=9)})})
    assert loud(timed) == [], "a budget of seconds is equal in seconds"


def test_notes_that_differ_in_the_chosen_c_alone_are_one_with_its_range():
    record = example(("feature_extraction", "fine_tuning"), seeds=(0, 1, 2)).record
    said = "logistic regression: C = {}, chosen on validation from 1e-06 to 100000"
    for number, run in enumerate(record.runs):
        notes = (said.format(("100", "0.01", "1.78e+03")[number // 2]),) if number % 2 == 0 else ("ended early",)
        outcome = run.outcome.model_copy(update={"notes": notes})
        runs = tuple(run.model_copy(update={"outcome": outcome}) if r is run else r for r in record.runs)
        record = record.model_copy(update={"runs": runs})
    kept = notes_of(record)
    assert len([note for note in kept if note.startswith("ended early")]) == 1
    (chosen,) = [note for note in kept if note.startswith("logistic")]
    assert chosen.startswith("logistic regression: C = 0.01 to 1.78e+03, chosen on validation from 1e-06 to 100000 (")

"""The verdict of a comparison: who wins, ties, is behind or cannot be judged, and what is said about it."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from tests.records import Example, example
from tlcore.analysis.comparison import result_of
from tlcore.analysis.curves import rise_of
from tlcore.analysis.floors import floors_of
from tlcore.analysis.groups import groups_of
from tlcore.analysis.statistics.estimates import all_right
from tlcore.analysis.statistics.multiplicity import level_of_look
from tlcore.analysis.verdict import decide
from tlcore.analysis.verdict.readiness import standing_of
from tlcore.analysis.verdict.reasons import reason_of
from tlcore.service import growing

TWO = ("feature_extraction", "fine_tuning")
THREE = (*TWO, "staged_fine_tuning")


def with_wrong(found: Example, wrong: dict[str, int], moved: int = 0) -> Example:
    """The comparison with this many wrong answers per strategy, the same for every seed but for `moved` per seed.

    Runs that have not finished stay as they are.

    The wrong images of all strategies begin at the first one, so that they overlap as much as they can.
    """
    predictions, runs = {}, []
    for run in found.record.runs:
        if run.outcome is None:
            runs.append(run)
            continue
        frame = found.predictions[run.run_id].sort_values("path").reset_index(drop=True)
        test = frame.index[frame["split"] == "test"]
        start = moved * run.spec.seed
        missed = test[start : start + wrong[run.spec.strategy]]
        frame.loc[test, "predicted"] = frame.loc[test, "label"]
        frame.loc[missed, "predicted"] = 1 - frame.loc[missed, "label"]
        accuracy = 1 - wrong[run.spec.strategy] / len(test)
        outcome = run.outcome.model_copy(
            update={"test": run.outcome.test.model_copy(update={"accuracy": accuracy}), "did_not_learn": False}
        )
        runs.append(run.model_copy(update={"outcome": outcome, "history": flat(run)}))
        predictions[run.run_id] = frame
    return Example(found.record.model_copy(update={"runs": tuple(runs)}), predictions)


def flat(run):
    """Two evaluations that show no rise; one for a fit."""
    first = run.history[0]
    return (first,) if first.step == 0 and len(run.history) == 1 else (first, first.model_copy(update={
        "step": first.step + 10, "images_seen": first.images_seen + 320}))  # fmt: skip


def verdict(found: Example, margin: float = 0.01):
    return result_of(found.record, found.predictions, margin).verdict


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_three_images_of_153_are_no_difference(seeds):
    """Frozen .961, fine-tuned .941 on ants and bees: the tutorial's two numbers."""
    found = verdict(with_wrong(example(TWO, seeds), {"feature_extraction": 6, "fine_tuning": 9}))
    assert found.status == "unclear"
    assert not found.distinguishable
    assert set(found.best) == set(TWO)
    assert found.text.startswith("Not distinguishable at a budget of 6 epochs: Feature extraction")
    (pair,) = found.pairs
    assert abs(pair.difference) == pytest.approx(3 / 153)
    assert pair.num_images == 153
    assert "would settle a difference of 1 point" in found.text


def test_a_clear_winner_is_named_with_its_lead_and_interval():
    found = verdict(with_wrong(example(TWO, range(6)), {"feature_extraction": 60, "fine_tuning": 10}, moved=1))
    assert found.status == "winner"
    assert found.distinguishable
    assert found.best == ("fine_tuning",)
    (pair,) = found.pairs
    low, high = (100 * abs(end) for end in sorted(pair.ci95, key=abs))
    said = f"32.7 points (95 % interval {low:.1f} to {high:.1f}) more than Feature extraction"
    assert said in found.text
    assert "Fine-tuning (pretrained start, train all) wins at a budget of 6 epochs: 93.5 %" in found.text
    assert (pair.first, pair.relation) == ("fine_tuning", "better"), "the higher mean comes first"
    assert found.needed_seeds is None
    assert "6 seeds" in found.claim
    assert "they speak of the strategies" in found.claim


def test_one_seed_is_tested_by_mcnemar_and_claims_nothing_of_strategies():
    found = verdict(with_wrong(example(TWO, (4,)), {"feature_extraction": 30, "fine_tuning": 10}))
    (pair,) = found.pairs
    assert pair.p_value == pytest.approx(stats.binomtest(0, 20).pvalue), "20 images that only one has right"
    assert found.status == "winner"
    assert not found.distinguishable, "one seed: a network won, not a strategy"
    assert found.text.startswith("Of these networks, that of Fine-tuning")
    assert "not of the strategies" in found.claim
    assert found.pairs[0].basis == "images"


def test_a_difference_within_the_margin_is_a_tie_and_the_cheapest_is_named():
    built = with_wrong(example(TWO, range(6), num_test=4000), {"feature_extraction": 400, "fine_tuning": 396}, moved=1)
    found = verdict(built)
    assert found.status == "tie"
    assert found.best == ("fine_tuning", "feature_extraction")
    assert "less than 1 point counts as negligible" in found.text
    assert "The cheapest of them is Feature extraction" in found.text
    strict = verdict(built, margin=0.0005)
    assert strict.status != "tie", "the margin is the user's"
    assert strict.margin == 0.0005


def test_all_pairs_are_corrected_by_holm():
    found = verdict(with_wrong(example(THREE, (0,)), dict(zip(THREE, (24, 12, 13), strict=True))))
    raw = [pair.p_value for pair in found.pairs]
    assert [pair.p_adjusted for pair in found.pairs] == pytest.approx(multipletests(raw, method="holm")[1])
    assert len(raw) == 3
    assert found.status == "unclear", "the runner-up is one image behind"
    assert "Fine-tuning beats Feature extraction by 7.8 points" in found.text


def test_later_looks_need_stronger_evidence_and_it_is_said():
    built = with_wrong(example(TWO, (0,)), {"feature_extraction": 21, "fine_tuning": 10})
    first = verdict(built)
    assert 0.0005 < first.pairs[0].p_value < 0.05
    assert first.status == "winner"
    again = Example(built.record.model_copy(update={"looks": 4}), built.predictions)
    fourth = verdict(again)
    assert fourth.level == level_of_look(4)
    assert fourth.status == "unclear"
    assert "this look, number 4, needs p below 0.00083 instead of 0.05" in fourth.text
    assert "look" not in first.text


def test_a_tie_at_a_later_look_needs_stronger_evidence_too():
    built = with_wrong(example(TWO, range(6), num_test=4000), {"feature_extraction": 400, "fine_tuning": 396}, moved=1)
    margin = max(map(abs, verdict(built).pairs[0].ci95)) + 1e-4
    first = verdict(built, margin)
    (pair,) = first.pairs
    assert first.status == "tie"
    again = Example(built.record.model_copy(update={"looks": 4}), built.predictions)
    fourth = verdict(again, margin)
    assert fourth.pairs[0].ci95 == pair.ci95, "the interval of the pair by itself"
    assert (fourth.status, fourth.pairs[0].relation) == ("unclear", "unclear")
    assert "a tie needs an interval of 99.92 % within the margin" in fourth.text
    assert verdict(again).status == "tie", "so little is within a point beyond doubt"


def rising(found: Example, strategy: str, ends: tuple[float, ...], **changes) -> Example:
    """The strategy's validation accuracies as given, at equal steps."""

    def risen(run):
        points = tuple(
            run.history[0].model_copy(
                update={"step": 10 * (i + 1), "images_seen": 320 * (i + 1), "val_accuracy": value}
            )
            for i, value in enumerate(ends)
        )
        last = run.outcome.last_val.model_copy(update={"accuracy": ends[-1]})
        outcome = run.outcome.model_copy(update={"last_val": last, **changes})
        return run.model_copy(update={"history": points, "outcome": outcome})

    runs = tuple(risen(run) if run.spec.strategy == strategy and run.outcome else run for run in found.record.runs)
    return Example(found.record.model_copy(update={"runs": runs}), found.predictions)


def test_who_still_rises_or_has_not_learnt_is_never_said_to_lose():
    built = with_wrong(example(THREE, range(3)), dict(zip(THREE, (10, 80, 75), strict=True)), moved=1)
    assert "beats Fine-tuning" in verdict(built).text
    late = rising(built, "fine_tuning", (0.3, 0.35, 0.4, 0.48, 0.5, 0.56))
    late = rising(late, "staged_fine_tuning", (0.5, 0.5, 0.5), did_not_learn=True)
    found = verdict(late)
    assert {(n.name, n.reason.split()[1]) for n in found.not_judged} == {
        ("fine_tuning", "was"),
        ("staged_fine_tuning", "training"),
    }
    assert "beats" not in found.text
    assert "wins" not in found.text
    assert "Fine-tuning (47.7 %) was not given enough time to judge: it was still getting better" in found.text
    assert (
        "Staged fine-tuning (51.0 %) is not judged: the training loss did not get below the level of guessing, which "
        "more time or another learning rate may change." in found.text
    )
    assert found.best == ("feature_extraction",)
    assert found.distinguishable is False


def test_a_strategy_of_which_no_run_finished_is_named_with_what_ended_it():
    failed = {("fine_tuning", seed): "FAILED" for seed in range(2)}
    found = verdict(example(THREE, range(2), status={**failed, ("staged_fine_tuning", 0): "KILLED"}))
    assert "Fine-tuning has no result: its runs failed." in found.text
    assert "Staged fine-tuning has no result" not in found.text, "another seed finished"
    one = verdict(example(THREE, (0,), status={("fine_tuning", 0): "FAILED", ("staged_fine_tuning", 0): "KILLED"}))
    assert "Fine-tuning has no result: its run failed. Staged fine-tuning has no result: its run was cancelled." in (
        one.text
    )
    both = verdict(example(THREE, (0,), status={(name, 0): "KILLED" for name in THREE[1:]}))
    assert "Fine-tuning and Staged fine-tuning have no result: their runs were cancelled." in both.text
    mixed = verdict(example(TWO, range(2), status={("fine_tuning", 0): "FAILED", ("fine_tuning", 1): "KILLED"}))
    assert "Fine-tuning has no result: its runs failed or were cancelled." in mixed.text
    running = verdict(example(THREE, (0,), status={("fine_tuning", 0): "RUNNING"}))
    assert "no result" not in running.text


def test_what_failed_on_one_network_is_no_matter_of_another():
    built = example(TWO, (0, 1), models=("a_model", "b_model"))
    runs = tuple(
        run.model_copy(update={"status": "FAILED", "outcome": None, "history": ()})
        if (run.spec.model, run.spec.strategy) == ("b_model", "fine_tuning")
        else run
        for run in built.record.runs
    )
    found = verdict(Example(built.record.model_copy(update={"runs": runs}), built.predictions))
    assert "b_model / Fine-tuning has no result: its runs failed." in found.text
    assert "no result" not in found.by_model["a_model"].text
    assert "Fine-tuning has no result: its runs failed." in found.by_model["b_model"].text
    assert "b_model /" not in found.by_model["b_model"].text


@pytest.mark.parametrize(
    ("failed", "reason"),
    [
        (
            (("fine_tuning", 0), ("fine_tuning", 1), ("feature_extraction", 2)),
            "it shares no finished seed with the leader",
        ),
        ((("fine_tuning", 0), ("fine_tuning", 1)), "it shares only one finished seed with the leader"),
    ],
)  # fmt: skip
def test_why_a_strategy_that_had_time_is_not_judged(failed, reason):
    apart = example(THREE, range(3), status=dict.fromkeys(failed, "FAILED"))
    apart = with_wrong(apart, dict(zip(THREE, (10, 30, 80), strict=True)))
    (found,) = (n for n in verdict(apart).not_judged if n.name == "fine_tuning")
    assert found.reason == reason
    assert f"Fine-tuning (80.4 %) is not judged: {reason}." in verdict(apart).text


def test_one_that_cannot_be_compared_does_not_lead_those_that_can():
    built = with_wrong(
        example(THREE, range(2), status={(THREE[0], 1): "FAILED"}), dict(zip(THREE, (2, 10, 60), strict=True))
    )
    found = verdict(built)
    assert found.best == (THREE[1],)
    assert found.status == "winner"
    assert "(98.7 %) is not judged: it shares only one finished seed with the leader." in found.text
    assert found.claim.startswith("2 seeds: ")


def test_one_that_cannot_be_compared_and_still_rises_is_not_said_to_be_behind():
    built = rising(example(THREE, range(2), status={(THREE[0], 1): "FAILED"}), THREE[0], (0.4, 0.6, 0.8, 0.9))
    scores = {THREE[0]: 151, THREE[1]: 140, THREE[2]: 80}
    runs = tuple(
        run.model_copy(update={"outcome": run.outcome.model_copy(update={
            "did_not_learn": False,
            "test": run.outcome.test.model_copy(update={"accuracy": scores[run.spec.strategy] / 153}),
        })}) if run.outcome else run
        for run in built.record.runs
    )  # fmt: skip
    record = built.record.model_copy(update={"runs": runs})
    found = decide(record, groups_of(record), all_right(built.predictions))
    (apart,) = (rival for rival in found.unjudged if rival.group.strategy == THREE[0])
    assert (apart.standing, apart in found.late) == ("still rising", False)
    assert reason_of(found, apart) == "it shares only one finished seed with the leader"


def test_a_network_that_did_not_learn_leads_only_where_it_is_the_highest():
    built = with_wrong(
        example((*THREE, "from_scratch"), range(2), status={(THREE[0], 1): "FAILED"}),
        {THREE[0]: 2, THREE[1]: 60, THREE[2]: 80, "from_scratch": 20},
    )
    built = rising(built, "from_scratch", (0.5, 0.5), did_not_learn=True)
    found = verdict(built)
    assert found.best[0] == THREE[1]
    assert "even the highest" not in found.text


def test_predictions_that_are_missing_are_the_reason_where_they_are():
    built = with_wrong(example(THREE, range(2)), dict(zip(THREE, (10, 30, 80), strict=True)))
    lost = {run.run_id for run in built.record.runs if run.spec.strategy == "fine_tuning"}
    kept = {run_id: frame for run_id, frame in built.predictions.items() if run_id not in lost}
    (found,) = (n for n in verdict(Example(built.record, kept)).not_judged if n.name == "fine_tuning")
    assert found.reason == "its predictions, or the leader's, are not at hand"


def test_a_strategy_whose_loss_diverged_is_told_to_take_a_lower_rate_and_is_given_no_more_time():
    built = rising(
        with_wrong(example(THREE, (0,)), dict(zip(THREE, (10, 12, 60), strict=True))),
        "staged_fine_tuning", (0.5, 0.5), did_not_learn=True,
    )  # fmt: skip
    runs = tuple(
        run.model_copy(update={"history": tuple(p.model_copy(update={"train_loss": 5e5}) for p in run.history)})
        if run.spec.strategy == "staged_fine_tuning"
        else run
        for run in built.record.runs
    )
    record = built.record.model_copy(update={"runs": runs, "status": "FINISHED"})
    reason = "the training loss rose far above the level of guessing, which a lower learning rate may change"
    assert f"Staged fine-tuning (60.8 %) is not judged: {reason}." in verdict(Example(record, built.predictions)).text
    found = decide(record, groups_of(record), all_right(built.predictions))
    assert [rival.group.strategy for rival in found.late] == ["staged_fine_tuning"]
    assert growing.more_time(found) is None
    alone = record.model_copy(update={"runs": tuple(r for r in runs if r.spec.strategy == "staged_fine_tuning")})
    said = verdict(Example(alone, built.predictions)).text
    assert "did not learn. Give a lower learning rate: the training loss rose." in said


def test_nobody_is_judged_against_a_leader_that_did_not_learn():
    built = rising(
        with_wrong(example(TWO, (0,)), {"feature_extraction": 60, "fine_tuning": 70}),
        "feature_extraction", (0.5, 0.5), did_not_learn=True,
    )  # fmt: skip
    (found,) = verdict(built).not_judged
    assert found.reason == "the leader did not learn"


def test_a_curve_that_rose_early_is_done_rising():
    built = example(("fine_tuning",), range(3))
    flat = rising(built, "fine_tuning", (0.3, 0.6, 0.8, 0.9, 0.9, 0.9))
    (group,) = groups_of(flat.record)
    assert rise_of(group.finished) == pytest.approx(0)
    assert standing_of(group, 0.01) == "ready"
    steep = rising(built, "fine_tuning", (0.3, 0.4, 0.5, 0.6, 0.7, 0.8))
    (group,) = groups_of(steep.record)
    assert rise_of(group.finished) == pytest.approx(0.2), "the last two of six steps"
    assert standing_of(group, 0.01) == "still rising"
    assert standing_of(group, 0.3) == "ready", "a rise below the margin does not matter"


def test_nothing_is_claimed_where_even_the_highest_did_not_learn():
    built = with_wrong(example(TWO, (0,)), dict.fromkeys(TWO, 70))
    for strategy in TWO:
        built = rising(built, strategy, (0.5, 0.5), did_not_learn=True)
    found = verdict(built)
    assert found.status == "nothing learnt"
    assert not found.distinguishable
    assert "did not learn" in found.text


def test_each_model_has_its_verdict_and_the_grid_has_one():
    found = verdict(example(TWO, (0, 1, 2), models=("a_model", "b_model")))
    assert list(found.by_model) == ["a_model", "b_model"]
    assert all("/" not in name for own in found.by_model.values() for name in own.best)
    assert all(name.startswith(("a_model / ", "b_model / ")) for name in found.best)
    assert len(found.pairs) == 6, "four cells"
    assert {len(own.pairs) for own in found.by_model.values()} == {1}


def test_claims_within_models_are_corrected_together_with_all_others_of_the_page():
    """Seven images that only one has right: p = 2/2⁷ in a model's one pair, which is one of six of the grid."""
    wrong = {"feature_extraction": 17, "fine_tuning": 10}
    alone = verdict(with_wrong(example(TWO, (0,), models=("a_model",)), wrong))
    assert alone.status == "winner"
    found = verdict(with_wrong(example(TWO, (0,), models=("a_model", "b_model")), wrong))
    overall = {(pair.first, pair.second): pair for pair in found.pairs}
    for model, own in found.by_model.items():
        (pair,) = own.pairs
        assert pair.p_value == pytest.approx(2 / 2**7) == alone.pairs[0].p_value
        assert pair.p_adjusted == pytest.approx(6 * pair.p_value)
        assert own.status == "unclear"
        assert "Among 6 pairs" in own.text
        same = overall[f"{model} / {pair.first}", f"{model} / {pair.second}"]
        assert (pair.p_adjusted, pair.ci95) == (same.p_adjusted, same.ci95), "one pair, one number on the page"
    clear = with_wrong(example(TWO, (0,), models=("a_model", "b_model")), {**wrong, "feature_extraction": 18})
    assert {own.status for own in verdict(clear).by_model.values()} == {"winner"}, "6 · 2/2⁸ is below 5 %"


def test_a_network_of_the_random_start_alone_has_no_verdict_within_it():
    found = verdict(example((*TWO, "from_scratch"), models=("a_model",), scratch_model="small"))
    assert [unjudged.name for unjudged in found.not_judged] == ["small / from_scratch"]
    assert list(found.by_model) == ["a_model"]


def test_a_comparison_that_still_runs_is_provisional():
    built = example(TWO, status={("fine_tuning", 2): "RUNNING"})
    found = verdict(built)
    assert found.provisional
    assert {pair.num_seeds for pair in found.pairs} == {2}, "the seeds that both have"
    assert not verdict(example(TWO)).provisional


def test_without_predictions_nothing_is_tested():
    built = example(TWO)
    found = result_of(built.record, {}).verdict
    assert found.pairs == ()
    assert not found.distinguishable
    assert [n.name for n in found.not_judged] == [name for name in TWO if name not in found.best]


def test_only_the_most_training_data_is_judged():
    found = verdict(example(TWO, (0, 1), fractions=(0.25, 1.0)))
    assert len(found.pairs) == 1


def test_many_cells_stay_fast_to_pair():
    """The pairs share one reading of the predictions: as many comparisons of images as pairs, no more."""
    built = example(TWO, range(3), models=tuple(f"model_{i}" for i in range(6)), num_test=60)
    right = all_right(built.predictions)
    read = []

    class Counting(dict):
        def __getitem__(self, key):
            read.append(key)
            return super().__getitem__(key)

    decide(built.record, groups_of(built.record), Counting(right))
    pairs = 12 * 11 // 2
    assert len(read) == pairs * 2 * 3 + 3, "each pair, and the leader's own interval"
    assert all(isinstance(series, pd.Series) and series.dtype == np.bool_ for series in right.values())


def test_who_learnt_but_is_no_better_than_the_largest_class_is_named():
    built = with_wrong(example(TWO, range(3)), {"feature_extraction": 10, "fine_tuning": 80}, moved=1)
    floor = next(f for f in floors_of(built.record) if f.name == "majority_class").test_accuracy
    assert floor > 1 - 80 / 153
    said = f"Fine-tuning is no better than always naming the largest class ({100 * floor:.1f} %)."
    assert said in verdict(built).text
    better = with_wrong(example(TWO, range(3)), {"feature_extraction": 10, "fine_tuning": 60}, moved=1)
    assert "largest class" not in verdict(better).text


def test_a_lead_that_is_sure_but_may_not_matter_says_so():
    built = with_wrong(example(TWO, range(6), num_test=4000), {"feature_extraction": 480, "fine_tuning": 400}, moved=1)
    sure = verdict(built)
    low, high = sorted(abs(end) for end in sure.pairs[0].ci95)
    assert sure.status == "winner"
    assert "may be less than" not in sure.text or low < 0.01
    between = verdict(built, margin=(low + 0.02) / 2)
    assert between.status == "winner"
    assert "it may be less than the" in between.text
    beyond = verdict(built, margin=0.021)
    assert (beyond.status, beyond.distinguishable) == ("winner", True), "the interval excludes 0, so they differ"
    assert "it is probably less than the 2.1 points set as what matters" in beyond.text
    assert high > 0.021
    assert verdict(built, margin=high + 0.001).status == "tie", "all of the interval is less than what matters"


def test_a_strategy_that_was_evaluated_once_is_not_said_to_lose():
    built = with_wrong(example(TWO, range(3)), {"feature_extraction": 10, "fine_tuning": 80}, moved=1)
    runs = tuple(run.model_copy(update={"history": run.history[:1]}) for run in built.record.runs)
    found = verdict(Example(built.record.model_copy(update={"runs": runs}), built.predictions))
    assert "was not given enough time to judge: it was evaluated once" in found.text
    assert found.status == "alone"


def test_a_noisy_start_costs_the_others_no_certainty():
    """The pairs of the strategy that varies most are pooled apart."""
    wrong = dict(zip(THREE, (30, 10, 12), strict=True))
    alone = with_wrong(example(THREE[:2], range(3)), wrong, moved=1)
    width = np.ptp(verdict(alone).pairs[0].ci95)
    noisy = with_wrong(example(THREE, range(3)), wrong, moved=1)
    frames = dict(noisy.predictions)
    for run in noisy.record.runs:
        if run.spec.strategy == "staged_fine_tuning" and run.spec.seed != 1:
            frame = frames[run.run_id].copy()
            test = frame.index[frame["split"] == "test"]
            frame.loc[test[30 : 30 + 40 * run.spec.seed + 20], "predicted"] ^= 1
            frames[run.run_id] = frame
    pairs = verdict(Example(noisy.record, frames)).pairs
    quiet = next(p for p in pairs if {p.first, p.second} == {"feature_extraction", "fine_tuning"})
    loud = next(p for p in pairs if "staged_fine_tuning" in {p.first, p.second})
    assert np.ptp(quiet.ci95) < 1.5 * width
    assert np.ptp(loud.ci95) > 3 * width


def test_the_leader_is_one_that_nobody_beats_on_the_seeds_they_share():
    built = with_wrong(example(TWO, range(4)), {"feature_extraction": 30, "fine_tuning": 12}, moved=1)
    runs = []
    for run in built.record.runs:
        better = run.spec.strategy == "feature_extraction" and run.spec.seed == 3
        part = run.outcome.test.model_copy(update={"accuracy": 1.0 if better else run.outcome.test.accuracy})
        gone = run.spec.strategy == "fine_tuning" and run.spec.seed == 3
        outcome = run.outcome.model_copy(update={"test": part})
        runs.append(run.model_copy(update={"outcome": outcome, "status": "FAILED" if gone else "FINISHED"}))
    low = [r.outcome.test.accuracy for r in runs if r.spec.strategy == "fine_tuning" and r.status == "FINISHED"]
    assert max(low) < 1
    found = verdict(Example(built.record.model_copy(update={"runs": tuple(runs)}), built.predictions))
    assert found.best == ("fine_tuning",)
    assert "−" not in found.text.split("points")[0], "the lead is a lead"


def test_the_part_of_the_data_that_is_judged_is_the_largest_with_a_result_and_is_named():
    built = example(TWO, range(3), fractions=(0.25, 1.0))
    assert ", with all training images:" in verdict(built).text
    runs = tuple(
        run.model_copy(update={"status": "FAILED", "outcome": None}) if run.spec.fraction == 1 else run
        for run in built.record.runs
    )
    failed = verdict(Example(built.record.model_copy(update={"runs": runs}), built.predictions))
    assert ", with 25 % of the training images:" in failed.text
    assert failed.status != "none"


def test_several_that_had_too_little_time_are_spoken_of_as_several():
    built = with_wrong(example(THREE, range(3)), dict(zip(THREE, (10, 80, 75), strict=True)), moved=1)
    late = rising(built, "fine_tuning", (0.3, 0.35, 0.4, 0.48, 0.5, 0.56))
    late = rising(late, "staged_fine_tuning", (0.3, 0.35, 0.4, 0.48, 0.5, 0.56))
    assert "were not given enough time to judge: they were still getting better at the end." in verdict(late).text

"""What `decide`, the next round and gathered runs say, against the same worked out by hand from the formulas."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from tests.records import Example, example
from tests.unit.analysis.test_verdict import flat, with_wrong
from tlcore.analysis.groups import groups_of
from tlcore.analysis.statistics.estimates import all_right
from tlcore.analysis.statistics.intervals import paired_estimate
from tlcore.analysis.statistics.multiplicity import level_of_look
from tlcore.analysis.statistics.planning import images_needed, seeds_needed, spread_of
from tlcore.analysis.verdict import decide, judged
from tlcore.analysis.verdict.pairs import pair_rows, pairs_note
from tlcore.analysis.verdict.words import claim_of
from tlcore.service import growing

TWO = ("feature_extraction", "fine_tuning")
THREE = (*TWO, "staged_fine_tuning")
FOUR = (*THREE, "transfer_learning")


def with_answers(found: Example, right: dict[str, np.ndarray]) -> Example:
    """The comparison with these answers. right: per strategy [S seeds, N test images], seeds and paths in order."""
    predictions, runs = {}, []
    for run in found.record.runs:
        frame = found.predictions[run.run_id].sort_values("path").reset_index(drop=True)
        test = frame.index[frame["split"] == "test"]
        row = right[run.spec.strategy][run.spec.seed]
        frame.loc[test, "predicted"] = np.where(row, frame.loc[test, "label"], 1 - frame.loc[test, "label"])
        part = run.outcome.test.model_copy(update={"accuracy": float(row.mean())})
        outcome = run.outcome.model_copy(update={"test": part, "did_not_learn": False})
        runs.append(run.model_copy(update={"outcome": outcome, "history": flat(run)}))
        predictions[run.run_id] = frame
    return Example(found.record.model_copy(update={"runs": tuple(runs)}), predictions)


def drawn(strategies, seeds, images, seed_sd, rng):
    """Answers with hard and easy images, good and bad seeds. seed_sd: of each strategy, on the logit scale."""
    ease = 1.5 * rng.normal(size=images)
    found = {}
    for strategy, spread in zip(strategies, seed_sd, strict=True):
        logits = 1.5 + ease + 0.7 * rng.normal(size=images) + spread * rng.normal(size=(seeds, 1))
        found[strategy] = rng.random((seeds, images)) < 1 / (1 + np.exp(-logits))
    return found


def squares(difference):
    """Parts of seeds, images and the rest in the variance of the grand mean of [S, N]."""
    seeds, images = difference.shape
    rest = difference - difference.mean(1, keepdims=True) - difference.mean(0) + difference.mean()
    return (
        difference.mean(1).var(ddof=1) / seeds,
        difference.mean(0).var(ddof=1) / images,
        (rest**2).sum() / ((seeds - 1) * (images - 1)) / (seeds * images),
    )


def worked_out(right):
    """Per pair: mean, 95 % interval and p, with what seeds add pooled, the noisiest strategy's pairs apart."""
    names = list(right)
    pairs = {(a, b): right[a].astype(float) - right[b].astype(float) for a, b in combinations(names, 2)}
    seeds, images = next(iter(pairs.values())).shape
    own = {pair: seeds * (squares(d)[0] - squares(d)[2]) for pair, d in pairs.items()}
    noisiest = max(names, key=lambda name: np.mean([v for pair, v in own.items() if name in pair]))
    found = {}
    for pair, difference in pairs.items():
        pool = np.mean([v for other, v in own.items() if (noisiest in other) == (noisiest in pair)])
        of_seed, of_image, rest = squares(difference)
        of_seed = max(of_seed, rest + max(0.0, pool) / seeds)
        free, free_images = (len(names) - 2) * (seeds - 1), images - 1
        variance = of_seed + of_image - rest
        assert variance >= max(of_seed, of_image), "else the formula is another one"
        spread = of_seed**2 / free + of_image**2 / free_images + rest**2 / (free * free_images)
        spread_of_mean = stats.t(variance**2 / spread, difference.mean(), variance**0.5)
        half = spread_of_mean.interval(0.95)
        found[pair] = (
            difference.mean(),
            half,
            2 * stats.t.sf(abs(difference.mean()) / variance**0.5, variance**2 / spread),
        )
    return found


@pytest.mark.parametrize(("strategies", "seeds"), [(THREE, 3), (FOUR, 2), (FOUR, 6)])
def test_pairs_are_pooled_over_seeds_and_corrected_as_worked_out_by_hand(strategies, seeds):
    spreads = (0.3, 0.3, 0.8, 0.4)[: len(strategies)]
    right = drawn(strategies, seeds, 300, spreads, np.random.default_rng(seeds))
    built = with_answers(example(strategies, range(seeds), num_test=300), right)
    found = decide(built.record, groups_of(built.record), all_right(built.predictions))
    expected = worked_out(
        {strategy: right[strategy] for strategy in dict.fromkeys(g.strategy for g in groups_of(built.record))}
    )
    adjusted = dict(zip(expected, multipletests([p for *_, p in expected.values()], method="holm")[1], strict=True))
    assert len(found.contrasts) == len(expected)
    for contrast in found.contrasts:
        pair = contrast.first.strategy, contrast.second.strategy
        sign, key = (1, pair) if pair in expected else (-1, pair[::-1])
        mean, interval, p_value = expected[key]
        assert sign * contrast.paired.estimate.mean == pytest.approx(mean)
        assert contrast.paired.estimate.interval == pytest.approx(sorted(sign * end for end in interval))
        assert contrast.paired.p_value == pytest.approx(p_value)
        assert contrast.p_adjusted == pytest.approx(adjusted[key])


@pytest.mark.parametrize("looks", [1, 3])
def test_what_is_needed_is_planned_for_the_next_look_and_for_one_of_all_pairs(looks):
    built = with_wrong(example(THREE, range(3), num_test=600), dict(zip(THREE, (40, 46, 43), strict=True)), moved=9)
    built = Example(built.record.model_copy(update={"looks": looks}), built.predictions)
    found = judged(built.record, all_right(built.predictions)).decision
    assert found.status == "unclear"
    closest = next(rival.contrast for rival in found.contenders if rival.relation != "negligible")
    spread = spread_of(closest.paired.differences)
    level = level_of_look(looks + 1) / 3
    assert found.needed.seeds == seeds_needed(spread, 600, 0.01, level)
    assert found.needed.images == images_needed(spread, 3, 0.01, level)
    assert found.needed.images > images_needed(spread, 3, 0.01, 3 * level), "three pairs need more than one"
    more = growing.next_round(found)
    assert len(more.seeds) == min(max(found.needed.seeds - 3, growing.LEAST), growing.MOST)


def without(found: Example, gone: dict[str, set[int]]) -> Example:
    """The comparison without these seeds of these strategies."""
    runs = tuple(run for run in found.record.runs if run.spec.seed not in gone.get(run.spec.strategy, set()))
    return Example(found.record.model_copy(update={"runs": runs}), found.predictions)


def test_the_claim_is_that_of_the_fewest_seeds_which_the_leader_shares():
    wrong = dict(zip(THREE, (10, 12, 60), strict=True))
    full = with_wrong(example(THREE, range(6), num_test=1500), wrong, moved=9)
    settled = without(full, {"staged_fine_tuning": {3, 4, 5}})
    found = decide(settled.record, groups_of(settled.record), all_right(settled.predictions))
    assert found.leader.strategy == "feature_extraction"
    assert {len(c.paired.seeds) for c in found.contrasts} == {3, 6}
    assert claim_of(found).startswith("3 seeds: "), "what holds of both rivals"
    whole = decide(full.record, groups_of(full.record), all_right(full.predictions))
    assert claim_of(whole).startswith("6 seeds: ")


def test_more_seeds_are_counted_from_the_one_in_contention_that_has_fewest():
    right = drawn(TWO, 4, 3000, (0.05, 0.05), np.random.default_rng(0))
    full = with_answers(example(TWO, range(4), num_test=3000), right)
    fewer = without(full, {"feature_extraction": {3}})
    found = judged(fewer.record, all_right(fewer.predictions), 0.02).decision
    assert growing.LEAST + 4 < found.needed.seeds < growing.MOST + 3
    more = growing.next_round(found)
    assert len(more.seeds) == found.needed.seeds - 3
    assert more.seeds[0] == 4, "no seed is used twice"


def test_a_pair_that_got_no_more_seeds_was_looked_at_once():
    """It has fewer than the others, whose numbers are those of the second look."""
    full = with_wrong(example(THREE, range(6)), dict(zip(THREE, (10, 12, 18), strict=True)), moved=1)
    settled = without(full, {"staged_fine_tuning": {3, 4, 5}})
    record = settled.record.model_copy(update={"looks": 2})
    found = decide(record, groups_of(record), all_right(settled.predictions))
    assert found.level == level_of_look(2) == 0.005
    by_seeds = {len(c.paired.seeds): c for c in found.contrasts if c.first.strategy == "feature_extraction"}
    assert 0.005 < by_seeds[3].p_adjusted < 0.05
    assert by_seeds[3].relation == "better"
    assert 0.005 < by_seeds[6].p_adjusted < 0.05
    assert by_seeds[6].relation == "unclear"


def test_a_run_that_failed_does_not_make_its_pairs_looked_at_less_often():
    """Its pairs have fewer finished seeds than the others, but got as many at the second look."""
    full = with_wrong(example(THREE, range(6)), dict(zip(THREE, (10, 12, 18), strict=True)), moved=1)
    last = ("staged_fine_tuning", 5)
    runs = [
        run.model_copy(update={"status": "FAILED", "outcome": None})
        if (run.spec.strategy, run.spec.seed) == last
        else run
        for run in full.record.runs
    ]
    record = full.record.model_copy(update={"runs": tuple(runs), "looks": 2})
    found = decide(record, groups_of(record), all_right(full.predictions))
    (pair,) = [c for c in found.contrasts if {c.first.strategy, c.second.strategy} == set(THREE[1:])]
    assert len(pair.paired.seeds) == 5
    assert level_of_look(2) < pair.p_adjusted < 0.05
    assert pair.relation == "unclear"


def test_each_pair_has_the_level_of_the_last_look_that_brought_it_seeds():
    """Three looks, at 3, 4 and 6 seeds: one strategy got none at the last, so its pairs were looked at twice."""
    full = with_wrong(example(THREE, range(6)), dict(zip(THREE, (10, 12, 18), strict=True)), moved=1)
    settled = without(full, {"staged_fine_tuning": {4, 5}})
    record = settled.record.model_copy(update={"looks": 3})
    found = decide(record, groups_of(record), all_right(settled.predictions))
    (pair,) = [c for c in found.contrasts if {c.first.strategy, c.second.strategy} == set(THREE[1:])]
    assert level_of_look(2) < pair.p_adjusted < 0.05
    assert pair.relation == "unclear", "seen at two looks, so .05 is not its level"
    verdict = judged(record, all_right(settled.predictions)).verdict
    levels = {(row["First"], row["Second"]): row["Claim below"] for row in pair_rows(record, verdict)}
    assert sorted(levels.values()) == ["0.0017", "0.005", "0.005"]
    assert "the level in its row" in pairs_note(verdict)
    assert "Claim below" not in pair_rows(full.record, judged(full.record, all_right(full.predictions)).verdict)[0]


def test_one_shared_seed_is_not_enough_where_others_share_more():
    full = with_wrong(example(THREE, range(3)), dict(zip(THREE, (10, 12, 60), strict=True)), moved=1)
    lone = without(full, {"staged_fine_tuning": {1, 2}})
    found = decide(lone.record, groups_of(lone.record), all_right(lone.predictions))
    assert [{c.first.strategy, c.second.strategy} for c in found.contrasts] == [set(TWO)]
    assert [rival.group.strategy for rival in found.unjudged] == ["staged_fine_tuning"]


@pytest.mark.parametrize(("seeds", "careful"), [(2, True), (3, False)])
def test_two_seeds_of_a_single_pair_that_agree_by_luck_are_not_believed(seeds, careful):
    built = with_wrong(example(TWO, range(seeds)), {"feature_extraction": 30, "fine_tuning": 10}, moved=5)
    (contrast,) = decide(built.record, groups_of(built.record), all_right(built.predictions)).contrasts
    difference = np.stack(contrast.paired.differences)
    of_seed, _, rest = squares(difference)
    assert of_seed < rest
    assert (contrast.paired.p_value > paired_estimate(difference).p_value) == careful

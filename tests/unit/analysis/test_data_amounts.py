"""Error against training images on constructed errors: crossovers and extrapolation by hand and against statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from tests.records import Example, example
from tlcore.analysis import charts
from tlcore.analysis.crossovers import crossovers, meeting_point
from tlcore.analysis.data_amounts import Extrapolation, Refusal, data_series, extrapolate
from tlcore.analysis.data_words import data_rows, data_sentences
from tlcore.analysis.leaderboard import leaderboard
from tlcore.analysis.statistics.estimates import all_right
from tlcore.results import RunOutcome

FRACTIONS = (0.25, 0.5, 1.0)
IMAGES = (48, 97, 194)


def record_of(errors, fractions=FRACTIONS, stuck=(), **more):
    """A comparison with these test errors. errors: by strategy, one row for each seed, one column for each fraction.

    stuck: (strategy, fraction) that learnt nothing.
    """
    seeds = range(max(len(rows) for rows in errors.values()))
    built = example(strategies=list(errors), fractions=fractions, **{"seeds": seeds, **more})
    runs = []
    for run in built.record.runs:
        error = errors[run.spec.strategy][run.spec.seed][fractions.index(run.spec.fraction)]
        test = run.outcome.test.model_copy(update={"accuracy": 1 - error})
        learnt_nothing = (run.spec.strategy, run.spec.fraction) in stuck
        outcome: RunOutcome = run.outcome.model_copy(update={"test": test, "did_not_learn": learnt_nothing})
        runs.append(run.model_copy(update={"outcome": outcome}))
    return Example(built.record.model_copy(update={"runs": tuple(runs)})).record


def only(errors, **more):
    (series,) = data_series(record_of({"fine_tuning": errors}, **more), {})
    return series


def test_amounts_are_training_images_with_the_tables_errors_and_intervals():
    built = example(strategies=("fine_tuning",), fractions=FRACTIONS)
    (series,) = data_series(built.record, all_right(built.predictions))
    rows = {row.fraction: row for row in leaderboard(built.record, built.predictions)}
    assert [amount.images for amount in series.amounts] == list(IMAGES)
    for amount in series.amounts:
        row = rows[amount.fraction]
        assert amount.error == pytest.approx(1 - row.test_accuracy)
        assert amount.interval == pytest.approx((1 - row.ci95[1], 1 - row.ci95[0]))
    assert [row["Training images"] for row in data_rows([series])] == list(IMAGES)


def test_two_amounts_go_on_by_the_same_factor():
    errors = [[0.30, 0.20], [0.28, 0.21], [0.33, 0.19]]
    found = extrapolate(only(errors, fractions=(0.5, 1.0)))
    logs = [np.log(late * late / early) for early, late in errors]
    assert isinstance(found, Extrapolation)
    assert found.images == pytest.approx(388)
    assert np.log(found.error) == pytest.approx(np.mean(logs))
    # log e(2N) = 2 log e(N) − log e(N/2): the delta method with binomial errors, 153 test images each time.
    means = np.exp(np.mean(np.log(errors), axis=0))
    images = sum(w * w * (1 - e) / (e * 153) for w, e in zip((-1, 2), means, strict=True))
    seeds = np.var(logs, ddof=1) / 3
    half = stats.t.ppf(0.975, (seeds + images) ** 2 / (seeds**2 / 2)) * np.sqrt(seeds + images)
    assert np.log(found.interval) == pytest.approx((np.mean(logs) - half, np.mean(logs) + half), rel=1e-4)
    assert found.covers == "seeds and test images"
    assert found.exponent == pytest.approx(-np.mean([np.log2(late / early) for early, late in errors]))


def test_one_seed_is_predicted_by_a_line_in_logs_with_the_noise_of_test_images_on_top():
    errors = [0.40, 0.27, 0.21]
    found = extrapolate(only([errors]))
    line = sm.OLS(np.log(errors), sm.add_constant(np.log(IMAGES))).fit()
    ahead = line.get_prediction([[1.0, np.log(388)]])
    assert np.log(found.error) == pytest.approx(ahead.predicted_mean[0])
    design = sm.add_constant(np.log(IMAGES))
    weights = np.array([1.0, np.log(388)]) @ np.linalg.pinv(design)
    images = sum(w * w * (1 - e) / (e * 153) for w, e in zip(weights, errors, strict=True))
    misfit = ahead.var_pred_mean[0] + line.scale
    half = stats.t.ppf(0.975, (images + misfit) ** 2 / misfit**2) * np.sqrt(images + misfit)
    assert np.log(found.interval[0]) == pytest.approx(ahead.predicted_mean[0] - half, rel=1e-4)
    assert found.covers == "misfit of the law and test images"


def test_a_true_power_law_is_found_again():
    law = [2.0 * n**-0.5 for n in IMAGES]
    found = extrapolate(only([[e * f for e in law] for f in (0.98, 1.0, 1.02)]))
    assert found.exponent == pytest.approx(0.5)
    assert found.error == pytest.approx(2.0 * 388**-0.5, rel=1e-3)
    assert found.interval[0] < found.error < found.interval[1]


def test_the_interval_covers_what_happens_at_twice_the_images():
    """Simulated: 3 seeds, 3 amounts, a law with 5 % misfit of each amount and 8 % spread of each run."""
    draw = np.random.default_rng(0)
    hits = []
    (template,) = data_series(record_of({"fine_tuning": [[0.4, 0.3, 0.2]] * 3}), {})
    for _ in range(400):
        misfit = np.exp(draw.normal(0, 0.05, 4))
        mean = 3.0 * np.array([*IMAGES, 388.0]) ** -0.5 * misfit
        runs = mean[:3] * np.exp(draw.normal(0, 0.08, (3, 3)))
        amounts = tuple(
            type(amount)(**{**vars(amount), "by_seed": dict(enumerate(runs[:, place].tolist()))})
            for place, amount in enumerate(template.amounts)
        )
        found = extrapolate(type(template)(template.group, amounts))
        if isinstance(found, Extrapolation):
            hits.append(found.interval[0] <= mean[3] <= found.interval[1])
    assert len(hits) > 350
    assert 0.93 <= np.mean(hits) <= 1.0


REFUSED = {
    "two amounts of training images at least": ([[0.3]], (1.0,), 2.0),
    "beyond what these runs can tell": ([[0.4, 0.3, 0.2]] * 2, FRACTIONS, 3.0),
    "no power law leads to 0": ([[0.4, 0.2, 0.0]] * 2, FRACTIONS, 2.0),
    "does not fall with every step": ([[0.4, 0.2, 0.25], [0.4, 0.2, 0.3]], FRACTIONS, 2.0),
    "one seed on two amounts": ([[0.4, 0.2]], (0.5, 1.0), 2.0),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_said_is_refused_with_its_reason(reason):
    errors, fractions, factor = REFUSED[reason]
    found = extrapolate(only(errors, fractions=fractions), factor)
    assert isinstance(found, Refusal)
    assert reason in found.reason


def test_runs_that_learnt_nothing_tell_nothing_of_more_images():
    built = example(strategies=("from_scratch",), fractions=FRACTIONS)
    (series,) = data_series(built.record, all_right(built.predictions))
    assert "learnt nothing" in extrapolate(series).reason


CROSSED = {
    "transfer_learning": [[0.20, 0.18, 0.17], [0.21, 0.18, 0.16], [0.20, 0.19, 0.17]],
    "fine_tuning": [[0.30, 0.20, 0.09], [0.31, 0.21, 0.08], [0.31, 0.20, 0.10]],
}


def crossed(errors, predictions=None, **more):
    record = record_of(errors, **more)
    right = all_right(predictions or {})
    return record, crossovers(record, data_series(record, right), right)


def test_a_crossover_is_interpolated_in_log_images():
    record, (found,) = crossed(CROSSED)
    assert (found.before.strategy, found.after.strategy) == ("transfer_learning", "fine_tuning")
    assert (found.fewer, found.more) == (97, 194)
    before, after = 0.02, -(0.08 + 0.08 + 0.07) / 3
    assert found.images == pytest.approx(97 * 2 ** (before / (before - after)))
    assert found.is_clear == (stats.ttest_1samp([0.02, 0.03, 0.01], 0).pvalue < 0.05)
    low, high = found.range
    assert 97 <= low <= found.images <= high <= 194
    assert crossed(CROSSED)[1][0].range == found.range, "the same record gives the same range"
    assert "Fine-tuning (pretrained start, train all) may overtake" in data_sentences(record, {})[0]


def test_a_crossover_is_claimed_where_both_sides_are_beyond_chance():
    clear = {**CROSSED, "fine_tuning": [[0.30, 0.28, 0.09], [0.31, 0.29, 0.08], [0.31, 0.30, 0.10]]}
    record, (found,) = crossed(clear)
    assert found.is_clear
    assert (
        "overtakes Transfer learning (frozen backbone, new head) between 97 and 194 images"
        in (data_sentences(record, {})[0])
    )
    _, (alone,) = crossed({name: rows[:1] for name, rows in clear.items()})
    assert not alone.is_clear, "one seed without predictions has no interval"
    assert alone.range is None


@pytest.mark.parametrize("stuck", [("transfer_learning", 0.5), ("fine_tuning", 0.5)])
def test_no_crossover_is_claimed_on_runs_that_learnt_nothing(stuck):
    record, found = crossed(CROSSED, stuck=[stuck])
    assert [(each.fewer, each.more) for each in found] == [(48, 194)], "from the last amount on which both learnt"
    name = {"transfer_learning": "Transfer learning", "fine_tuning": "Fine-tuning"}[stuck[0]]
    said = [line for line in data_sentences(record, {}) if "as runs there learnt nothing" in line]
    assert [line.startswith(f"Left out of who overtakes whom, as runs there learnt nothing: {name} (") for line in said]
    assert said[0].endswith("(97 images).")
    assert crossed(CROSSED, stuck=[(stuck[0], fraction) for fraction in (0.25, 0.5)])[1] == []
    assert not any("Left out" in line for line in data_sentences(record_of(CROSSED), {}))


def test_seeds_with_test_images_of_their_own_overlap_in_them():
    rows = {
        "transfer_learning": [[0.20, 0.18, 0.17], [0.21, 0.18, 0.16], [0.20, 0.18, 0.17]],
        "fine_tuning": [[0.30, 0.20, 0.12], [0.31, 0.215, 0.11], [0.31, 0.20, 0.13]],
    }
    gaps = [0.02, 0.035, 0.02]
    assert stats.ttest_1samp(gaps, 0).pvalue < 0.05
    error = np.std(gaps, ddof=1) * np.sqrt(1 / 3 + 0.5)
    assert 2 * stats.t.sf(np.mean(gaps) / error, 2) > 0.05
    assert [each.is_clear for each in crossed(rows)[1]] == [True]
    assert [each.is_clear for each in crossed(rows, split="kfold:3")[1]] == [False]


def test_the_range_of_a_crossover_is_the_middle_of_seeds_drawn_again():
    """With three seeds, one draw in 27 has nothing but the first one, and so on: 95 % end there, 50 % do not."""
    _, (found,) = crossed(CROSSED)
    gaps = [
        [late - early for early, late in zip(*rows, strict=True)]
        for rows in zip(CROSSED["transfer_learning"], CROSSED["fine_tuning"], strict=True)
    ]
    alone = [meeting_point(97, 194, before, after) for _, before, after in gaps]
    assert found.range == pytest.approx((min(alone), max(alone)))


def test_equality_on_one_amount_is_no_change_but_may_lie_on_the_way_to_one():
    rows = {"transfer_learning": [[0.2, 0.2, 0.2]], "fine_tuning": [[0.3, 0.2, 0.1]]}
    _, (found,) = crossed(rows)
    assert (found.fewer, found.more) == (48, 194)
    assert found.images == pytest.approx(np.sqrt(48 * 194))
    assert crossed({**rows, "fine_tuning": [[0.3, 0.2, 0.2]]})[1] == []


def test_the_meeting_point_is_where_the_line_over_log_images_is_0():
    assert meeting_point(100, 400, 0.1, -0.1) == pytest.approx(200)
    logs = np.interp(0, [-0.3, 0.1], [np.log(400), np.log(100)])
    assert meeting_point(100, 400, 0.1, -0.3) == pytest.approx(np.exp(logs))


def test_models_cross_only_with_their_own():
    rows = {"transfer_learning": [[0.2, 0.2, 0.2]], "fine_tuning": [[0.3, 0.25, 0.1]]}
    _, found = crossed(rows, models=("a", "b"))
    assert [(each.before.model, each.after.model) for each in found] == [("a", "a"), ("b", "b")]


def test_paired_predictions_decide_on_chance_where_they_are_at_hand():
    built = example(strategies=("transfer_learning", "fine_tuning"), fractions=(0.5, 1.0))
    series = data_series(built.record, all_right(built.predictions))
    assert all(each.fewer == 97 for each in crossovers(built.record, series, all_right(built.predictions)))
    assert data_sentences(built.record, all_right(built.predictions), series)


def test_one_amount_says_what_to_add():
    built = example()
    assert "--fractions" in data_sentences(built.record, all_right(built.predictions))[0]


def test_the_figure_has_a_line_a_band_and_the_law():
    record = record_of({"fine_tuning": [[0.40, 0.27, 0.21], [0.41, 0.29, 0.20]]})
    series = data_series(record, {})
    band, line, ahead = charts.data_amounts(series).data
    found = extrapolate(series[0])
    assert list(line.x) == list(IMAGES)
    assert line.y[0] == pytest.approx(0.405)
    assert max(band.y) == pytest.approx(max(a.interval[1] for a in series[0].amounts))
    assert (ahead.customdata[-1], ahead.y[-1]) == (pytest.approx(388), pytest.approx(found.error))
    assert ahead.y[-1] + ahead.error_y.array[-1] == pytest.approx(found.interval[1])
    figure = charts.data_amounts(series)
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("log", "log")
    flawless = data_series(record_of({"fine_tuning": [[0.4, 0.2, 0.0]]}), {})
    assert charts.data_amounts(flawless).layout.yaxis.type is None, "a logarithm has no 0"
    assert "NaN" not in charts.data_amounts([]).to_json()

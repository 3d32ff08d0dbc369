"""Where trials look: around the recipe, the same for every strategy, and nothing that would do nothing."""

import math

import pytest

from tests.records import FACTS
from tlcore.errors import SpecError
from tlcore.recipes import DataFacts, by_phase, resolve
from tlcore.recipes.search import RateRange, trial_settings
from tlcore.spec import checked
from tlcore.strategies import STRATEGIES, Fit, Strategy, Train, Unfreeze

DATA = DataFacts(num_train=500, short_side=300)
BERT_LIKE = FACTS.model_copy(update={"family": "transformer", "linear_share": 0.9})
RATES = ("learning_rate", "backbone_learning_rate")


def facts_for(entry):
    return BERT_LIKE if entry.id == "lora" else FACTS


def drawn(entry, seed=0, trial=1, asked=None):
    recipe = resolve(entry, DATA, facts_for(entry), overrides=dict(asked or {}))
    return trial_settings(entry, recipe, facts_for(entry), asked or {}, seed, trial)


@pytest.mark.parametrize("entry", STRATEGIES.values(), ids=list(STRATEGIES))
def test_every_strategy_has_a_space_and_its_values_can_be_set(entry):
    assert drawn(entry, trial=0) == {}
    settings = drawn(entry)
    assert settings
    changed = resolve(entry, DATA, facts_for(entry), overrides=settings)
    assert changed != resolve(entry, DATA, facts_for(entry))


def test_values_are_spread_evenly_over_a_decade_to_each_side():
    rates = [drawn(STRATEGIES["fine_tuning"], trial=trial)["learning_rate"] for trial in range(1, 400)]
    logs = [math.log10(rate) for rate in rates]
    assert min(logs) == pytest.approx(-3, abs=0.05) and max(logs) == pytest.approx(-1, abs=0.05)
    assert sum(logs) / len(logs) == pytest.approx(-2, abs=0.1)


def test_draws_depend_on_seed_and_trial_alone():
    full = [drawn(STRATEGIES["fine_tuning"], seed, trial)["learning_rate"] / 1e-2 for seed, trial in ((0, 1), (3, 2))]
    head = [
        drawn(STRATEGIES["transfer_learning"], seed, trial)["learning_rate"] / 1e-2 for seed, trial in ((0, 1), (3, 2))
    ]
    assert full == head and full[0] != full[1]
    assert drawn(STRATEGIES["fine_tuning"]) == drawn(STRATEGIES["fine_tuning"])
    rates = [drawn(STRATEGIES["fine_tuning"], *place)["learning_rate"] for place in ((0, 1), (1, 1), (0, 2), (1, 2))]
    assert len(set(rates)) == 4, "each seed and each trial has a draw of its own"


def test_phases_of_a_strategy_keep_what_they_have_to_each_other():
    settings = drawn(STRATEGIES["staged_fine_tuning"])
    assert settings["1.learning_rate"] / settings["2.learning_rate"] == pytest.approx(10, rel=1e-3)
    assert "1.backbone_learning_rate" not in settings, "only the head trains"
    assert "2.weight_decay" not in settings, "it is 0 there"


def test_of_unfreezing_the_last_stage_counts_in_which_everything_trains():
    head_then_more = Strategy(
        "own", "Own", "Own", "", "pretrained",
        (Train("head", 0.2, "head"), Unfreeze(0.4, "gradual"), Train("all", 0.4, "second_stage")), "#000000",
    )  # fmt: skip
    recipe = resolve(head_then_more, DATA, FACTS)
    parts = by_phase(head_then_more, recipe)
    assert [len(found) for found in parts] == [1, FACTS.num_groups + 1, 1]
    assert [found[-1].trainable for found in parts] == ["head", "all", "all"]
    settings = drawn(head_then_more)
    assert "2.backbone_learning_rate" in settings, "the first stage alone has none"
    assert settings["2.learning_rate"] / settings["3.learning_rate"] == pytest.approx(10, rel=1e-3)


def test_head_and_backbone_of_a_random_start_keep_one_rate():
    settings = drawn(STRATEGIES["from_scratch"])
    assert settings["learning_rate"] == settings["backbone_learning_rate"]


def test_what_a_person_set_is_where_the_search_goes_round():
    plain, asked = drawn(STRATEGIES["fine_tuning"]), drawn(STRATEGIES["fine_tuning"], asked={"learning_rate": 1e-3})
    assert asked["learning_rate"] == pytest.approx(plain["learning_rate"] / 10, rel=1e-3)
    numbered = drawn(STRATEGIES["fine_tuning"], asked={"1.learning_rate": 1e-3})
    assert numbered["1.learning_rate"] == asked["learning_rate"]


def test_knn_looks_for_neighbours_and_the_others_for_one_c():
    near = [drawn(STRATEGIES["feature_extraction"], trial=t, asked={"classifier": "knn"}) for t in range(1, 50)]
    assert {tuple(settings) for settings in near} == {("neighbors",)}
    assert all(1 <= settings["neighbors"] <= 200 for settings in near)
    one = drawn(STRATEGIES["feature_extraction"])
    assert one["c_low"] == one["c_high"] and -6 <= one["c_low"] <= 5


def test_a_fit_without_a_head_is_refused_where_training_follows():
    with pytest.raises(SpecError, match="k-NN has none"):
        resolve(STRATEGIES["lp_ft"], DATA, FACTS, overrides={"classifier": "knn"})
    own = Strategy("own", "Own", "Own", "", "pretrained", (Fit("knn"), Train("all", 1.0, "second_stage")), "#000000")
    with pytest.raises(SpecError, match="logistic_regression or linear_svm"):
        resolve(own, DATA, FACTS)


def test_the_finders_range_must_grow():
    assert checked(RateRange).steps == 100
    with pytest.raises(SpecError, match="must be below the highest"):
        checked(RateRange, low=0.5, high=0.1)

"""Budgets as steps, borders, evaluations and learning rates."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tlcore.errors import SpecError
from tlcore.recipes import (
    DataFacts,
    ModelFacts,
    Preprocessing,
    Recipe,
    TrainRecipe,
    learning_rate_factor,
    resolve,
    steps_of,
)
from tlcore.spec import Budget
from tlcore.strategies import STRATEGIES
from tlcore.training.loop.plan import MAX_EVALUATIONS, Plan, make_plan, shortened

MODEL = ModelFacts(
    model="test_resnet",
    library="timm",
    family="cnn",
    preprocessing=Preprocessing(size=32, resize=36, interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3),
    crop_pct=0.9,
    fixed_input_size=False,
    num_parameters=1,
    num_features=8,
    num_groups=3,
    has_batch_norm=True,
)


def recipe(strategy: str, batch_size: int = 32) -> Recipe:
    return resolve(STRATEGIES[strategy], DataFacts(195, 224), MODEL, batch_size=batch_size)


def test_epochs_become_steps_on_the_full_training_part():
    plan = make_plan(Budget(epochs=3), recipe("fine_tuning"), 195)
    assert plan.total_steps == round(3 * 195 / 32)
    assert sorted(plan.evaluations) == [6, 12, 18]


def test_phase_borders_are_whole_steps_with_at_least_one_each():
    assert make_plan(Budget(steps=18), recipe("staged_fine_tuning"), 195).ends == (6, 18)
    assert make_plan(Budget(steps=2), recipe("staged_fine_tuning"), 195).ends == (1, 2)


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        (Budget(steps=3), "gradual_unfreezing trains in 4 phases.*a budget of 3 steps is too little.*to 4 steps"),
        (Budget(epochs=1), "1 epoch comes to 3 in batches of 64.*leave the strategy out"),
    ],
)
def test_no_strategy_gets_more_steps_than_the_budget_has(budget, told):
    made = recipe("gradual_unfreezing", 64)
    with pytest.raises(SpecError, match=told):
        make_plan(budget, made, 195)
    for strategy in ("fine_tuning", "transfer_learning", "from_scratch"):
        assert make_plan(budget, recipe(strategy, 64), 195).total_steps == steps_of(budget, 64, 195) == 3
    assert make_plan(Budget(steps=4), made, 195).ends == (1, 2, 3, 4)
    assert make_plan(Budget(seconds=1), made, 195).ends[-1] == pytest.approx(1)


def test_the_least_budget_is_a_step():
    assert make_plan(Budget(epochs=1), recipe("fine_tuning", 256), 5).total_steps == 1


def test_a_budget_of_seconds_has_borders_in_seconds():
    plan = make_plan(Budget(seconds=30), recipe("staged_fine_tuning"), 195)
    assert plan.ends == pytest.approx((10, 30))
    assert plan.total_steps is None


def test_a_fit_takes_no_steps():
    plan = make_plan(Budget(epochs=100), recipe("feature_extraction"), 195)
    assert (plan.total, plan.evaluations) == (0, frozenset())


@given(
    strategy=st.sampled_from([s.id for s in STRATEGIES.values() if s.id not in ("feature_extraction", "lora")]),
    epochs=st.integers(1, 400),
    images=st.integers(2, 3_000),
    batch=st.integers(1, 256),
)
def test_evaluations_are_few_and_include_every_phase_end(strategy, epochs, images, batch):
    assume(steps_of(Budget(epochs=epochs), batch, images) >= len(recipe(strategy, batch).phases))
    plan = make_plan(Budget(epochs=epochs), recipe(strategy, batch), images)
    assert len(plan.evaluations) <= MAX_EVALUATIONS
    ends = [end for end in plan.ends if end > 0]  # a fit ends where it begins
    assert set(ends) <= plan.evaluations
    assert all(0 < step <= plan.total for step in plan.evaluations)
    assert ends == sorted(set(ends))
    if epochs <= 40 and images >= batch:
        assert len(plan.evaluations) >= epochs


@given(number=st.integers(1, 70), more=st.integers(0, 5_000), images=st.integers(2, 3_000), fit=st.booleans())
def test_any_number_of_phases_has_evaluations(number, more, images, fit):
    whole = recipe("fine_tuning")
    phase = whole.phases[0].model_copy(update={"share": 1 / number})
    first = recipe("lp_ft").phases[:1] if fit else ()
    made = whole.model_copy(update={"phases": (*first, *[phase] * number)})
    plan = make_plan(Budget(steps=number + more), made, images)
    ends = {end for end in plan.ends if end > 0}
    assert ends <= plan.evaluations
    assert len(plan.evaluations) + fit <= max(MAX_EVALUATIONS, number + fit)
    assert make_plan(Budget(seconds=60), made, images).interval > 0


def test_cosine_with_warm_up_rises_to_one_and_falls_to_nothing():
    values = TrainRecipe(trainable="all", share=1.0, warmup=0.1)
    assert learning_rate_factor(values, 0.05) == pytest.approx(0.5)
    assert learning_rate_factor(values, 0.1) == pytest.approx(1.0)
    assert learning_rate_factor(values, 0.55) == pytest.approx(0.5)
    assert learning_rate_factor(values, 1.0) == pytest.approx(0.0)


def test_linear_falls_evenly_after_the_warm_up():
    values = TrainRecipe(trainable="all", share=1.0, schedule="linear", warmup=0.2)
    found = [learning_rate_factor(values, p) for p in (0.1, 0.2, 0.4, 0.6, 1.0)]
    assert found == pytest.approx([0.5, 1.0, 0.75, 0.5, 0.0])


def test_step_is_a_tenth_at_each_third():
    values = TrainRecipe(trainable="all", share=1.0, schedule="step")
    found = [learning_rate_factor(values, p) for p in (0.0, 0.33, 0.34, 0.66, 0.67, 1.0)]
    assert found == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_a_phase_that_ends_early_leaves_its_steps_to_those_that_follow():
    plan = Plan("steps", (10, 20, 40), 5.0, frozenset({5, 10, 15, 20, 25, 30, 35, 40}))
    cut = shortened(plan, [(0, 4)])
    assert cut.ends == (4, 16, 40)  # 36 steps are left, shared 1 to 2
    assert {4, 16, 40} <= cut.evaluations
    assert shortened(cut, [(1, 10)]).ends == shortened(plan, [(0, 4), (1, 10)]).ends == (4, 10, 40)
    assert shortened(plan, [(2, 25)]).ends == (10, 20, 25)
    assert shortened(plan, []) == plan


def test_a_phase_that_ends_early_leaves_its_seconds_to_those_that_follow():
    plan = Plan("seconds", (10.0, 20.0, 40.0), 5.0, interval=1.0)
    assert shortened(plan, [(0, 4.0)]).ends == pytest.approx((4, 16, 40))
    assert shortened(plan, [(2, 25.5)]).ends == pytest.approx((10, 20, 25.5))


def test_a_constant_schedule_stays():
    values = TrainRecipe(trainable="all", share=1.0, schedule="constant")
    assert {learning_rate_factor(values, p) for p in (0.0, 0.3, 1.0)} == {1.0}


def test_a_linear_svm_looks_for_c_in_its_own_range():
    made = [
        resolve(STRATEGIES["feature_extraction"], DataFacts(195, 224), MODEL, overrides=own).phases[0]
        for own in ({}, {"classifier": "linear_svm"}, {"classifier": "linear_svm", "c_high": 3})
    ]
    assert [(phase.c_low, phase.c_high) for phase in made] == [(-6, 5), (-4, 1), (-4, 3)]

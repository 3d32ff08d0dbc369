"""The estimate: each kind of phase at its own price, from a machine whose speed is known."""

from typing import Any

import pytest

from tests.records import FACTS, example
from tlcore.analysis.groups import groups_of
from tlcore.recipes import DataFacts, resolve
from tlcore.results import DatasetSummary
from tlcore.service import estimate, models
from tlcore.service.plans import Plan
from tlcore.spec import ComparisonSpec

MODEL = FACTS.model_copy(update={"num_groups": 4, "linear_share": 0.9})
PARTS = {"train": 320, "val": 100, "test": 100}
FORWARD, STEP = 100.0, 25.0  # images per second: 0.01 s forward, 0.03 s backward


@pytest.fixture(autouse=True)
def known_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "ask_once", lambda request: [{"forward": FORWARD, "step": STEP}])


def plan_of(*strategies: str, **shared: Any) -> Plan:
    """Runs of 10 steps of 32 images."""
    given = {"dataset_id": "d", "dataset_fingerprint": "f", "models": ("m",), "budget": {"steps": 10}, **shared}
    spec = ComparisonSpec(strategies=strategies, **given)
    data = DataFacts(num_train=320, short_side=224)
    recipes = {(r.model, r.strategy): resolve(r.entry, data, MODEL, overrides=r.settings) for r in spec.runs()}
    summary = DatasetSummary(
        id="d", name="d", fingerprint="f", num_images=520, num_classes=2, classes=("a", "b"), splits=PARTS
    )
    return Plan(spec, summary, "cpu", "", dict.fromkeys(spec.all_models, MODEL), recipes)


def seconds(strategy: str, **shared: Any) -> float:
    """The estimate of one run of a plan."""
    plan = plan_of(strategy, **shared)
    found = estimate.estimate(plan)
    assert found.seconds == pytest.approx(found.per_strategy[plan.spec.strategies[0]])
    return found.seconds


EVERY_IMAGE, WATCHING = 520 / FORWARD, 100 / FORWARD  # at the end, and the validation part once


@pytest.mark.parametrize(
    ("strategy", "per_image"),
    [
        ("transfer_learning", 0.01),
        ("fine_tuning", 0.04),
        ("from_scratch", 0.04),
        ("partial_fine_tuning:last_groups=1", 0.01 + 0.03 / 4),
        ("partial_fine_tuning:last_groups=3", 0.01 + 0.03 * 3 / 4),
        ("lora", 0.01 + 0.03 / 2),
        ("gradual_unfreezing", 0.01 + 0.03 * (0 + 1 + 2 + 3 + 4) / 4 / 5),
    ],
)
def test_a_phase_costs_what_flows_back_through_it(strategy: str, per_image: float) -> None:
    assert seconds(strategy) == pytest.approx(320 * per_image + WATCHING + EVERY_IMAGE)


def test_stored_features_cost_one_pass_and_one_for_each_view() -> None:
    assert seconds("feature_extraction") == pytest.approx(EVERY_IMAGE)
    assert seconds("feature_extraction:views=2") == pytest.approx(EVERY_IMAGE + 2 * 320 / FORWARD)
    assert seconds("lp_ft") == pytest.approx(seconds("fine_tuning") + EVERY_IMAGE)


def test_trials_multiply_the_training_and_not_the_last_look() -> None:
    training = 320 * 0.04 + WATCHING
    assert seconds("fine_tuning", tune=5) == pytest.approx(5 * training + EVERY_IMAGE)


@pytest.mark.parametrize(("epochs", "steps"), [(1, 10), (3, 30)])
def test_epochs_cost_what_their_steps_cost(epochs: int, steps: int) -> None:
    assert seconds("fine_tuning", budget={"epochs": epochs}) == seconds("fine_tuning", budget={"steps": steps})


def test_a_budget_in_seconds_is_what_it_says() -> None:
    found = seconds("fine_tuning", budget={"seconds": 60}, tune=2)
    assert found == pytest.approx(120 + EVERY_IMAGE), "looks at the validation part are in it"


def test_a_network_of_its_own_for_the_random_start_is_measured() -> None:
    both = {"models": ("small",), "scratch_model": "small"}
    assert seconds("from_scratch", **both) == pytest.approx(seconds("from_scratch"))


def test_a_shorter_network_is_faster() -> None:
    assert seconds("fine_tuning:cut_at=2") == pytest.approx(seconds("fine_tuning") / 2)
    assert seconds("fine_tuning:layers=2") == seconds("fine_tuning:layers=1+2") == seconds("fine_tuning:cut_at=2")
    half = (320 * (0.01 + 0.03 / 2) + WATCHING + EVERY_IMAGE) / 2
    assert seconds("partial_fine_tuning:cut_at=2,last_groups=1") == pytest.approx(half), "one of two groups trains"


def test_cheap_runs_come_first_and_seeds_stay_together() -> None:
    asked = (
        "from_scratch",
        "fine_tuning",
        "partial_fine_tuning:last_groups=1",
        "transfer_learning",
        "feature_extraction",
    )
    plan = plan_of(*asked, seeds=(3, 1), fractions=(0.5, 1), models=("m", "n"))
    ordered = estimate.cheapest_first(plan, plan.runs)
    assert [(r.strategy, r.model) for r in ordered[:10]] == [
        *(("feature_extraction", m) for m in "mn"),
        *(("transfer_learning", m) for m in "mn"),
        *(("partial_fine_tuning:last_groups=1", m) for m in "mn"),
        *(("from_scratch", "m"), ("fine_tuning", "m"), ("from_scratch", "n"), ("fine_tuning", "n")),
    ], "of equal cost: as asked"
    assert list(dict.fromkeys((r.fraction, r.seed) for r in ordered)) == [(0.5, 3), (0.5, 1), (1, 3), (1, 1)]
    assert sorted(r.name for r in ordered) == sorted(r.name for r in plan.runs)


def test_models_are_shown_as_asked_whatever_ran_first() -> None:
    built = example(("fine_tuning", "partial_fine_tuning:last_groups=1"), seeds=[0], models=("m", "n"))
    ran = tuple(sorted(built.record.runs, key=lambda run: (-len(run.spec.strategy), run.spec.model == "m")))
    assert ran[0].spec.model == "n"
    groups = groups_of(built.record.model_copy(update={"runs": ran}))
    assert [group.model for group in groups] == ["m", "m", "n", "n"]


def test_a_few_runs_are_ordered_like_all() -> None:
    plan = plan_of("fine_tuning", "transfer_learning", seeds=(0, 1))
    fine, frozen = plan.runs[:2]
    assert estimate.cheapest_first(plan, [fine, frozen]) == [frozen, fine]
    assert estimate.cheapest_first(plan, plan.runs[1:]) == [frozen, plan.runs[3], plan.runs[2]]

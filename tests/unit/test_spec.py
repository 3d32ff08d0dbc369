"""A comparison's spec: expanded to runs, fingerprinted, and strict about its values."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlcore.errors import SpecError
from tlcore.spec import Budget, ComparisonSpec, RunSpec, checked
from tlcore.strategies import Strategy, Train

VALID: dict[str, Any] = {
    "dataset_id": "ants-0011",
    "dataset_fingerprint": "ff",
    "models": ["m1", "m2"],
    "strategies": ["from_scratch", "fine_tuning"],
    "budget": {"epochs": 3},
}


def spec(**changes: Any) -> ComparisonSpec:
    return checked(ComparisonSpec, **{**VALID, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": [-1]}, "^seeds: -1 must be at least 0$"),
        ({"seeds": [2**31]}, "^seeds: 2147483648 must be at most 2147483647$"),
        ({"seeds": []}, "^seeds: .* needs at least one value$"),
        ({"seeds": [1, 1]}, "1 is given twice"),
        ({"budget": {"epochs": 0}}, "^epochs: 0 must be at least 1$"),
        ({"budget": {"epochs": 1, "steps": 3}}, "one of epochs, steps or seconds"),
        ({"budget": {}}, "one of epochs, steps or seconds"),
        ({"fractions": [0.0]}, "^fractions: 0.0 must be more than 0"),
        ({"fractions": [1.5]}, "^fractions: 1.5 must be at most 1"),
        ({"strategies": ["finetune"]}, "fine_tuning.*staged_fine_tuning"),
        ({"strategies": []}, "strategies"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
        ({"batch_size": 0}, "batch_size"),
        ({"weights": {"m3": "imagenet"}}, "m3.*not among the models"),
        ({"weights": {"m1": "none"}}, "fine_tuning starts from pretrained weights"),
        ({"overrides": {"feature_extraction": {"c_low": 0}}}, "feature_extraction.*not among the strategies"),
        ({"split": "kfold:1"}, "^unknown split 'kfold:1': use fixed, repeated or kfold:K with K from 2 to 100"),
        ({"split": "random", "seeds": [0, 1]}, "^unknown split 'random'"),
        ({"split": 5}, "^split: 5 "),
        ({"tune": 1}, "^tune: 1 trial is the recipe as it is: use 0, or 2"),
        ({"strategies": ["from_scratch"], "scratch_model": "s"}, "nothing would run on m1, m2: .*leave scratch_model"),
        ({"strategies": ["frozen:momentum=0.5"], "overrides": {"frozen": {"momentum": 0.1}}}, "sets momentum itself"),
        ({"strategies": ["frozen:momentum=0.5"], "overrides": {"frozen": {"1.momentum": 0.1}}}, "sets momentum itself"),
        (
            {"strategies": ["frozen:momentum=0.5"], "overrides": {"frozen:momentum=.5": {"momentum": 0.5}}},
            "transfer_learning:momentum=0.5 sets momentum itself",
        ),
        (
            {"strategies": ["frozen"], "overrides": {"frozen": {"noise": 0.1}, "transfer_learning": {"noise": 0.2}}},
            "^transfer_learning.noise is given twice, as 0.1 and 0.2: keep one of them$",
        ),
        ({"overrides": {"fine_tuning": 3}}, "^fine_tuning: 3 "),
        ({"no_such_field": 1}, "^no_such_field: 1 is no setting of a comparison$"),
        ({"seeds": list(range(1000))}, "4,000 runs are more than the limit"),
    ],
)
def test_a_wrong_value_gives_one_line_that_names_it(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        spec(**changes)
    assert "\n" not in str(caught.value)


@given(
    seeds=st.lists(st.integers(0, 100), min_size=1, max_size=5, unique=True),
    fractions=st.lists(st.sampled_from([0.1, 0.5, 1.0]), min_size=1, unique=True),
)
def test_the_grid_is_complete_and_without_repeats(seeds: list[int], fractions: list[float]) -> None:
    runs = spec(seeds=seeds, fractions=fractions).runs()
    cells = {(r.model, r.strategy, r.seed, r.fraction) for r in runs}
    assert len(runs) == len(cells) == 4 * len(seeds) * len(fractions)


def test_runs_of_one_comparison_are_one_family_and_another_budget_is_another() -> None:
    runs = spec(seeds=[0, 1], fractions=[0.5, 1]).runs()
    assert len({r.family for r in runs}) == 1
    assert spec(budget={"epochs": 4}).runs()[0].family != runs[0].family
    assert spec(weights={"m1": "file:/x"}).runs()[0].family == runs[0].family


def test_a_split_plan_is_part_of_the_family_and_reaches_every_run() -> None:
    folds = spec(split="kfold:03", seeds=[0, 1])
    assert {run.split for run in folds.runs()} == {"kfold:3"}
    assert folds.runs()[0].family != spec().runs()[0].family
    assert folds.runs()[0].family == spec(split="kfold:3").runs()[0].family
    stored = folds.runs()[0].model_dump_json(exclude_defaults=True)
    assert RunSpec.model_validate_json(stored) == folds.runs()[0]


def test_without_seeds_a_k_fold_split_has_one_for_each_fold() -> None:
    assert spec(split="kfold:4").seeds == (0, 1, 2, 3)
    assert spec(split="kfold:4", seeds=[7]).seeds == (7,)
    assert spec(split="repeated").seeds == spec().seeds == (0,)


def test_what_was_stored_before_there_were_plans_is_fixed() -> None:
    whole = spec().model_dump(mode="json")
    del whole["split"]
    assert ComparisonSpec.model_validate(whole) == spec()
    assert (spec().split_plan.is_fixed, spec(split="repeated").split_plan.is_fixed) == (True, False)


def test_a_random_start_needs_no_weights() -> None:
    made = spec(strategies=["from_scratch"], weights={"m1": "none"})
    assert {r.weights for r in made.runs()} == {"none"}


def test_only_strategies_that_start_pretrained_get_the_weights() -> None:
    made = {r.strategy: r.weights for r in spec(models=["m1"], weights={"m1": "file:/w"}).runs()}
    assert made == {"from_scratch": "none", "fine_tuning": "file:/w"}


def test_overrides_reach_only_their_strategy() -> None:
    made = spec(overrides={"fine-tuning": {"weight_decay": 0}}).runs()
    assert {r.strategy: r.overrides for r in made} == {"from_scratch": {}, "fine_tuning": {"weight_decay": 0}}


def test_settings_under_two_names_of_a_strategy_come_together() -> None:
    given = {"frozen": {"noise": 0.1, "momentum": 0}, "transfer_learning": {"momentum": 0, "warmup": 0.2}}
    (run,) = spec(models=["m1"], strategies=["frozen"], overrides=given).runs()
    assert run.overrides == {"noise": 0.1, "momentum": 0, "warmup": 0.2}


def test_a_setting_of_another_phase_than_the_references_may_be_given() -> None:
    (run,) = spec(
        models=["m1"], strategies=["staged:2.momentum=0.5"], overrides={"staged": {"momentum": 0.1, "1.noise": 0.1}}
    ).runs()
    assert run.settings == {"momentum": 0.1, "1.noise": 0.1, "2.momentum": 0.5}


def own(name: str, label: str) -> Strategy:
    return Strategy(name, label, label.partition(":")[0], "", "pretrained", (Train("head", 1.0, "head"),), "#123456")


def test_own_strategies_of_one_comparison_have_their_own_labels_and_colours() -> None:
    ids = ["abc", "bca", "cab"]  # the same letters
    made = spec(models=["m1"], strategies=ids, own_strategies=[own(name, name) for name in ids])
    assert len({made.entry(name).color for name in ids}) == 3
    for other in ("Mine: head", "Mine: all", "Mine"):
        with pytest.raises(SpecError, match="a and b are both called 'Mine"):
            spec(strategies=["a", "b"], own_strategies=[own("a", "Mine: head"), own("b", other)])


def test_variants_of_a_strategy_are_cells_of_their_own_with_their_settings() -> None:
    depths = [f"partial_fine_tuning:last_groups={k}" for k in (1, 2)]
    made = spec(models=["m1"], strategies=depths, overrides={"partial_fine_tuning": {"weight_decay": 0}}).runs()
    assert [r.settings for r in made] == [{"weight_decay": 0, "last_groups": k} for k in (1, 2)]
    assert len({r.family for r in made}) == 1


def test_a_random_start_may_run_on_a_network_of_its_own() -> None:
    made = spec(strategies=["from_scratch", "fine_tuning"], scratch_model="small").runs()
    assert [(r.model, r.strategy) for r in made] == [
        ("m1", "fine_tuning"), ("m2", "fine_tuning"), ("small", "from_scratch"),
    ]  # fmt: skip
    with pytest.raises(SpecError, match="no strategy has a random start"):
        spec(strategies=["fine_tuning"], scratch_model="small")


def test_an_own_strategy_travels_with_the_comparison_and_its_runs() -> None:
    own = Strategy("mine", "Mine: head", "Mine", "", "pretrained", (Train("head", 1.0, "head"),), "#123456")
    made = spec(models=["m1"], strategies=["mine", "fine_tuning"], own_strategies=[own])
    again = ComparisonSpec.model_validate_json(made.model_dump_json())
    assert again == made
    first, second = (RunSpec.model_validate_json(run.model_dump_json(exclude_defaults=True)) for run in again.runs())
    assert (first.entry, second.own_strategy) == (own, None)


def test_the_batch_may_be_left_to_the_machine() -> None:
    assert spec(batch_size="auto").batch_size == "auto"
    with pytest.raises(SpecError, match="batch_size"):
        spec(batch_size="huge")


def test_a_budget_says_itself_in_words() -> None:
    assert [str(Budget(epochs=1)), str(Budget(steps=20)), str(Budget(seconds=1.5))] == [
        "1 epoch",
        "20 steps",
        "1.5 seconds",
    ]

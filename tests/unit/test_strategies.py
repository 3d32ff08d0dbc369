"""Strategies are data: names lead to one entry or to a clear error, and the strips come from the entries."""

from pathlib import Path

import pytest

from tlcore.errors import AmbiguousStrategyError, UnknownStrategyError
from tlcore.recipes import RECIPES
from tlcore.strategies import STRATEGIES, Fit, Strategy, Train, find_strategy, phase_blocks

every_strategy = pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=str)


@every_strategy
def test_an_entry_is_found_by_its_id_label_case_and_aliases(strategy: Strategy) -> None:
    for name in (strategy.id, strategy.id.upper(), strategy.id.replace("_", "-"), *strategy.aliases):
        assert find_strategy(name) is strategy


@every_strategy
def test_shares_of_training_phases_sum_to_one(strategy: Strategy) -> None:
    shares = [p.share for p in strategy.phases if isinstance(p, Train)]
    assert not shares or sum(shares) == pytest.approx(1)


@every_strategy
def test_every_training_phase_names_a_recipe(strategy: Strategy) -> None:
    assert all(isinstance(p, Fit) or p.recipe in RECIPES for p in strategy.phases)


@every_strategy
def test_the_readme_tells_of_every_strategy_and_its_other_names(strategy: Strategy) -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    row = next(line for line in readme.splitlines() if line.startswith(f"| `{strategy.id}` |"))
    assert all(name in row for name in strategy.also_called)


def test_colours_and_aliases_are_told_apart() -> None:
    assert len({s.color for s in STRATEGIES.values()}) == len(STRATEGIES)
    names = [name for s in STRATEGIES.values() for name in (s.id, *s.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", ["finetune", "Transfer", "linear-probe", "pre-training"])
def test_a_name_with_two_meanings_is_refused_with_both(name: str) -> None:
    with pytest.raises(AmbiguousStrategyError) as caught:
        find_strategy(name)
    assert sum(strategy_id in str(caught.value) for strategy_id in STRATEGIES) == 2


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownStrategyError, match="did you mean fine_tuning"):
        find_strategy("fine_tunning")


def test_strips_show_what_is_frozen_and_where_the_weights_start() -> None:
    head_first, then_all = phase_blocks(STRATEGIES["staged_fine_tuning"], num_blocks=3)
    assert head_first.backbone == ("frozen",) * 3
    assert then_all.backbone == ("training",) * 3
    (scratch,) = phase_blocks(STRATEGIES["from_scratch"])
    assert (scratch.backbone_from, set(scratch.backbone)) == ("random", {"training"})
    (features,) = phase_blocks(STRATEGIES["feature_extraction"])
    assert (features.head, set(features.backbone)) == ("fitted", {"frozen"})


def test_the_last_groups_are_the_ones_next_to_the_head() -> None:
    partial = Strategy("x", "X", "X", "", "pretrained", (Train("last:1", 1.0, "head"),), "#000000")
    assert phase_blocks(partial, num_blocks=3)[0].backbone == ("frozen", "frozen", "training")

"""Adding runs to a comparison: only what makes them repeats of the same thing."""

from dataclasses import replace
from typing import Any

import pytest

from tlcore.errors import SpecError
from tlcore.service.joining import union
from tlcore.spec import ComparisonSpec
from tlcore.strategies import Strategy, Train

BASE: dict[str, Any] = {
    "dataset_id": "d",
    "dataset_fingerprint": "f",
    "models": ("m",),
    "strategies": ("fine_tuning",),
    "budget": {"epochs": 3},
}


def spec(**changes: Any) -> ComparisonSpec:
    return ComparisonSpec(**{**BASE, **changes})


def test_the_union_holds_both_grids_in_order() -> None:
    grown = union(spec(), spec(strategies=("from_scratch", "fine_tuning"), seeds=(1, 2)))
    assert (grown.strategies, grown.seeds) == (("fine_tuning", "from_scratch"), (0, 1, 2))


@pytest.mark.parametrize(
    "changes", [{"weights": {"m": "file:/w"}}, {"overrides": {"fine_tuning": {"weight_decay": 0.0}}}], ids=str
)
def test_other_weights_or_settings_are_no_further_seeds_whichever_came_first(changes: dict[str, Any]) -> None:
    for old, new in ((spec(), spec(seeds=(1,), **changes)), (spec(**changes), spec(seeds=(1,)))):
        with pytest.raises(SpecError, match="use the same, or start another"):
            union(old, new)


MINE = Strategy("mine", "Mine", "Mine", "", "pretrained", (Train("head", 1.0, "head"),), "#123456")
YOURS = Strategy("yours", "Yours", "Yours", "", "pretrained", (Train("all", 1.0, "head"),), "#123456")


def test_own_strategies_another_network_and_settings_of_variants_are_kept() -> None:
    old = spec(strategies=("mine", "from_scratch"), own_strategies=(MINE,), scratch_model="small")
    new = spec(
        strategies=("yours", "mine"), own_strategies=(YOURS, MINE), seeds=(1,), overrides={"yours": {"momentum": 0.5}}
    )
    grown = union(old, new)
    assert grown.own_strategies == (MINE, YOURS)
    assert (grown.scratch_model, grown.overrides) == ("small", {"yours": {"momentum": 0.5}})
    assert {(r.model, r.strategy) for r in grown.runs()} == {
        ("m", "mine"), ("m", "yours"), ("small", "from_scratch"),
    }  # fmt: skip


def test_an_own_strategy_of_the_same_name_with_other_content_is_refused() -> None:
    other = replace(MINE, phases=YOURS.phases)
    old, new = (spec(strategies=("mine",), own_strategies=(own,), seeds=(s,)) for s, own in enumerate((MINE, other)))
    with pytest.raises(SpecError, match="the own strategy of mine on m would differ"):
        union(old, new)


def test_another_network_for_the_random_start_is_refused() -> None:
    both = ("from_scratch", "fine_tuning")
    old, new = spec(strategies=both), spec(strategies=both, seeds=(1,), scratch_model="small")
    for pair in ((old, new), (new, old)):
        with pytest.raises(SpecError, match="from_scratch would run on m in one part and on small in the other"):
            union(*pair)


def test_settings_of_all_variants_do_not_reach_those_that_had_none() -> None:
    old = spec(strategies=("partial_fine_tuning:last_groups=1",), overrides={"partial_fine_tuning": {"momentum": 0.5}})
    with pytest.raises(SpecError, match="overrides of partial_fine_tuning:last_groups=2"):
        union(old, spec(strategies=("partial_fine_tuning:last_groups=2",)))

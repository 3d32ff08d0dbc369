"""Adding runs to a comparison: only what makes them repeats of the same thing."""

from typing import Any

import pytest

from tlcore.errors import SpecError
from tlcore.service.comparisons import _union
from tlcore.spec import ComparisonSpec

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
    grown = _union(spec(), spec(strategies=("from_scratch", "fine_tuning"), seeds=(1, 2)))
    assert (grown.strategies, grown.seeds) == (("fine_tuning", "from_scratch"), (0, 1, 2))


@pytest.mark.parametrize(
    "changes", [{"weights": {"m": "file:/w"}}, {"overrides": {"fine_tuning": {"weight_decay": 0.0}}}], ids=str
)
def test_other_weights_or_settings_are_no_further_seeds_whichever_came_first(changes: dict[str, Any]) -> None:
    for old, new in ((spec(), spec(seeds=(1,), **changes)), (spec(**changes), spec(seeds=(1,)))):
        with pytest.raises(SpecError, match="use the same, or start another"):
            _union(old, new)

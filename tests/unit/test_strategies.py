"""Strategies are data: names lead to one entry or to a clear error, and the strips come from the entries."""

import math
from itertools import combinations
from pathlib import Path

import pytest

from tests.colors import Lab, difference, lab
from tlcore.errors import AmbiguousStrategyError, SpecError, UnknownStrategyError
from tlcore.recipes import RECIPES
from tlcore.strategies import (
    CORE,
    STRATEGIES,
    Fit,
    Strategy,
    Train,
    canonical,
    entry_of,
    find_strategy,
    luminance,
    merged,
    own_color,
    phase_blocks,
    split_reference,
)

every_strategy = pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=str)


@every_strategy
def test_an_entry_is_found_by_its_id_label_case_and_aliases(strategy: Strategy) -> None:
    for name in (strategy.id, strategy.id.upper(), strategy.id.replace("_", "-"), *strategy.aliases):
        assert find_strategy(name) is strategy


def test_the_core_are_the_five_that_courses_teach() -> None:
    assert CORE == ("from_scratch", "feature_extraction", "transfer_learning", "fine_tuning", "staged_fine_tuning")


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


def test_a_reference_has_one_spelling_whatever_the_order_case_and_alias() -> None:
    said = "Partial:last_groups=2,weight_decay=0.0"
    assert canonical(said) == canonical("partial_fine_tuning:weight_decay=0,last_groups=2")
    assert split_reference(canonical(said)) == ("partial_fine_tuning", {"last_groups": 2, "weight_decay": 0})


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("2", 2), ("1e-3", 1e-3), ("knn", "knn"), ("2+3", "2+3"), ("nan", "nan")]
)
def test_values_in_references_are_read_by_their_kind(text: str, value: object) -> None:
    found = split_reference(f"x:key={text}")[1]["key"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("said", "spelled"),
    [
        ("0.00123456789", "0.00123456789"),
        ("0.1000001", "0.1000001"),
        ("1e-1", "0.1"),
        ("0.0", "0"),
        ("-0.0", "0"),
        ("2.0", "2"),
        ("1e-5", "1e-05"),
        ("1e300", "1e+300"),
        ("TRUE", "true"),
        ("3+4", "3+4"),
    ],
)
def test_a_value_is_spelled_to_its_last_digit_and_equal_ones_the_same(said: str, spelled: str) -> None:
    assert canonical(f"lora:x={said}") == f"lora:x={spelled}"
    assert split_reference(canonical(f"lora:x={said}"))[1] == split_reference(f"lora:x={said}")[1]
    assert canonical(canonical(f"lora:x={said}")) == canonical(f"lora:x={said}")


def test_a_setting_that_is_no_number_is_not_said_to_be_given_twice() -> None:
    (values,) = merged([("fine_tuning", {"learning_rate": math.nan})]).values()
    assert math.isnan(values["learning_rate"])
    with pytest.raises(SpecError, match="is given twice, as 1 and 2"):
        merged([("fine_tuning", {"momentum": 1}), ("full_fine_tuning", {"momentum": 2})])


def test_a_key_twice_in_a_reference_is_refused() -> None:
    with pytest.raises(UnknownStrategyError, match="sets momentum twice"):
        canonical("fine_tuning:momentum=0.5,momentum=0.9")


def test_own_strategies_have_colours_of_their_own() -> None:
    colors = [own_color(index) for index in range(60)]
    assert len(set(colors)) == 60
    assert all(len(color) == 7 and int(color[1:], 16) >= 0 for color in colors)


@pytest.mark.parametrize("reference", ["partial_fine_tuning:", "partial_fine_tuning:last_groups", "fine_tuning:=3"])
def test_a_malformed_reference_is_refused_with_the_form(reference: str) -> None:
    with pytest.raises(UnknownStrategyError, match="KEY=VALUE"):
        canonical(reference)


def test_variants_say_their_setting_and_share_a_colour_in_different_shades() -> None:
    siblings = [f"partial_fine_tuning:last_groups={k}" for k in (1, 2, 3)] + ["fine_tuning"]
    entries = [entry_of(reference, siblings=siblings) for reference in siblings]
    assert len({e.color for e in entries}) == len({e.label for e in entries}) == 4
    assert "last groups 2" in entries[1].short_label
    assert entries[3] == STRATEGIES["fine_tuning"]
    assert entry_of(siblings[0], siblings=siblings[:1]).color == STRATEGIES["partial_fine_tuning"].color


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("number", [2, 3, 7])
def test_every_shade_can_be_seen_on_white_and_on_dark(strategy: str, number: int) -> None:
    siblings = [f"{strategy}:learning_rate=0.{k}" for k in range(1, number + 1)]
    colors = [entry_of(reference, siblings=siblings).color for reference in siblings]
    base = luminance(STRATEGIES[strategy].color)
    bright = [luminance(color) for color in colors]
    assert bright == sorted(bright)
    assert len(set(colors)) == number
    assert all((value + 0.05) / (luminance("#171614") + 0.05) >= 3 for value in bright)
    assert all(1.05 / (value + 0.05) >= 3 or value <= base for value in bright)


@pytest.mark.parametrize(
    ("first", "second", "known"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_measure_of_colours_gives_the_published_differences(first: Lab, second: Lab, known: float) -> None:
    assert difference(first, second) == pytest.approx(known, abs=5e-5)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("number", "least"), [(2, 15), (3, 12), (4, 12), (5, 11), (8, 7)])
@pytest.mark.parametrize("with_plain", [False, True])
def test_variants_can_be_told_apart_from_each_other_and_from_the_rest(
    strategy: str, number: int, least: float, with_plain: bool
) -> None:
    siblings = [f"{strategy}:learning_rate=0.{k}" for k in range(1, number + 1 - with_plain)]
    siblings += [strategy] if with_plain else []
    colors = [entry_of(reference, siblings=siblings).color for reference in siblings]
    others = [entry.color for name, entry in STRATEGIES.items() if name != strategy]
    assert min(difference(lab(a), lab(b)) for a, b in combinations(colors, 2)) >= least
    assert min(difference(lab(a), lab(b)) for a in colors for b in others) >= 7
    if with_plain:
        assert colors[-1] == STRATEGIES[strategy].color


def test_luminance_of_known_colours() -> None:
    assert luminance("#FFFFFF") == pytest.approx(1)
    assert luminance("#000000") == 0
    assert luminance("#FF0000") == pytest.approx(0.2126)

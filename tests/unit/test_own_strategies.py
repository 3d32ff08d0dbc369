"""A person's own strategy in YAML: read as written, and refused with the place, the value and the remedy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlcore.errors import StrategyError
from tlcore.recipes import require_known
from tlcore.strategies import STRATEGIES, Fit, Strategy, Train, Unfreeze, export_strategy, parse_strategy

GOOD = """
name: head_then_top
label: "Head first: then the top"
phases:
  - fit: linear_svm
    settings: {c_low: -3}
  - train: head
    share: 0.25
    settings: {learning_rate: 1e-3, nesterov: yes}
  - train: last:2
    share: 0.25
  - unfreeze: true
    share: 0.5
"""


def read(text: str) -> Strategy:
    strategy = parse_strategy(text, "my.yaml")
    require_known(strategy, "my.yaml")
    return strategy


def test_a_strategy_is_read_as_it_is_written() -> None:
    found = read(GOOD)
    assert (found.id, found.label, found.short_label) == (
        "head_then_top", "Head first: then the top", "Head first",
    )  # fmt: skip
    assert (found.start, found.core) == ("pretrained", False)
    assert found.phases == (
        Fit("linear_svm", {"c_low": -3}),
        Train("head", 0.25, "head", {"learning_rate": 1e-3, "nesterov": True}),
        Train("last:2", 0.25, "fine_tuning"),
        Unfreeze(0.5, "gradual"),
    )
    assert isinstance(found.phases[1].settings["learning_rate"], float), "YAML reads 1e-3 as text"


def test_shares_that_are_nearly_one_become_one() -> None:
    found = read("name: thirds\nphases: [{train: head, share: 0.33}, {train: all, share: 0.66}]")
    assert sum(phase.share for phase in found.phases) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("entry", STRATEGIES.values(), ids=str)
def test_every_built_in_strategy_can_be_exported_and_read_again(entry: Strategy) -> None:
    found = read(export_strategy(entry))
    assert (found.phases, found.start, found.description) == (entry.phases, entry.start, entry.description)
    assert found.id not in STRATEGIES
    assert found.label not in {known.label for known in STRATEGIES.values()}
    assert read(export_strategy(found)) == found, "an own one keeps its name"


PHASE = "name: mine\nphases:\n  - train: all\n    "


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no strategy"),
        ("- train: head", "holds no strategy"),
        ("name: [", "my.yaml is no valid YAML"),
        ("name: 2026-13-45", "no valid YAML"),
        ("name: a\nname: b\nphases: [{train: head}]", "gives name twice"),
        ("name: mine\nphases: [{train: head, train: all}]", "gives train twice"),
        ("name: Mine Own\nphases: [{train: head}]", "'Mine Own' is no short name"),
        ("phases: [{train: head}]", "name '' is no short name"),
        ("name: fine_tuning\nphases: [{train: head}]", "'fine_tuning' is the name of a built-in"),
        ("name: ulmfit\nphases: [{train: head}]", "'ulmfit' is the name of a built-in"),
        ("name: finetune\nphases: [{train: head}]", "'finetune' is the name of a built-in"),
        ("name: mine\nlabel: Fine-tuning\nphases: [{train: head}]", "label 'Fine-tuning' is that of a built-in"),
        (f"name: mine\nlabel: {'x' * 81}\nphases: [{{train: head}}]", "at most 80 letters"),
        ("name: mine\nlabel: [1]\nphases: [{train: head}]", r"label \[1\] must be a text"),
        ("name: mine\nstart: imagenet\nphases: [{train: head}]", "start 'imagenet' is unknown: use pretrained"),
        ("name: mine\ncolour: red\nphases: [{train: head}]", "unknown key colour: it may have description, label"),
        ("name: mine", "phases must be a list"),
        ("name: mine\nphases: {train: head}", "phases must be a list"),
        ("name: mine\nphases: [head]", "phase 1 must be one of fit, train or unfreeze, not 'head'"),
        ("name: mine\nphases: [{train: head, fit: knn}]", "phase 1 must be one of"),
        ("name: mine\nphases: &a [*a]", r"uses the alias \*a: write out what it stands for"),
        (f"name: mine\nphases: {'[' * 3000}", "more than 20 lists or mappings in one another"),
        (f"name: mine\nphases: [{{train: [{'all, ' * 500}]}}]", "train .{200}… must be head, all"),
        (f"name: mine\nphases: [{', '.join(['{train: all}'] * 21)}]", "has 21 phases: keep to 20"),
        ("name: mine\nphases: [{train: head, share: .5}, {train: all, share: .4}]", "sum to 0.9, not to 1"),
        ("name: mine\nphases: [{train: all}, {fit: knn}]", "fit must be the first phase"),
        ("name: mine\nphases: [{fit: knn}, {train: all}]", "knn leaves no head"),
        ("name: mine\nphases: [{fit: forest}]", "phase 1: unknown classifier 'forest': use logistic_regression"),
        ("name: mine\nphases: [{fit: [knn]}]", r"unknown classifier \['knn'\]"),
        ("name: mine\nphases: [{fit: knn, share: 1}]", "phase 1 has the unknown key share"),
        ("name: mine\nstart: random\nphases: [{fit: linear_svm}]", "fit needs pretrained weights"),
        ("name: mine\nstart: random\nphases: [{train: lora}]", "adapters need pretrained weights"),
        ("name: mine\nphases: [{unfreeze: false}]", "unfreeze False must be true"),
        ("name: mine\nphases: [{train: }]", "train None must be head, all"),
        ("name: mine\nphases: [{train: 'last:0'}]", "phase 1: train 'last:0' must be last:K with K of 1 or more"),
        ("name: mine\nphases: [{train: 'last:two'}]", "must be last:K"),
        ("name: mine\nphases: [{train: Head}]", "train 'Head' is no part of the network: say head, or write \\^Head"),
        ("name: mine\nphases: [{train: heads}]", "say head"),
        ("name: mine\nphases: [{train: ALL}]", "say all"),
        ("name: mine\nphases: [{train: last2}]", "say last:2"),
        ("name: mine\nphases: [{train: Last:3}]", "say last:3"),
        ("name: mine\nphases: [{train: lorra}]", "say lora"),
        ("name: mine\nphases: [{train: 'blocks.['}]", "is no regular expression"),
        (PHASE + "share: 0", "share 0 must be a number above 0"),
        (PHASE + "share: yes", "share True must be"),
        (PHASE + "share: .nan", "share nan must be"),
        (PHASE + "recipe: fast", "my.yaml, phase 1: unknown recipe 'fast': use head, fine_tuning"),
        (PHASE + "settings: [1]", r"settings \[1\] must be names with values"),
        (PHASE + "settings: {learning_rate: [1]}", r"setting learning_rate: \[1\] must be one number"),
        (PHASE + "settings: {learning_rate: }", "setting learning_rate: None must be one number"),
        (PHASE + "settings: {learning_rat: 1}", "phase 1: unknown setting learning_rat: use augmentation"),
        (PHASE + "settings: {learning_rate: 500}", "phase 1: learning_rate=500 cannot be used"),
        (PHASE + "settings: {optimizer: rmsprop}", "phase 1: optimizer='rmsprop' cannot be used"),
        (PHASE + "settings: {learning_rate: true}", "phase 1: learning_rate=True cannot be used: it is no switch"),
        (PHASE + "settings: {share: 1}", "unknown setting share"),
        (PHASE + "settings: {lora_rank: 4}", "lora_rank would do nothing, as no adapters train"),
        (PHASE + "settings: {optimizer: adamw, momentum: .5}", "momentum would do nothing"),
        (PHASE + "settings: {cut_at: 3}", "cut_at changes the network of all phases"),
        ("name: mine\nphases: [{fit: linear_svm, settings: {c_low: 2}}]", "phase 1: c_low=2 is above c_high=1"),
        ("name: mine\nphases: [{train: last, settings: {last_groups: 1, layer_decay: .5}}]", "only one layer group"),
        ("name: mine\nphases: [{fit: knn, settings: {c_low: 1}}]", "c_low would do nothing, as k-NN has no C"),
        ("name: mine\nphases: [{train: last, settings: {last_groups: 0}}]", "last_groups 0 must be a whole number"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_one_line_with_its_place(text: str, told: str) -> None:
    with pytest.raises(StrategyError, match=told) as caught:
        read(text)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("my.yaml")


def test_aliases_of_aliases_are_refused_before_they_are_expanded() -> None:
    levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 5))
    with pytest.raises(StrategyError, match=r"my.yaml uses the alias \*a0") as caught:
        read(f"a0: &a0 [x]\n{levels}\nname: mine\nphases: *a4")
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize("pattern", ["^heads", "layer4", "last_linear", "classifier", "head.fc", "blocks.1[01]"])
def test_what_is_near_no_keyword_or_written_as_a_pattern_is_one(pattern: str) -> None:
    (phase,) = read(f"name: mine\nphases: [{{train: '{pattern}'}}]").phases
    assert isinstance(phase, Train) and phase.trainable == pattern


@given(st.text(alphabet="name:phtrilSdau[]{}-&*!#|>'\" \n\t0123,.", max_size=80))
def test_any_text_is_a_strategy_or_a_clear_error(text: str) -> None:
    try:
        read(text)
    except StrategyError as error:
        assert str(error).startswith("my.yaml")

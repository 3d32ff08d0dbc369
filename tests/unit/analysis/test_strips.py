"""Strips of blocks, generated from every strategy's entry."""

import xml.etree.ElementTree as ET

import pytest

from tlcore.analysis.charts.strips import strategy_strip, strip_legend
from tlcore.strategies import STRATEGIES, Strategy, Train

# What trains when, with three blocks for the backbone: Frozen, Adapted, Training, Random; then the Head.
STATES = {
    "from_scratch": ["RRRH"],
    "feature_extraction": ["FFFH"],
    "transfer_learning": ["FFFH"],
    "fine_tuning": ["TTTH"],
    "staged_fine_tuning": ["FFFH", "TTTH"],
    "lp_ft": ["FFFH", "TTTH"],
    "partial_fine_tuning": ["FTTH"],
    "gradual_unfreezing": ["FFFH", "FFTH", "FTTH", "TTTH"],
    "lora": ["AAAH"],
}
SVG = "{http://www.w3.org/2000/svg}"


def letters(svg):
    return "".join(t.text for t in ET.fromstring(svg).iter(f"{SVG}text") if len(t.text) == 1)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_every_strategy_has_one_block_per_state_and_phase(strategy, dark):
    svg = strategy_strip(strategy, dark, num_blocks=3)
    expected = "".join(STATES[strategy.id])
    assert letters(svg) == expected
    root = ET.fromstring(svg)
    assert len(list(root.iter(f"{SVG}rect"))) == len(expected)
    assert root.get("role") == "img"
    assert root.get("aria-label").startswith(strategy.label)
    assert strategy.color in svg


def test_only_the_last_groups_train():
    partial = Strategy("x", "X: y", "X", "", "pretrained", (Train("last:2", 1.0, "fine_tuning"),), "#56B4E9")
    assert letters(strategy_strip(partial)) == "FFTTH"


def _lines(svg):
    """The words beside the blocks, phase by phase."""
    return [t.text for t in ET.fromstring(svg).iter(f"{SVG}text") if len(t.text) > 1]


def test_a_phase_of_a_network_with_many_blocks_is_one_line():
    phases = tuple(Train(f"last:{k}" if k else "head", 0.25, "") for k in range(4))
    drawn = strategy_strip(Strategy("x", "X: y", "X", "", "pretrained", phases, "#56B4E9"), num_blocks=8)
    assert letters(drawn) == "FFFFFFFFH" + "FFFFFFFTH" + "FFFFFFTTH" + "FFFFFTTTH"
    assert _lines(drawn)[1] == "train last 1, 25 % of the budget"
    deep = strategy_strip(Strategy("x", "X: y", "X", "", "pretrained", phases[1:2], "#56B4E9"), num_blocks=50)
    assert letters(deep) == "F" * 23 + "PH", "two groups share the last block, and one of them trains"


def test_a_pattern_is_drawn_where_it_matches():
    names = [[f"blocks.{k}.weight", f"blocks.{k}.bias"] for k in range(3)] + [["fc.weight", "fc.bias"]]

    def drawn(pattern, names=names):
        entry = Strategy("x", "X: y", "X", "", "pretrained", (Train(pattern, 1.0, "fine_tuning"),), "#56B4E9")
        return letters(strategy_strip(entry, num_blocks=3, names=names))

    assert drawn("blocks[.][12]|fc") == "FTTH"
    assert drawn("blocks[.]2") == "FFTF", "the head is kept"
    assert drawn("[.]weight") == "PPPP"
    assert drawn("blocks", names=None) == "PPPP", "which is not known without a network"


def test_text_in_an_entry_is_escaped():
    odd = Strategy("x", '<script>"x"</script>', "X", "", "pretrained", (Train("<i>", 1.0, "fine_tuning"),), "#56B4E9")
    svg = strategy_strip(odd)
    assert "<script" not in svg
    assert "<i>" not in svg
    ET.fromstring(svg)


def test_blocks_stay_inside_the_picture():
    for strategy in STRATEGIES.values():
        root = ET.fromstring(strategy_strip(strategy))
        right = max(float(r.get("x")) + float(r.get("width")) for r in root.iter(f"{SVG}rect"))
        assert right <= float(root.get("width"))
        for line in root.iter(f"{SVG}line"):
            assert 0 <= float(line.get("y1")) <= float(root.get("height"))


def test_legend_explains_every_letter():
    assert letters(strip_legend()) == "RFAPTH"
    assert strip_legend(dark=True) != strip_legend(dark=False)


def test_words_are_as_large_on_every_card():
    widths = {ET.fromstring(strategy_strip(strategy)).get("width") for strategy in STRATEGIES.values()}
    assert len(widths) == 1, "a card shrinks its strip to its width: wider ones would have smaller words"

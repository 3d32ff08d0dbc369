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
    assert letters(strip_legend()) == "RFATH"
    assert strip_legend(dark=True) != strip_legend(dark=False)


def test_words_are_as_large_on_every_card():
    widths = {ET.fromstring(strategy_strip(strategy)).get("width") for strategy in STRATEGIES.values()}
    assert len(widths) == 1, "a card shrinks its strip to its width: wider ones would have smaller words"

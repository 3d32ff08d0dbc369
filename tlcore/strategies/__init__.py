"""The strategies, as data: what a phase is, the entries, how they are named, and a person's own."""

from tlcore.strategies.blocks import LAST_GROUPS, Block, PhaseBlocks, phase_blocks
from tlcore.strategies.entries import CORE, STRATEGIES
from tlcore.strategies.own import export_strategy, own_color, parse_strategy
from tlcore.strategies.references import canonical, entry_of, find_strategy, literal, merged, split_reference
from tlcore.strategies.shades import luminance
from tlcore.strategies.values import (
    CLASSIFIERS,
    Classifier,
    Fit,
    Phase,
    SettingValue,
    Start,
    Strategy,
    Train,
    Unfreeze,
)

__all__ = [
    "CLASSIFIERS",
    "CORE",
    "LAST_GROUPS",
    "STRATEGIES",
    "Block",
    "Classifier",
    "Fit",
    "Phase",
    "PhaseBlocks",
    "SettingValue",
    "Start",
    "Strategy",
    "Train",
    "Unfreeze",
    "canonical",
    "entry_of",
    "export_strategy",
    "find_strategy",
    "literal",
    "luminance",
    "merged",
    "own_color",
    "parse_strategy",
    "phase_blocks",
    "split_reference",
]

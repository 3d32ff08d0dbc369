"""What each phase does to the network's parts, for drawing, generated from a strategy's entry."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from tlcore.strategies.values import Fit, Phase, Start, Strategy, Train, Unfreeze

Block = Literal["frozen", "training", "adapted", "partly"]
LAST_GROUPS = 2  # how many layer groups `last` trains where nobody says
MAX_BLOCKS = 24  # of a drawing: in a deeper network each stands for several layer groups


@dataclass(frozen=True)
class PhaseBlocks:
    """A state for each backbone block, and the head's.

    `adapted`: frozen, with small adapters that train. `partly`: some of its parameters train. A `frozen` head is kept.
    """

    title: str
    share: float
    backbone: tuple[Block, ...]
    backbone_from: Start
    head: Block | Literal["fitted"]


def phase_blocks(
    strategy: Strategy, num_blocks: int = 4, names: Sequence[Sequence[str]] | None = None
) -> list[PhaseBlocks]:
    """The strip of blocks of each phase: `num_blocks` backbone blocks, then the head.

    names: of the parameters of each of these parts, in which a pattern is searched; without them it trains some part
    of any. More than `MAX_BLOCKS` blocks are drawn together.
    """
    phases = [phase for given in strategy.phases for phase in _stages(given, num_blocks)]
    return [_blocks_of(phase, strategy.start, num_blocks, names) for phase in phases]


def _stages(phase: Phase, num_blocks: int) -> list[Fit | Train]:
    if not isinstance(phase, Unfreeze):
        return [phase]
    trained = ["head", *(f"last:{count}" for count in range(1, num_blocks)), "all"]
    return [Train(part, phase.share / len(trained), phase.recipe) for part in trained]


def _blocks_of(phase: Fit | Train, start: Start, num_blocks: int, names: Sequence[Sequence[str]] | None) -> PhaseBlocks:
    if isinstance(phase, Fit):
        title = f"fit {phase.classifier.replace('_', ' ')}"
        return PhaseBlocks(title, 1.0, _drawn(_top(0, num_blocks)), start, "fitted")
    if phase.trainable == "lora":
        return PhaseBlocks("train adapters", phase.share, _drawn(["adapted"] * num_blocks), start, "training")
    kind, _, count = phase.trainable.partition(":")
    trained = {"head": 0, "all": num_blocks, "last": min(int(count or LAST_GROUPS), num_blocks)}
    if kind in trained:
        title = f"train last {count or 'groups'}" if kind == "last" else f"train {kind}"
        return PhaseBlocks(title, phase.share, _drawn(_top(trained[kind], num_blocks)), start, "training")
    unknown: list[Block] = ["partly"] * (num_blocks + 1)
    *backbone, head = _matched(phase.trainable, names) if names else unknown
    return PhaseBlocks(f"train {phase.trainable}", phase.share, _drawn(backbone), start, head)


def _top(trained: int, num_blocks: int) -> list[Block]:
    """The blocks nearest the head train."""
    return ["training" if index >= num_blocks - trained else "frozen" for index in range(num_blocks)]


def _matched(pattern: str, names: Sequence[Sequence[str]]) -> list[Block]:
    """What a pattern trains of each part: all, some or none of its parameters."""
    return [_one([bool(re.search(pattern, name)) for name in part]) for part in names]


def _one(trains: list[bool]) -> Block:
    return "partly" if len(set(trains)) > 1 else "training" if any(trains) else "frozen"


def _drawn(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """The blocks themselves, or `MAX_BLOCKS` that stand for them; one for different states trains in part."""
    if len(blocks) <= MAX_BLOCKS:
        return tuple(blocks)
    borders = [round(len(blocks) * place / MAX_BLOCKS) for place in range(MAX_BLOCKS + 1)]
    parts = [set(blocks[first:end]) for first, end in pairwise(borders)]
    return tuple("partly" if len(part) > 1 else next(iter(part)) for part in parts)

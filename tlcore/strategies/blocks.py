"""What each phase does to the network's parts, for drawing, generated from a strategy's entry."""

from dataclasses import dataclass
from typing import Literal

from tlcore.strategies.values import Fit, Phase, Start, Strategy, Train, Unfreeze

Block = Literal["frozen", "training", "adapted"]
LAST_GROUPS = 2  # how many layer groups `last` trains where nobody says


@dataclass(frozen=True)
class PhaseBlocks:
    """A state for each backbone block, and the head's. `adapted`: frozen, with small adapters that train."""

    title: str
    share: float
    backbone: tuple[Block, ...]
    backbone_from: Start
    head: Literal["training", "fitted"]


def phase_blocks(strategy: Strategy, num_blocks: int = 4) -> list[PhaseBlocks]:
    """The strip of blocks of each phase: `num_blocks` backbone blocks, then the head."""
    return [_blocks_of(phase, strategy.start, num_blocks) for p in strategy.phases for phase in _stages(p, num_blocks)]


def _stages(phase: Phase, num_blocks: int) -> list[Fit | Train]:
    if not isinstance(phase, Unfreeze):
        return [phase]
    trained = ["head", *(f"last:{count}" for count in range(1, num_blocks)), "all"]
    return [Train(part, phase.share / len(trained), phase.recipe) for part in trained]


def _blocks_of(phase: Fit | Train, start: Start, num_blocks: int) -> PhaseBlocks:
    if isinstance(phase, Fit):
        title = f"fit {phase.classifier.replace('_', ' ')}"
        return PhaseBlocks(title, 1.0, _states(0, num_blocks), start, "fitted")
    if phase.trainable == "lora":
        adapted: list[Block] = ["adapted"] * num_blocks
        return PhaseBlocks("train adapters", phase.share, tuple(adapted), start, "training")
    kind, _, count = phase.trainable.partition(":")
    known = {"head": 0, "all": num_blocks, "last": min(int(count or LAST_GROUPS), num_blocks)}
    title = {"head": "train head", "all": "train all", "last": "train last groups"}.get(kind, f"train {kind}")
    return PhaseBlocks(title, phase.share, _states(known.get(kind, num_blocks), num_blocks), start, "training")


def _states(trained: int, num_blocks: int) -> tuple[Block, ...]:
    """The blocks nearest the head train."""
    return tuple("training" if index >= num_blocks - trained else "frozen" for index in range(num_blocks))

"""The plan of a split: whether all seeds share the test images, redraw them, or test fold after fold."""

import re
from dataclasses import dataclass
from typing import Literal

from tlcore.errors import SpecError

FIXED, REPEATED = "fixed", "repeated"
MAX_FOLDS = 100
SPLIT_FORMS = f"fixed, repeated or kfold:K with K from 2 to {MAX_FOLDS}"


@dataclass(frozen=True)
class SplitPlan:
    """`fixed`: one test part for all seeds. `repeated`: each seed draws its own (Monte Carlo cross-validation).

    `kfold`: seed s is tested on fold s % `folds` of the shuffle numbered s // `folds`. folds: 0 for the others.
    """

    kind: Literal["fixed", "repeated", "kfold"]
    folds: int = 0

    def __str__(self) -> str:
        return f"{self.kind}:{self.folds}" if self.folds else self.kind

    @property
    def is_fixed(self) -> bool:
        """Whether all seeds are tested on the same images."""
        return self.kind == FIXED

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of a comparison that names none: of k-fold one for each fold, else one."""
        return tuple(range(self.folds or 1))

    @property
    def words(self) -> str:
        """For people, in the middle of a sentence."""
        if self.folds:
            return (
                f"{self.folds} folds: each seed has its own test images, and {self.folds} seeds test every image once, "
                "pictures under several classes aside"
            )
        return "the same test images for every seed" if self.is_fixed else "each seed has its own test images"


def split_plan(text: str) -> SplitPlan:
    """`fixed`, `repeated` or `kfold:K` as a plan. Raises: SpecError."""
    if text == FIXED:
        return SplitPlan("fixed")
    if text == REPEATED:
        return SplitPlan("repeated")
    found = re.fullmatch(r"kfold:([0-9]{1,9})", text)
    if found is None or not 2 <= int(found[1]) <= MAX_FOLDS:
        raise SpecError(f"unknown split {text!r}: use {SPLIT_FORMS}, such as kfold:5")
    return SplitPlan("kfold", int(found[1]))

"""What pretrained weights bring against from scratch: a higher start, a higher slope, a higher end.

The three of Torrey & Shavlik (2009), Transfer learning, in Handbook of Research on Machine Learning Applications; area
and transfer ratio as of Taylor & Stone (2009), Transfer learning for reinforcement learning domains, J. Mach. Learn.
Res. 10, with chance subtracted, as the ratio would depend on it otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt
from statistics import fmean

from tlcore.analysis.curves import XAxis, last_evaluations, still_rising
from tlcore.analysis.groups import Group, groups_of
from tlcore.analysis.statistics.estimates import validation_ratio
from tlcore.analysis.statistics.intervals import Z95
from tlcore.analysis.statistics.multiplicity import holm
from tlcore.analysis.statistics.over_seeds import DIFFERENCES, SeedMean, ratio_of_means, seed_mean
from tlcore.analysis.transfer.paths import Path, common_horizon, height, jumpstart, path_of
from tlcore.results import ComparisonRecord, RunRecord

FROM_SCRATCH = "from_scratch"
LEVEL = 0.05  # of the Holm-adjusted test for negative transfer
Pair = tuple[RunRecord, Path, RunRecord, Path]


@dataclass(frozen=True)
class TransferRow:
    """One pretrained strategy against from scratch, on one model and fraction, paired over seeds; shares of 1.

    read_at: x of the jumpstart; horizon: x up to which areas go; both means over seeds. area: difference of the mean
    accuracies above chance up to there. ratio: that difference over from scratch's own, None where that is within
    noise of 0. end: difference of the asymptotes; averaged: how many last evaluations each is the mean of, fewest and
    most. rising: whether the strategy, and from scratch, still rise there. own_stuck, stuck: seeds of the strategy, and
    of from scratch, that learnt nothing. p: of the end, Holm-adjusted over all rows.
    """

    group: Group
    baseline: Group
    num_seeds: int
    read_at: float
    horizon: float | None
    jumpstart: SeedMean
    area: SeedMean | None
    ratio: SeedMean | None
    end: SeedMean
    averaged: tuple[int, int]
    rising: bool | None
    baseline_rising: bool | None
    own_stuck: int
    stuck: int
    p: float | None = None

    @property
    def is_negative(self) -> bool:
        """Whether it ends below from scratch beyond chance between seeds although it learnt and had its time."""
        had_its_time = self.rising is False and not self.own_stuck
        return self.end.mean < 0 and self.p is not None and self.p < LEVEL and had_its_time


def transfer_rows(record: ComparisonRecord, x: XAxis = "epoch") -> list[TransferRow]:
    """Rows of every pretrained strategy that shares finished seeds with from scratch, in the order of the groups."""
    groups = groups_of(record)
    pairs = [(group, baseline_of(group, groups)) for group in groups if group.entry.needs_weights]
    chance, ratio = chance_of(record), validation_ratio(record)
    rows = [_row(group, baseline, x, chance, ratio) for group, baseline in pairs if baseline is not None]
    found = [row for row in rows if row is not None]
    tested = [row.end.p for row in found if row.end.p is not None]
    adjusted = iter(holm(tested))
    return [row if row.end.p is None else replace(row, p=next(adjusted)) for row in found]


def baseline_of(group: Group, groups: Sequence[Group]) -> Group | None:
    """The random start to hold against: on the group's own network, else on another; the plain one before variants."""
    known = [g for g in groups if g.fraction == group.fraction and not g.entry.needs_weights]
    known = [g for g in known if g.model == group.model] or [g for g in known if g.other_network]
    return next((g for g in known if g.strategy == FROM_SCRATCH), known[0] if known else None)


def chance_of(record: ComparisonRecord) -> float:
    """Accuracy of always naming the largest class of the validation images; 1/K where they are not known.

    Of equal classes the two are the same; of unequal ones, 1/K would count guessing as learning.
    """
    counts = [matrix.counts for run in record.runs if (matrix := run.confusion.get("val")) is not None]
    shares = [max(map(sum, rows)) / sum(map(sum, rows)) for rows in counts if any(map(sum, rows))]
    return fmean(shares) if shares else 1 / max(1, record.dataset.num_classes)


def _row(group: Group, baseline: Group, x: XAxis, chance: float, drawn: float) -> TransferRow | None:
    """drawn: as of `validation_ratio`."""
    pairs = _pairs(group, baseline, x)
    if not pairs:
        return None
    starts = [jumpstart(path, other) for _, path, _, other in pairs]
    area, ratio, horizon = _areas(pairs, chance, drawn)
    counts = [last_evaluations(len(path.x)) for _, own, _, other in pairs for path in (own, other)]
    return TransferRow(
        group=group,
        baseline=baseline,
        num_seeds=len(pairs),
        read_at=fmean(at for at, _ in starts),
        horizon=horizon,
        jumpstart=seed_mean([gain for _, gain in starts], DIFFERENCES, drawn),
        area=area,
        ratio=ratio,
        end=seed_mean([path.end - other.end for _, path, _, other in pairs], DIFFERENCES, drawn),
        averaged=(min(counts), max(counts)),
        rising=still_rising([run for run, *_ in pairs]),
        baseline_rising=still_rising([run for _, _, run, _ in pairs]),
        own_stuck=_stuck([run for run, *_ in pairs]),
        stuck=_stuck([run for _, _, run, _ in pairs]),
    )


def _stuck(runs: Sequence[RunRecord]) -> int:
    return sum(run.outcome is not None and run.outcome.did_not_learn for run in runs)


def _pairs(group: Group, baseline: Group, x: XAxis) -> list[Pair]:
    """Run and path of both for each seed that both have finished."""
    others = {run.spec.seed: run for run in baseline.finished}
    found = []
    for run in group.finished:
        other = others.get(run.spec.seed)
        path, second = path_of(run, x), path_of(other, x) if other else None
        if path is not None and other is not None and second is not None:
            found.append((run, path, other, second))
    return found


def _areas(pairs: Sequence[Pair], chance: float, drawn: float) -> tuple[SeedMean | None, SeedMean | None, float | None]:
    """Difference of the mean accuracies above chance, their ratio, and the horizon as mean over seeds."""
    horizons = [common_horizon(path, other) for _, path, _, other in pairs]
    known = [end for end in horizons if end is not None]
    if len(known) < len(pairs):
        return None, None, None
    own = [height(path, chance, end) for (_, path, _, _), end in zip(pairs, known, strict=True)]
    base = [height(other, chance, end) for (_, _, _, other), end in zip(pairs, known, strict=True)]
    gains = [first - second for first, second in zip(own, base, strict=True)]
    images = fmean(run.outcome.val.num_images for _, _, run, _ in pairs if run.outcome)
    noise = Z95 * sqrt(chance * (1 - chance) / images)  # of one evaluation that guesses
    ratio = ratio_of_means(gains, base, drawn) if fmean(base) > noise else None
    return seed_mean(gains, DIFFERENCES, drawn), ratio, fmean(known)

"""Where the time of finished runs went, part by part, and what would make the largest part smaller."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal, NamedTuple

from tlcore.analysis.groups import WHOLE, Group, groups_of, name_of, panels, percent
from tlcore.results import CROWDED, ComparisonRecord, RunOutcome, TimePart

PartName = TimePart | Literal["other"]
SMALLER = "a smaller network or image size makes it shorter"
SLOWED = "Other programs used the processor meanwhile: without them, all of it takes less."
SMALL = 0.5  # seconds of the largest part below which no advice is worth its reading


class PartWords(NamedTuple):
    """label: of the part. advice: what makes it smaller; empty where nothing that a user sets does.

    random_start: the advice where all layers have to train, as they begin at random; empty where it is the same.
    """

    label: str
    advice: str = ""
    random_start: str = ""


PARTS: dict[PartName, PartWords] = {
    "network": PartWords("Building the network and its weights"),
    "decode": PartWords(
        "Decoding images", "decoded images are kept: other runs on this dataset and image size need not wait for it"
    ),
    "features": PartWords("Features of all images", "features are kept: other runs with this network start from them"),
    "fit": PartWords("Fitting the classifier", "a single C instead of a search over several makes it shorter"),
    "augment": PartWords(
        "Reading and augmenting", "a plainer augmentation (flip, none) or a smaller image size makes it shorter"
    ),
    "forward": PartWords("Forward pass", SMALLER),
    "backward": PartWords("Backward pass", "training fewer layer groups, or the head alone, makes it shorter", SMALLER),
    "optimizer": PartWords("Optimiser", "a larger batch takes fewer of these steps"),
    "evaluation": PartWords("Validation", "it comes once per epoch; fewer validation images make it shorter"),
    "checkpoint": PartWords("Checkpoints", "a faster disk for the home folder makes it shorter"),
    "logging": PartWords("Progress and MLflow", "a local MLflow store on a fast disk makes it shorter"),
    "scoring": PartWords("Final scores on all parts"),
    "other": PartWords("Anything else"),
}
EXPLAINED = (
    "Mean seconds per run from when its worker has opened the dataset to its outcome, of a tuned run with all its "
    "trials. Waiting in the queue, the start of a new worker (some 5 seconds, once for many runs) and the upload of "
    "its files are not among them. On a GPU a batch is made during the backward pass or "
    "the optimiser's step of the one before it, and counts as part of that; reading and augmenting is what steps "
    "waited for. Decoding and features are done once and kept, so only the run that came first pays for them here (the "
    "training time of the tables charges features to each run that uses them). Images per second are those of training "
    "steps, or where there are no steps of making the features, when they were made."
)


@dataclass(frozen=True)
class TimeShares:
    """Mean seconds of the finished runs of one group, in the order of `PARTS`. pace: images per second.

    runs: so many were measured. crowded: the ones that other programs slowed.
    """

    group: Group
    seconds: dict[PartName, float]
    pace: float | None
    runs: int
    crowded: int = 0

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    @property
    def largest(self) -> PartName:
        """The part that took most of what is named."""
        return max((part for part in self.seconds if part != "other"), key=lambda part: self.seconds[part])


def time_shares(record: ComparisonRecord) -> list[TimeShares]:
    """One per model, strategy and fraction with a finished run that was measured; older runs are left out."""
    found = []
    for group in groups_of(record):
        known = [run.outcome for run in group.finished if run.outcome is not None and run.outcome.seconds_by_part]
        if known:
            paces = [o.images_per_second for o in known if o.images_per_second is not None]
            crowded = sum(any(note.startswith(CROWDED) for note in outcome.notes) for outcome in known)
            found.append(TimeShares(group, _means(known), median(paces) if paces else None, len(known), crowded))
    return found


def time_sentences(shares: Sequence[TimeShares]) -> list[str]:
    """What holds each one back on the most training data, and what would help, where something that a user sets would.

    Every part of the training images has the same budget, so that the others would only repeat it.
    """
    groups = [each.group for each in shares]
    most = max((group.fraction for group in groups), default=WHOLE)
    lines = []
    for each in shares:
        seconds, words = each.seconds[each.largest], PARTS[each.largest]
        if seconds >= SMALL and each.group.fraction == most:
            said = words.advice if each.group.entry.needs_weights else words.random_start or words.advice
            advice = f": {said}" if said else ""
            name, share = name_of(each.group, groups), percent(seconds / each.total, 0)
            slowed = f" {SLOWED}" if each.crowded else ""
            lines.append(f"{name}: {share} of {each.total:.1f} s in “{words.label}”{advice}.{slowed}")
    return lines


def time_tables(record: ComparisonRecord, shares: Sequence[TimeShares]) -> list[tuple[str, list[dict[str, str]]]]:
    """A table for each panel of the curves with something to show, by its title. shares: of the record."""
    tables = []
    for place in panels(record):
        here = [s for s in shares if s.group.fraction == place.fraction]
        mine = [s for s in here if s.group.model == place.model or s.group.other_network]
        tables += [(place.title, time_table(mine))] if mine else []
    return tables


def time_table(shares: Sequence[TimeShares]) -> list[dict[str, str]]:
    """A row per part that took any time, a column per group: seconds and share of the whole."""
    groups = [each.group for each in shares]
    rows = [
        {"Part": words.label, **{name_of(each.group, groups): _cell(each, part) for each in shares}}
        for part, words in PARTS.items()
        if any(each.seconds.get(part, 0.0) > 0 for each in shares)
    ]
    whole = {"Part": "All", **{name_of(each.group, groups): f"{each.total:.2f} s" for each in shares}}
    paces = {name_of(each.group, groups): "–" if each.pace is None else f"{each.pace:,.1f}" for each in shares}
    return [*rows, whole, {"Part": "Images per second", **paces}]


def _cell(shares: TimeShares, part: PartName) -> str:
    seconds = shares.seconds.get(part, 0.0)
    if 0 < seconds < 0.005:
        return "< 0.01 s"
    return f"{seconds:.2f} s ({percent(seconds / shares.total, 0)})" if seconds else "–"


def _means(outcomes: Sequence[RunOutcome]) -> dict[PartName, float]:
    named: dict[PartName, float] = {
        part: fmean(o.seconds_by_part.get(part, 0.0) for o in outcomes) for part in PARTS if part != "other"
    }
    whole = fmean(o.total_seconds for o in outcomes)
    return {**named, "other": max(0.0, whole - sum(named.values()))}

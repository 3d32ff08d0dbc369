"""The verdict in plain language: sentences for the page, the report and the command line."""

from collections.abc import Sequence
from statistics import fmean

from tlcore.analysis.floors import floors_of
from tlcore.analysis.groups import Group, fraction_words, in_words, name_of, percent, several_models
from tlcore.analysis.statistics.estimates import Paired
from tlcore.analysis.statistics.multiplicity import LEVEL
from tlcore.analysis.verdict.decision import Decision, Rival
from tlcore.analysis.verdict.readiness import diverged_runs
from tlcore.analysis.verdict.reasons import PLURAL, REASONS, TOO_EARLY, reason_of
from tlcore.results import ENDED

MAX_NAMES = 3  # that a sentence lists; the table has them all
SIGN_FLIP_SEEDS = 6  # fewer can never show p < .05 by their signs alone: the least is 2 / 2^n
ENDS = {
    ("FAILED",): "failed", ("KILLED",): "{were} cancelled", ("FAILED", "KILLED"): "failed or {were} cancelled",
}  # fmt: skip


def text_of(found: Decision) -> str:
    """Who to choose, by how much and how surely, in a few sentences."""
    if found.leader is None:
        ended = found.record.status in ENDED
        return f"No run has finished{'' if ended else ' yet'}: there is nothing to compare."
    parts = (
        _headline, _rising, _untrained, _cheapest, _behind, _not_judged, _without_result, _no_better_than_guessing,
        _look,
    )  # fmt: skip
    sentences = [part(found) for part in parts]
    return " ".join(sentence for sentence in sentences if sentence)


def claim_of(found: Decision) -> str:
    """What the intervals speak of: networks or strategies, and by which variation."""
    if found.leader is None:
        return ""
    seeds = _seeds(found)
    if seeds == 1:
        return (
            "One seed: the intervals cover the choice of test images only. They speak of these trained networks, not "
            "of the strategies: another seed can turn a small difference round."
        )
    if not found.record.spec.split_plan.is_fixed:
        return f"{seeds} seeds, each with its own test images: the intervals cover both, as one spread over the seeds."
    both = f"{seeds} seeds: the intervals cover the choice of test images and the chance in training"
    if seeds < SIGN_FLIP_SEEDS:
        return (
            f"{both}, which {seeds} seeds show only roughly: {seeds} equal signs alone would be chance in 1 of "
            f"{2 ** (seeds - 1)} cases, so most of the evidence comes from the test images."
        )
    return f"{both}: they speak of the strategies on such images."


def gap_of(paired: Paired, sign: int = 1) -> str:
    """`2.1 points (95 % interval 0.8 to 3.4)`. sign: −1 for the second against the first."""
    estimate = paired.estimate
    ends = sorted(100 * sign * end for end in estimate.interval) if estimate.interval else None
    size = f"{_signed(100 * sign * estimate.mean)} points"
    return f"{size} (95 % interval {_signed(ends[0])} to {_signed(ends[1])})" if ends else size


def points(share: float) -> str:
    """`1 point`, `0.5 points`: accuracy in [0, 1] as points."""
    number = f"{100 * share:.3g}"
    return f"{number} point{'' if number == '1' else 's'}"


def _seeds(found: Decision) -> int:
    """Seeds behind the weakest of the leader's comparisons; its own where there is none."""
    paired = [len(rival.contrast.paired.seeds) for rival in found.rivals if rival.contrast is not None]
    return min(paired, default=len(_the_leader(found).finished))


def _headline(found: Decision) -> str:
    leader, score = _leader(found), percent(found.mean)
    at = f"at a budget of {found.record.spec.budget}{_on(found)}"
    if found.status == "nothing learnt":
        stuck = f"even the highest, {leader} ({score}), did not learn"
        diverged = diverged_runs(_the_leader(found), found.record.dataset.num_classes)
        remedy = "a lower learning rate: the training loss rose" if diverged else "more time, or another learning rate"
        return f"Nothing to judge {at}: {stuck}. Give {remedy}."
    if found.status == "alone":
        return f"{leader} has {score} of the test images right {at}; there is nothing to judge it by."
    if found.status == "winner" and _seeds(found) == 1:
        second = next(rival for rival in found.rivals if rival.is_judged)
        return (
            f"Of these networks, that of {leader} is the best {at}: {score} of the test images right, "
            f"{_lead(found, second)}.{_small(found, second)}"
        )
    if found.status == "winner":
        second = next(rival for rival in found.rivals if rival.is_judged)
        return f"{leader} wins {at}: {score} of the test images right, {_lead(found, second)}.{_small(found, second)}"
    names = _listed([_lead(found, rival) for rival in found.contenders[:MAX_NAMES]], len(found.contenders))
    if found.status == "tie":
        return f"A tie {at}: {leader} has {score}, {names}; less than {points(found.margin)} counts as negligible."
    return f"Not distinguishable {at}: {leader} has {score}, {names}.{_correction(found)} {_needed(found)}"


def _on(found: Decision) -> str:
    """On which part of the training images, where there are several."""
    return f", with {fraction_words(_fraction(found))}" if len(found.record.spec.fractions) > 1 else ""


def _small(found: Decision, second: Rival) -> str:
    """Where the lead is beyond chance, but may be too small to matter."""
    interval = second.contrast.paired.estimate.interval if second.contrast is not None else None
    if interval is None or min(abs(end) for end in interval) >= found.margin:
        return ""
    sure = abs(second.contrast.paired.estimate.mean) >= found.margin if second.contrast is not None else False
    less = "may be" if sure else "is probably"
    return f" The lead is beyond chance, but it {less} less than the {points(found.margin)} set as what matters."


def _lead(found: Decision, rival: Rival) -> str:
    """`2.1 points (95 % interval 0.8 to 3.4) more than Fine-tuning`."""
    assert rival.contrast is not None
    return f"{gap_of(rival.contrast.paired, rival.sign)} more than {_name(found, rival.group)}"


def _correction(found: Decision) -> str:
    """Why an interval without 0 is no claim: it is that of its pair alone."""
    intervals = [r.contrast.paired.estimate.interval for r in found.contenders if r.contrast is not None]
    if not any(interval is not None and (interval[0] > 0 or interval[1] < 0) for interval in intervals):
        return ""
    if found.family == 1:
        p_value = found.contrasts[0].paired.p_value
        return f" The test gives p = {p_value:.2g}, so it is no claim."
    return f" Among {found.family} pairs, an interval without 0 may be chance, so it is no claim by itself."


def _needed(found: Decision) -> str:
    """What would settle it, in addition to what there is."""
    closest = next(r.contrast for r in found.contenders if r.relation != "negligible" and r.contrast is not None)
    assert found.needed is not None
    paired, needed = closest.paired, found.needed
    to_settle = f"a difference of {points(found.margin)}"
    more_seeds = 0 if needed.seeds is None else max(0, needed.seeds - len(paired.seeds))
    more_images = 0 if needed.images is None else max(0, needed.images - len(paired.differences[0]))
    ways = [f"{_rounded(more_seeds)} more seed{'' if more_seeds == 1 else 's'}"] if more_seeds else []
    ways += [f"{_rounded(more_images)} more test images"] if more_images else []
    settled = f"About {' or '.join(ways)} would settle {to_settle}." if ways else ""
    if len(paired.seeds) == 1:
        return f"{settled} More seeds would show how much of it is chance in training.".strip()
    if ways:
        return settled
    if needed.seeds is not None or needed.images is not None:
        return f"There are seeds and images enough to show {to_settle}: the true one is probably smaller."
    if not found.record.spec.split_plan.is_fixed:
        return f"No affordable number of seeds would settle {to_settle}: it takes more images."
    return f"Neither more seeds alone nor more test images alone would settle {to_settle}: it takes both."


def _cheapest(found: Decision) -> str:
    """Which of those that may be the best costs least."""
    if found.status not in {"tie", "unclear"}:
        return ""
    seconds = {_name(found, group): _seconds(group) for group in found.best}
    names = sorted(seconds, key=seconds.__getitem__)
    first, last = names[0], names[-1]
    if seconds[last] < 1.2 * seconds[first]:
        return ""
    return f"The cheapest of them is {first}: {_time(seconds[first])} of training a run, {last} {_time(seconds[last])}."


def _rising(found: Decision) -> str:
    return "It was itself still rising at the end." if found.leader_standing == "still rising" else ""


def _untrained(found: Decision) -> str:
    """The pretrained network without any training, where the leader is not clearly above it."""
    leader = _the_leader(found)
    known = [f for f in floors_of(found.record) if (f.name, f.fraction) == ("nearest_class_mean", leader.fraction)]
    best = max((f.test_accuracy for f in known if f.model == leader.model), default=None)
    if best is None or found.interval is None or best < found.interval[0]:
        return ""
    return (
        f"Training at all is not shown to pay: the pretrained network as it is (nearest class mean) has "
        f"{percent(best)}, and the leader's interval is {percent(found.interval[0])} to {percent(found.interval[1])}."
    )


def _behind(found: Decision) -> str:
    """A winner's runner-up is in the headline already."""
    named = found.behind[1:] if found.status == "winner" else found.behind
    if not named:
        return ""
    subject = "It" if found.status == "winner" else _name(found, _the_leader(found))
    beaten = [
        f"{_name(found, r.group)} by {gap_of(r.contrast.paired, r.sign)}" for r in named if r.contrast is not None
    ]
    return f"{subject} beats {_listed(beaten[:MAX_NAMES], len(beaten))}."


def _not_judged(found: Decision) -> str:
    """One sentence for each reason."""
    sentences = []
    for reason in REASONS:
        named = [rival for rival in found.unjudged if reason_of(found, rival) == reason]
        names = [f"{_name(found, rival.group)} ({percent(rival.mean)})" for rival in named]
        verb = "was not given enough time to judge" if reason in TOO_EARLY.values() else "is not judged"
        said = f"{verb}: {reason}."
        if len(names) > 1:
            for one, several in PLURAL.items():
                said = said.replace(one, several)
        sentences += [f"{_listed(names[:MAX_NAMES], len(names))} {said}"] if names else []
    return " ".join(sentences)


def _without_result(found: Decision) -> str:
    """One sentence for each way in which all runs of a strategy ended."""
    sentences = []
    for ends, why in ENDS.items():
        named = [group for group in found.without_result if {run.status for run in group.runs} == set(ends)]
        if named:
            names = _listed([_name(found, group) for group in named[:MAX_NAMES]], len(named))
            has, its = ("has", "its") if len(named) == 1 else ("have", "their")
            runs, were = ("run", "was") if sum(len(group.runs) for group in named) == 1 else ("runs", "were")
            sentences.append(f"{names} {has} no result: {its} {runs} {why.format(were=were)}.")
    return " ".join(sentences)


def _no_better_than_guessing(found: Decision) -> str:
    """Who learnt something, and still has no more right than the name of the largest class would."""
    largest = [f for f in floors_of(found.record) if f.name == "majority_class" and f.fraction == _fraction(found)]
    floor = max((f.test_accuracy for f in largest), default=0.0)
    means = {_name(found, _the_leader(found)): found.mean, **{_name(found, r.group): r.mean for r in found.rivals}}
    late = {_name(found, r.group) for r in found.unjudged}
    names = [name for name, mean in means.items() if mean <= floor and name not in late]
    if not names:
        return ""
    verb = "is" if len(names) == 1 else "are"
    return (
        f"{_listed(names[:MAX_NAMES], len(names))} {verb} no better than always naming the largest class "
        f"({percent(floor)})."
    )


def _fraction(found: Decision) -> float:
    return _the_leader(found).fraction


def _look(found: Decision) -> str:
    if found.level == LEVEL:
        return ""
    return (
        f"Seeds were added after looking, so this look, number {found.record.looks}, needs p below {found.level:.2g} "
        f"instead of {LEVEL:g}, and a tie needs an interval of {100 * (1 - found.level):.4g} % within the margin."
    )


def _the_leader(found: Decision) -> Group:
    assert found.leader is not None
    return found.leader


def _leader(found: Decision) -> str:
    leader = _the_leader(found)
    words = in_words(leader.entry)
    return f"{leader.model_name} / {words}" if several_models(_all(found)) else words


def _name(found: Decision, group: Group) -> str:
    return name_of(group, _all(found))


def _all(found: Decision) -> list[Group]:
    return [_the_leader(found), *(rival.group for rival in found.rivals), *found.without_result]


def _seconds(group: Group) -> float:
    return fmean(run.outcome.train_seconds for run in group.finished if run.outcome is not None)


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:,.0f} s"


def _rounded(number: int) -> str:
    """To two digits: a plan is no measurement."""
    digits = max(0, len(str(number)) - 2)
    return f"{round(number, -digits):,}"


def _signed(number: float) -> str:
    return f"{round(number, 1) + 0.0:.1f}".replace("-", "−")


def _listed(names: Sequence[str], count: int = 0) -> str:
    """`a, b and c`; `a, b and 4 more` where there are more than the names."""
    if count > len(names):
        return f"{', '.join(names)} and {count - len(names)} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

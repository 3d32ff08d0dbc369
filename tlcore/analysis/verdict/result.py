"""The verdict of a whole comparison as the value of the JSON contract."""

from collections.abc import Sequence
from dataclasses import dataclass

from tlcore.analysis.differences import other_tests
from tlcore.analysis.groups import Group, groups_of, largest_fraction
from tlcore.analysis.statistics.estimates import Right
from tlcore.analysis.verdict.contrasts import Contrast
from tlcore.analysis.verdict.decision import Decision, decide
from tlcore.analysis.verdict.reasons import reason_of
from tlcore.analysis.verdict.words import claim_of, text_of
from tlcore.results import DEFAULT_MARGIN, ENDED, ComparisonRecord, NotJudged, PairResult, Verdict


@dataclass(frozen=True)
class Judged:
    """The verdict as the contract has it, and the decision behind it; None where the runs cannot be compared."""

    verdict: Verdict
    decision: Decision | None


def verdict_of(record: ComparisonRecord, right: Right, margin: float = DEFAULT_MARGIN) -> Verdict:
    """The verdict of `judged`."""
    return judged(record, right, margin).verdict


def judged(record: ComparisonRecord, right: Right, margin: float = DEFAULT_MARGIN) -> Judged:
    """Over the whole grid on the most training data, and within each model where there are several.

    All that is claimed errs together at most as often as the level says: the pairs within the models are among those of
    the grid, so they are taken as corrected and pooled there (Holm over all pairs), and a pair has one p-value and one
    interval wherever it is shown. A network on which only the random start ran has no verdict within it.

    right: as of `all_right`. margin: accuracy in [0, 1] below which a difference does not matter. None is named where
    strategies met other test images.
    """
    groups = _largest(record)
    apart = other_tests([run for group in groups for run in group.finished])
    if apart is not None:
        text = f"Not compared: {apart}."
        return Judged(Verdict(text=text, best=(), distinguishable=False, status="not compared", margin=margin), None)
    models = list(dict.fromkeys(group.model for group in groups))
    decision = decide(record, groups, right, margin)
    verdict = _verdict(decision, several=len(models) > 1)
    if len(models) > 1:
        own = {model: [g for g in groups if g.model == model and not g.other_network] for model in models}
        within = {
            model: _verdict(decide(record, mine, right, margin, decision.contrasts), several=False)
            for model, mine in own.items()
            if mine
        }
        verdict = verdict.model_copy(update={"by_model": within})
    return Judged(verdict, decision)


def _largest(record: ComparisonRecord) -> list[Group]:
    groups = groups_of(record)
    largest = largest_fraction(groups)
    return [group for group in groups if group.fraction == largest]


def _verdict(found: Decision, several: bool) -> Verdict:
    needed = found.needed
    return Verdict(
        text=text_of(found),
        best=tuple(_reference(group, several) for group in found.best),
        distinguishable=found.status == "winner" and all(len(c.paired.seeds) > 1 for c in found.contrasts),
        status=found.status,
        provisional=found.record.status not in ENDED,
        margin=found.margin,
        level=found.level,
        looks=found.record.looks,
        claim=claim_of(found),
        not_judged=tuple(
            NotJudged(name=_reference(rival.group, several), reason=reason_of(found, rival)) for rival in found.unjudged
        ),
        needed_seeds=needed.seeds if needed else None,
        needed_test_images=needed.images if needed else None,
        pairs=_pairs(found.contrasts, several),
    )


def _pairs(contrasts: Sequence[Contrast], several: bool) -> tuple[PairResult, ...]:
    return tuple(
        PairResult(
            first=_reference(contrast.first, several),
            second=_reference(contrast.second, several),
            difference=contrast.paired.estimate.mean,
            ci95=contrast.paired.estimate.interval,
            p_value=contrast.paired.p_value,
            p_adjusted=contrast.p_adjusted,
            level=contrast.level,
            relation=contrast.relation,
            basis=contrast.paired.estimate.basis,
            num_seeds=len(contrast.paired.seeds),
            num_images=len(contrast.paired.differences[0]),
        )
        for contrast in contrasts
    )


def _reference(group: Group, several: bool) -> str:
    return f"{group.model} / {group.strategy}" if several else group.strategy

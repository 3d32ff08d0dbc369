"""Every pair behind a verdict, as a table for people."""

from tlcore.analysis.groups import p_words
from tlcore.analysis.verdict.words import points
from tlcore.results import ComparisonRecord, PairResult, Verdict

RELATIONS = {"better": "better", "worse": "worse", "negligible": "no difference that matters", "unclear": "not settled"}


def pair_rows(record: ComparisonRecord, verdict: Verdict) -> list[dict[str, object]]:
    """One row per pair, the higher mean first. Interval: of the pair by itself, 95 %.

    What makes a claim stands in a column of its own where pairs were looked at more or less often.
    """
    own = len({pair.level for pair in verdict.pairs}) > 1
    return [{**_row(record, pair), **({"Claim below": f"{pair.level:.2g}"} if own else {})} for pair in verdict.pairs]


def pairs_note(verdict: Verdict) -> str:
    """What the columns of `pair_rows` are."""
    count = len(verdict.pairs)
    levels = {pair.level for pair in verdict.pairs}
    below = (
        "the level in its row, that of the last look which brought the pair seeds"
        if len(levels) > 1
        else (f"{next(iter(levels), verdict.level):.2g}")
    )
    models = ", those within each model and those between models together" if verdict.by_model else ""
    return (
        f"Interval: 95 %, not corrected for the number of pairs. p: how often chance alone would show such a "
        f"difference or a larger one; corrected for {count} pair{'' if count == 1 else 's'} (Holm){models}, it is a "
        f"claim below {below}. With several strategies and seeds on the same test images, what seeds add "
        f"to the uncertainty is pooled over the pairs. Strategies that did not learn are left out. A difference "
        f"within {points(verdict.margin)} does not matter."
    )


def _row(record: ComparisonRecord, pair: PairResult) -> dict[str, object]:
    return {
        "First": _name(record, pair.first),
        "Second": _name(record, pair.second),
        "First − second (points)": _points(pair.difference),
        "95 % interval (points)": " to ".join(_points(end) for end in pair.ci95) if pair.ci95 else "–",
        "p": p_words(pair.p_value),
        "p, corrected": p_words(pair.p_adjusted),
        "The first is": RELATIONS[pair.relation],
        "Seeds": pair.num_seeds,
    }


def _name(record: ComparisonRecord, reference: str) -> str:
    model, slash, strategy = reference.rpartition(" / ")
    return f"{model}{slash}{record.spec.entry(strategy).short_label}"


def _points(share: float) -> str:
    return f"{round(100 * share, 1) + 0.0:+.1f}".replace("-", "−")

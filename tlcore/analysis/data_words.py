"""How much data, as people read it: a table of errors by training images, and a sentence for each finding."""

from collections.abc import Sequence
from math import log10

from tlcore.analysis.crossovers import Crossover, crossovers
from tlcore.analysis.data_amounts import Extrapolation, Refusal, Series, data_series, extrapolate
from tlcore.analysis.groups import Group, in_words, percent
from tlcore.analysis.statistics.estimates import Right
from tlcore.results import ComparisonRecord

EXPLAINED = (
    "Every part of the training images got the same budget, so what trains step by step saw fewer images more often: "
    "what changes along the axis is the number of different images. Twice the images: a power law, error = a·n^(−b), "
    "fitted to each seed (Hestness et al. 2017); it bends near guessing and near the error that no data removes, so it "
    "is not carried further than twice."
)
TO_SEE_MORE = "One amount of training images was used: add --fractions 0.25,0.5,1 to see what more images bring."


def data_rows(series: Sequence[Series]) -> list[dict[str, object]]:
    """One row for each strategy (and model, where there are several) and amount."""
    several = len({each.group.model for each in series}) > 1
    return [
        {
            **({"Model": each.group.model_name} if several else {}),
            "Strategy": each.group.entry.label,
            "Training images": round(amount.images),
            "Seeds": len(amount.by_seed),
            "Test error (%)": round(100 * amount.error, 1),
            "95 % interval (%)": "–" if amount.interval is None else _span(amount.interval),
        }
        for each in series
        for amount in each.amounts
    ]


def data_sentences(record: ComparisonRecord, right: Right, series: Sequence[Series] | None = None) -> list[str]:
    """Crossovers and what was left out of them, then what twice the images would bring, or why that cannot be said.

    series: where it is at hand.
    """
    found = data_series(record, right) if series is None else series
    if all(len(each.amounts) < 2 for each in found):
        return [TO_SEE_MORE]
    groups = [each.group for each in found]
    crossed = [crossing_words(each, groups) for each in crossovers(record, found, right)]
    none = ["No strategy overtakes another between the amounts of training images that were tried."]
    return [
        *(crossed or none),
        *_stuck_words(found, groups),
        *(extrapolation_words(extrapolate(each), groups) for each in found),
    ]


def crossing_words(found: Crossover, among: Sequence[Group]) -> str:
    """Who overtakes whom, between which amounts, and how sure that is."""
    verb = "overtakes" if found.is_clear else "may overtake"
    around = f", at about {_images(found.images)}"
    if found.range:
        around += f" ({_number(found.range[0])} to {_number(found.range[1])} where seeds are drawn again)"
    sure = (
        "each side is beyond chance on its own (95 % intervals of the paired differences, not corrected for the number "
        "of pairs)"
        if found.is_clear
        else "on at least one side the difference is within chance"
    )
    return (
        f"{_name(found.after, among)} {verb} {_name(found.before, among)} between {_number(found.fewer)} and "
        f"{_images(found.more)}{around}: {sure}."
    )


def extrapolation_words(found: Extrapolation | Refusal, among: Sequence[Group]) -> str:
    """`Twice the images would bring …`, with its uncertainty; or why that is not said."""
    name = _name(found.series.group, among)
    if isinstance(found, Refusal):
        return f"{name}: no word on twice the images, as {found.reason}."
    now = found.series.amounts[-1]
    two = "; two amounts do not show whether the law fits" if len(found.series.amounts) == 2 else ""
    unclear = ", so these runs do not tell whether it brings anything" if found.interval[1] >= now.error else ""
    return (
        f"{name}: twice the images ({_number(found.images)}) would bring the test error from {percent(now.error)} to "
        f"about {percent(found.error)} (95 % interval {_span(found.interval)} %, over {found.covers}{two}), "
        f"b = {found.exponent:.2f}{unclear}."
    )


def _stuck_words(series: Sequence[Series], among: Sequence[Group]) -> list[str]:
    """Which amounts are not looked at for who overtakes whom."""
    stuck = [(each.group, [_number(amount.images) for amount in each.amounts if amount.stuck]) for each in series]
    said = [f"{_name(group, among)} ({', '.join(images)} images)" for group, images in stuck if images]
    return [f"Left out of who overtakes whom, as runs there learnt nothing: {'; '.join(said)}."] if said else []


def _name(group: Group, among: Sequence[Group]) -> str:
    models = len({each.model for each in among}) > 1
    return f"{group.model_name} / {in_words(group.entry)}" if models else in_words(group.entry)


def _images(count: float) -> str:
    return f"{_number(count)} images"


def _number(count: float) -> str:
    """Three figures are enough of a number that was estimated: 1,164 is exact, 12,345 is 12,300."""
    digits = max(0, int(log10(max(count, 1))) - 3)
    return f"{round(count, -digits):,.0f}"


def _span(interval: tuple[float, float]) -> str:
    return f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"

"""Transfer measures as people read them: tables with units, and a sentence for each finding."""

from collections.abc import Sequence
from math import isinf

from tlcore.analysis.curves import XAxis
from tlcore.analysis.groups import (
    Group,
    fraction_words,
    in_words,
    minus,
    name_of,
    p_words,
    percent,
    several_fractions,
    several_models,
)
from tlcore.analysis.statistics.over_seeds import SeedMean
from tlcore.analysis.transfer.rows import TransferRow
from tlcore.analysis.transfer.thresholds import Reached

ADD_FROM_SCRATCH = (
    "Transfer is measured against from scratch, which starts from random weights: run this comparison again with the "
    "strategy From scratch beside the others (--strategy from_scratch)."
)
EXPLAINED = (
    "All on validation images, minus from scratch, paired by seed. Higher start (jumpstart): the accuracy at the first "
    "moment at which both had been evaluated. Higher slope: the mean accuracy up to where both were followed (the area "
    "under the curve above guessing, divided by its length). A curve begins at guessing, which is always naming the "
    "largest class; a fit in one pass is at guessing until its pass is paid for, and stays as it is afterwards. "
    "Transfer ratio: that gain over from scratch's own mean above guessing; not defined where the latter may be none. "
    "Higher end (asymptote): the mean of the last evaluations, three, or fewer where that is more than half of them; "
    "“still rises” where the last third of the steps gained more than a point and more than chance, or the validation "
    "loss fell there by more than a tenth. In brackets: 95 % interval over seeds, of points cut at ±100, as no two "
    "accuracies are further apart. Where seeds draw their validation images, these overlap, and the interval is wider "
    "for it (corrected resampled t, Nadeau & Bengio 2003); where the dataset brings its own, it speaks of other seeds, "
    "not of other images. p: of the end, corrected for the number of rows (Holm)."
)
REACHED_EXPLAINED = (
    "Each column is an accuracy on the way from guessing to the best of this comparison, reached at the first "
    "evaluation with it: the median over seeds, in which those that never had it still wait (Kaplan–Meier). “>”: fewer "
    "than half of the seeds had it when they ended, so it takes longer. “Never”: fitted in one pass, so nothing more "
    "was to come."
)
NOT_YET = "No seed has finished both from scratch and a strategy that starts from pretrained weights."


def amount_words(value: float, x: XAxis) -> str:
    """`2 epochs`, `1,164 images`, `12.3 s`."""
    if x == "train_seconds":
        return f"{value:.3g} s" if value < 100 else f"{value:,.0f} s"
    shown = f"{round(value, 1):g}" if x == "epoch" else f"{value:,.0f}"
    noun = "epoch" if x == "epoch" else "image"
    return f"{shown} {noun}{'' if shown == '1' else 's'}"


def transfer_table(rows: Sequence[TransferRow], x: XAxis = "epoch") -> list[dict[str, object]]:
    """The rows with their intervals in brackets; model and data only where they vary."""
    groups = [group for row in rows for group in (row.group, row.baseline)]
    return [
        {
            "Strategy": row.group.entry.label,
            **_where(row.group, row.group.model, groups),
            "Against": _against(row),
            "Seeds": row.num_seeds,
            "Higher start (points)": _points(row.jumpstart),
            "read at": amount_words(row.read_at, x),
            "Higher slope (points)": _points(row.area),
            "up to": "–" if row.horizon is None else amount_words(row.horizon, x),
            "Transfer ratio": _ratio(row.ratio),
            "Higher end (points)": _points(row.end),
            "Still rises": _rising(row),
            "p of the end (Holm)": "–" if row.p is None else p_words(row.p),
        }
        for row in rows
    ]


def threshold_table(rows: Sequence[Reached], x: XAxis = "epoch") -> list[dict[str, object]]:
    """One row for each group, one column for each threshold; where panels differ in accuracy, the cells say which."""
    groups = [row.group for row in rows]
    heights = {row.share: {round(r.accuracy, 6) for r in rows if r.share == row.share} for row in rows}
    found: dict[tuple[object, ...], dict[str, object]] = {}
    for row in rows:
        group = row.group
        key = (row.model, group.fraction, group.model, group.strategy)
        cells = found.setdefault(key, {"Strategy": group.entry.label, **_where(group, group.model_name, groups)})
        accuracy, alone = percent(row.accuracy), len(heights[row.share]) == 1
        heading = f"{accuracy if alone else 'threshold'} ({percent(row.share, 0)} of the way)"
        cells[heading] = wait_words(row, x) + ("" if alone else f", {accuracy}")
    return list(found.values())


def wait_words(row: Reached, x: XAxis) -> str:
    """`4.1 s`, `> 12 s (1 of 3 seeds)` or `never (0 of 3 seeds)`."""
    some = "" if row.seeds == row.num_seeds else f" ({row.seeds} of {row.num_seeds} seeds)"
    if row.median is not None:
        return f"{amount_words(row.median, x)}{some}"
    return f"never{some}" if isinf(row.followed) else f"> {amount_words(row.followed, x)}{some}"


def transfer_sentences(rows: Sequence[TransferRow], x: XAxis = "epoch") -> list[str]:
    """What the rows say: warnings first, then one sentence for each, its 95 % intervals over seeds in brackets."""
    groups = [group for row in rows for group in (row.group, row.baseline)]
    return [*_cautions(rows), *(_sentence(row, name_of(row.group, groups), x) for row in rows)]


def missing_words(groups: Sequence[Group]) -> str | None:
    """Why there is nothing to measure, or None where there may be."""
    if all(group.entry.needs_weights for group in groups):
        return ADD_FROM_SCRATCH
    return NOT_YET


def _cautions(rows: Sequence[TransferRow]) -> list[str]:
    lines = []
    stuck = {(row.baseline.model, row.baseline.fraction): (row.stuck, row.num_seeds) for row in rows}
    if any(count for count, _ in stuck.values()):
        name = in_words(rows[0].baseline.entry)
        lines.append(
            f"{name} learnt nothing in {sum(count for count, _ in stuck.values())} of "
            f"{sum(seeds for _, seeds in stuck.values())} runs: the measures stand against a network that guesses, so "
            "they say little about what transfer brings. Give it a larger budget or another learning rate."
        )
    lines += _own_stuck(rows)
    others = {row.baseline.model for row in rows if row.baseline.other_network}
    if others:
        lines.append(
            f"From scratch ran on {', '.join(sorted(others))}, another network: the measures hold the difference of "
            "the networks as well as that of the start."
        )
    lines += _still(rows)
    if rows and max(row.num_seeds for row in rows) < 2:
        lines.append("One seed: no interval over seeds, so nothing here can be told from chance.")
    return lines


def _own_stuck(rows: Sequence[TransferRow]) -> list[str]:
    """Whose low end is no answer about transfer."""
    groups = [group for row in rows for group in (row.group, row.baseline)]
    names = [f"{name_of(row.group, groups)} ({row.own_stuck} of {row.num_seeds} runs)" for row in rows if row.own_stuck]
    return [f"Learnt nothing, so where they end says nothing of transfer: {'; '.join(names)}."] if names else []


def _still(rows: Sequence[TransferRow]) -> list[str]:
    """Whose ends are none yet, or are not known to be."""
    groups = [group for row in rows for group in (row.baseline, row.group)]
    known = {name_of(g, groups): rising for row in rows for g, rising in _ends(row)}
    rising = [name for name, is_rising in known.items() if is_rising]
    unknown = [name for name, is_rising in known.items() if is_rising is None]
    lines = [f"Still rising where the runs ended, so no end yet: {'; '.join(rising)}."] if rising else []
    return lines + (
        [f"Evaluated once, which does not tell whether they still rise: {'; '.join(unknown)}."] if unknown else []
    )


def _ends(row: TransferRow) -> tuple[tuple[Group, bool | None], tuple[Group, bool | None]]:
    return (row.baseline, row.baseline_rising), (row.group, row.rising)


def _sentence(row: TransferRow, name: str, x: XAxis) -> str:
    """Start, slope and end of one strategy in one sentence."""
    said = f"{name} starts {_apart(row.jumpstart)} {row.baseline.entry.short_label} (at {amount_words(row.read_at, x)})"
    if row.area is not None and row.horizon is not None:
        said += f", is {_apart(row.area)} it on average up to {amount_words(row.horizon, x)}"
        said += minus(f" (transfer ratio {row.ratio.mean:+.2f})") if row.ratio else ""
    said += f", and ends {_apart(row.end)} it."
    if row.is_negative and row.p is not None:
        said += " Negative transfer: the end is below from scratch beyond chance between seeds"
        said += f" (p: {p_words(row.p)} after Holm)."
    return said


def _apart(measure: SeedMean) -> str:
    """`12.3 points (10.1 to 14.5) above`; an interval that holds 0 is said to."""
    side, sign = ("above", 100) if measure.mean >= 0 else ("below", -100)
    if measure.interval is None:
        return f"{sign * measure.mean:.1f} points {side}"
    low, high = sorted(sign * end for end in measure.interval)
    clear = "" if measure.differs else ", within chance"
    return f"{sign * measure.mean:.1f} points ({minus(f'{low:.1f} to {high:.1f}')}{clear}) {side}"


def _rising(row: TransferRow) -> str:
    ends = [(group.entry.short_label, rising) for group, rising in reversed(_ends(row))]
    rising = [name for name, is_rising in ends if is_rising]
    unknown = [f"{name}: not known" for name, is_rising in ends if is_rising is None]
    return ", ".join(rising + unknown) or "no"


def _points(measure: SeedMean | None) -> str:
    if measure is None:
        return "–"
    value = f"{100 * measure.mean:+.1f}"
    if measure.interval is None:
        return minus(value)
    return minus(f"{value} ({100 * measure.interval[0]:+.1f} to {100 * measure.interval[1]:+.1f})")


def _ratio(measure: SeedMean | None) -> str:
    if measure is None:
        return "not defined"
    if measure.interval is None:
        return minus(f"{measure.mean:+.2f}")
    return minus(f"{measure.mean:+.2f} ({measure.interval[0]:+.2f} to {measure.interval[1]:+.2f})")


def _against(row: TransferRow) -> str:
    other = f" on {row.baseline.model_name}" if row.baseline.other_network else ""
    return f"{row.baseline.entry.short_label}{other}"


def _where(group: Group, model: str, among: Sequence[Group]) -> dict[str, object]:
    models = {"Model": model} if several_models(among) else {}
    return {**models, **({"Training data": fraction_words(group.fraction)} if several_fractions(among) else {})}

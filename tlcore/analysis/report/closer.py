"""The closer looks of a report: transfer, cost, amounts of data, where strategies differ, calibration."""

from collections.abc import Iterable, Sequence
from functools import partial

from tlcore.analysis.costs import EXPLAINED as COSTS_EXPLAINED
from tlcore.analysis.costs import cost_rows, cost_sentences
from tlcore.analysis.data_amounts import data_series
from tlcore.analysis.data_words import EXPLAINED as AMOUNTS_EXPLAINED
from tlcore.analysis.data_words import data_rows, data_sentences
from tlcore.analysis.floors import floors_of
from tlcore.analysis.groups import Group, groups_of, largest_fraction, name_of
from tlcore.analysis.images.calibration import EXPLAINED as CALIBRATION_EXPLAINED
from tlcore.analysis.images.calibration import calibration_rows, calibrations
from tlcore.analysis.images.changes import class_change_rows, class_changes
from tlcore.analysis.images.disagreement import agreement, agreement_rows, in_order
from tlcore.analysis.images.pairs import best_pair
from tlcore.analysis.leaderboard import LeaderboardRow
from tlcore.analysis.left_out import left_out_of, left_out_sentence
from tlcore.analysis.report.blocks import Block, Drawing, Grid, Heading, Lines, Section, Words
from tlcore.analysis.statistics.estimates import Predictions, Right
from tlcore.analysis.time_budgets import caution, reign_sentence, reign_table, reigns
from tlcore.analysis.time_parts import EXPLAINED as TIME_EXPLAINED
from tlcore.analysis.time_parts import time_sentences, time_shares, time_tables
from tlcore.analysis.transfer import EXPLAINED, missing_words, transfer_rows, transfer_sentences, transfer_table
from tlcore.analysis.verdict import Decision
from tlcore.results import ComparisonRecord


def transfer_section(record: ComparisonRecord) -> Section:
    """Against from scratch, by images seen: alike for strategies of any speed."""
    from tlcore.analysis import charts

    rows = transfer_rows(record, "images_seen")
    if not rows:
        return Section("What transfer brings", [Words(missing_words(groups_of(record)) or "Nothing is measured yet.")])
    table = Grid(transfer_table(rows, "images_seen"), ("Strategy", "Model", "Training data", "Against"))
    figure = Drawing(partial(charts.transfer_chart, rows, "images_seen"))
    most = max(row.group.fraction for row in rows)
    said = Lines(transfer_sentences([row for row in rows if row.group.fraction == most], "images_seen"))
    return Section("What transfer brings", [figure, said, table, Words(EXPLAINED, "muted")])


def cost_section(record: ComparisonRecord, rows: Sequence[LeaderboardRow], decision: Decision | None) -> Section:
    """Test accuracy against training time, and the best validation accuracy within any time."""
    from tlcore.analysis import charts

    left_out = left_out_of(record, decision)
    said = left_out_sentence(record, left_out)
    lines = [*cost_sentences(rows, left_out=left_out), *([said] if said else [])]
    blocks: list[Block] = [
        Drawing(partial(charts.pareto, rows, left_out=left_out, floors=floors_of(record))),
        Lines(lines),
    ]
    found = reigns(record, left_out)
    summary = reign_sentence(found, record)
    if summary:
        blocks += [
            Heading("The best within a time"),
            Words(summary),
            Grid(reign_table(found, record), ("From", "Best", "Runner-up")),
            Words(caution(record), "muted"),
        ]
    return Section("Cost", blocks)


def prices_section(rows: Sequence[LeaderboardRow]) -> Section:
    """What each row costs: time, memory, size and speed."""
    table = Grid(cost_rows(rows), ("Model", "Strategy", "Training data"))
    return Section("What each strategy costs", [table, Words(COSTS_EXPLAINED, "muted")])


def time_section(record: ComparisonRecord) -> Section:
    """Which part of the runs took how long; nothing but a sentence of runs that were not measured."""
    from tlcore.analysis import charts

    shares = time_shares(record)
    if not shares:
        return Section("Where the time went", [Words("It was not measured in these runs.")])
    tables = time_tables(record, shares)
    blocks: list[Block] = [Drawing(partial(charts.time_parts_chart, shares)), Lines(time_sentences(shares))]
    for title, rows in tables:
        blocks += [*([Heading(title)] if len(tables) > 1 else []), Grid(rows, tuple(rows[0]))]
    return Section("Where the time went", [*blocks, Words(TIME_EXPLAINED, "muted")])


def amounts_section(record: ComparisonRecord, right: Right) -> Section:
    """Error by training images, crossovers, and what twice the images would bring."""
    from tlcore.analysis import charts

    series = data_series(record, right)
    return Section(
        "How much data",
        [
            Drawing(partial(charts.data_amounts, series)),
            Lines(data_sentences(record, right, series)),
            Grid(data_rows(series), ("Model", "Strategy")),
            Words(AMOUNTS_EXPLAINED, "muted"),
        ],
    )


def differ_section(record: ComparisonRecord, predictions: Predictions) -> Iterable[Section]:
    """The best two class by class, and the images on which all disagree most."""
    from tlcore.analysis import charts

    pair = best_pair(record)
    if pair is not None and pair.runs:
        changes = class_changes(record, pair, predictions)
        yield Section(
            f"Where {pair.names[0]} and {pair.names[1]} differ",
            [
                Drawing(partial(charts.confusion_difference, record, pair), charts.difference_width(record)),
                Drawing(partial(charts.class_change_chart, changes, pair, "changes")),
                Grid(class_change_rows(changes, pair.names), ("Class", "Clear")),
            ],
        )
    runs = [run for group in _whole(record) for run in group.finished if run.run_id in predictions]
    if len(runs) > 1:
        table = agreement(runs, predictions)
        rows = agreement_rows(in_order(table, "disagreement"), record.dataset.classes)
        figure = Drawing(partial(charts.agreement_chart, table, "agreement"))
        yield Section("Images on which strategies disagree most", [figure, Grid(rows, ("Image", "True class"))])


def calibration_section(record: ComparisonRecord, predictions: Predictions) -> Section:
    """Whether the probabilities can be believed, as trained and after temperature scaling."""
    from tlcore.analysis import charts

    groups = _whole(record)
    found = calibrations({name_of(group, groups): group for group in groups}, predictions)
    width = charts.reliability_width(found)
    figures = [Drawing(partial(charts.reliability_diagrams, found, False, "reliability"), width)]
    blocks: list[Block] = [*figures] if any(one.before for one in found) else []
    blocks += [Words(f"{one.name}: {one.reason}") for one in found if one.reason]
    blocks += [Grid(calibration_rows(found), ("Strategy",)), Words(CALIBRATION_EXPLAINED, "muted")]
    return Section("Calibration", blocks)


def _whole(record: ComparisonRecord) -> list[Group]:
    """Groups with results on the most training data."""
    groups = groups_of(record)
    return [group for group in groups if group.finished and group.fraction == largest_fraction(groups)]

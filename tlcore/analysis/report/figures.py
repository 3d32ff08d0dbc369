"""The sections of a report that have figures, with the tables that go with them."""

from collections.abc import Iterable, Sequence
from functools import partial

from tlcore.analysis.anatomy import (
    GROUP_HELP,
    MOVED_HELP,
    kept_lines,
    not_recorded,
    phase_rows,
    recorded,
    subjects_of,
)
from tlcore.analysis.champions import champions, finished_runs
from tlcore.analysis.floors import floors_of
from tlcore.analysis.leaderboard import LeaderboardRow
from tlcore.analysis.report.blocks import Block, Drawing, Grid, Heading, Lines, Section, Words
from tlcore.analysis.report.closer import (
    amounts_section,
    calibration_section,
    cost_section,
    differ_section,
    prices_section,
    time_section,
    transfer_section,
)
from tlcore.analysis.statistics.estimates import Predictions, all_right
from tlcore.analysis.sweeps import sweeps_of
from tlcore.analysis.trials import trial_rows, tuning_words
from tlcore.analysis.verdict import Decision
from tlcore.results import ComparisonRecord


def figure_sections(
    record: ComparisonRecord,
    rows: Sequence[LeaderboardRow],
    predictions: Predictions,
    decision: Decision | None = None,
) -> Iterable[Section]:
    """Sections with what there is: before the first evaluation, none. decision: of the verdict, where there is one."""
    from tlcore.analysis import charts

    measured = any(row.test_accuracy is not None for row in rows)
    if measured:
        yield Section("Accuracy", [Drawing(partial(charts.accuracy_intervals, rows, floors=floors_of(record)))])
    for sweep in sweeps_of(record, rows):
        points = Grid(charts.sweep_rows(sweep), ("Model", "Training data", "Strategy", "From"))
        yield Section(f"Sweep: {sweep.name}", [Drawing(partial(charts.sweep_chart, sweep), charts.WIDE), points])
    if measured:
        yield cost_section(record, rows, decision)
        yield prices_section(rows)
        yield time_section(record)
    if any(run.history for run in record.runs):
        width = charts.curves_width(record)
        by_epoch = Drawing(partial(charts.learning_curves, record, "accuracy"), width)
        by_time = Drawing(partial(charts.learning_curves, record, "loss", "train_seconds"), width)
        yield Section("Learning curves", [by_epoch, by_time])
    if measured:
        yield transfer_section(record)
        if len(record.spec.fractions) > 1:
            yield amounts_section(record, all_right(predictions))
        yield Section("What each strategy really did", _anatomy(record))
        by_class = [
            Drawing(partial(charts.confusion_matrices, record), charts.CONFUSION_WIDTH),
            Drawing(partial(charts.per_class_chart, record)),
        ]
        yield Section("Class by class", by_class)
    if predictions:
        yield from differ_section(record, predictions)
        yield calibration_section(record, predictions)
    trials = trial_rows(finished_runs(record), record)
    if trials:
        said = Words(tuning_words(finished_runs(record)), "muted")
        yield Section("Tuning", [said, Grid(trials, ("Run", "Settings tried", "Chosen"))])


def _anatomy(record: ComparisonRecord) -> list[Block]:
    """Phases, layer groups and learning rates of the best run of each strategy, model by model."""
    from tlcore.analysis import charts

    blocks: list[Block] = [Words(f"The best seed of each strategy. {GROUP_HELP} {MOVED_HELP}", "muted")]
    everything = subjects_of(record, champions(record))
    for model in dict.fromkeys(subject.run.spec.model for subject in everything):
        subjects = [subject for subject in everything if subject.run.spec.model == model]
        known = recorded(subjects)
        missing = not_recorded(subjects)
        blocks += [Heading(model), *([Words(missing)] if missing else [])]
        if known:
            colors = {subject.entry.short_label: subject.entry.color for subject in known}
            blocks.append(Lines(kept_lines(known)))
            blocks.append(Grid(phase_rows(known), ("Strategy", "What trains", "Kept network"), colors))
            blocks.append(Drawing(partial(charts.trained_chart, known), charts.chart_width(known, by_phase=True)))
            blocks.append(Drawing(partial(charts.movement_chart, known), charts.chart_width(known, by_phase=False)))
        if any(point.learning_rates for subject in subjects for point in subject.run.history):
            blocks.append(Drawing(partial(charts.learning_rates, subjects), charts.WIDE))
    return blocks

"""A comparison as one file: HTML that needs nothing from outside, or JSON."""

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from tlcore.analysis.anatomy import (
    GROUP_HELP,
    MOVED_HELP,
    kept_lines,
    not_recorded,
    phase_rows,
    recorded,
    subjects_of,
)
from tlcore.analysis.caveats import caveats, command_of, loud
from tlcore.analysis.champions import champions, finished_runs
from tlcore.analysis.comparison import result_of, weights_text
from tlcore.analysis.differences import differences
from tlcore.analysis.findings import overfitting
from tlcore.analysis.floors import floors_of
from tlcore.analysis.groups import groups_of, in_words, percent
from tlcore.analysis.leaderboard import LeaderboardRow, leaderboard, leaderboard_table
from tlcore.analysis.report.parts import bullets, drawn, page, pairs_of, prose, section, table
from tlcore.analysis.statistics.estimates import Predictions
from tlcore.analysis.sweeps import sweeps_of
from tlcore.analysis.trials import trial_rows, tuning_words
from tlcore.results import ComparisonRecord, DatasetSummary
from tlcore.strategies import export_strategy


def report_html(record: ComparisonRecord, predictions: Predictions) -> str:
    """The whole comparison as one HTML page, figures included, that works offline and prints.

    predictions: by run id, as far as they are at hand; intervals cover test images only with them.
    """
    rows = leaderboard(record, predictions)
    title = record.spec.title or f"Which strategy for {record.dataset.name}?"
    body = [
        _head(record, title),
        section("Result", _result(record, predictions), _warnings(record), _table(record, rows)),
        section("The data", _data(record.dataset)),
        section("Settings", _settings(record)),
        *_figures(record, rows),
        section(
            "What the curves show", bullets(overfitting(record), "No strategy shows overfitting or failed to learn.")
        ),
        section("What differs between the runs", bullets(differences(record), "Only strategy, model, seed and data.")),
        section("Caveats", bullets(caveats(record), "None.")),
        section("How to reproduce it", _reproduce(record)),
        section("MLflow runs", _runs(record)),
    ]
    return page(title, body)


def report_json(record: ComparisonRecord, predictions: Predictions) -> str:
    """The JSON contract of the command line."""
    return result_of(record, predictions).model_dump_json(indent=2) + "\n"


def _head(record: ComparisonRecord, title: str) -> str:
    day = datetime.fromtimestamp(record.created_ms / 1000, UTC).strftime("%d %B %Y")
    names = [in_words(record.spec.entry(strategy)) for strategy in record.spec.strategies]
    question = (
        f"Which of {len(names)} strategies should be used for these {record.dataset.num_images:,} images in "
        f"{record.dataset.num_classes} classes, by how much does it win, and at what cost? "
        f"Compared: {'; '.join(names)}; on {', '.join(record.spec.all_models)}."
    )
    owner = f" by {record.owner}" if record.owner else ""
    made = f"Transfer Lab, started {day}{owner}. Comparison {record.comparison_id}, {record.status.lower()}."
    return f'<h1>{escape(title)}</h1><p class="muted">{escape(made)}</p><p class="lead">{escape(question)}</p>'


def _result(record: ComparisonRecord, predictions: Predictions) -> str:
    return f"<p><strong>{prose(result_of(record, predictions).verdict.text)}</strong></p>"


def _warnings(record: ComparisonRecord) -> str:
    return "".join(f'<p class="warning">{prose(line)}</p>' for line in loud(record))


def _table(record: ComparisonRecord, rows: Sequence[LeaderboardRow]) -> str:
    lines: list[dict[str, object]] = leaderboard_table(rows, floors_of(record)).to_dict("records")
    return table(lines, ("Model", "Strategy", "Training data"), {row.label: row.color for row in rows})


def _data(dataset: DatasetSummary) -> str:
    parts = ", ".join(f"{count:,} {part}" for part, count in dataset.splits.items())
    shown = ", ".join(dataset.classes[:30]) + (" …" if len(dataset.classes) > 30 else "")
    return pairs_of({
        "Name": f"{dataset.name} ({dataset.id})",
        "Images": f"{dataset.num_images:,} ({parts})",
        "Classes": f"{dataset.num_classes}: {shown}",
        "Fingerprint": dataset.fingerprint,
    })  # fmt: skip


def _settings(record: ComparisonRecord) -> str:
    spec = record.spec
    resolved = [run.resolved for run in record.runs if run.resolved is not None]

    def used(field: str) -> str:
        return ", ".join(dict.fromkeys(str(getattr(r, field)) for r in resolved)) or "not yet known"

    versions = dict.fromkeys(f"{k} {v}" for r in resolved for k, v in r.library_versions.items())
    return pairs_of({
        "Models": ", ".join(spec.models),
        "Pretrained weights": weights_text(spec),
        "Budget per run": str(spec.budget),
        "Split": f"{spec.split} ({spec.split_plan.words})",
        "Seeds": ", ".join(str(seed) for seed in spec.seeds),
        "Training data": ", ".join(percent(fraction, 0) for fraction in spec.fractions),
        "Device": f"{used('device')} ({used('device_reason')}), {used('dtype')}, {used('num_threads')} CPU threads",
        "Image size": f"{used('image_size')} pixels",
        "Batch size": used("batch_size"),
        "Libraries": ", ".join(versions) or "not yet known",
    })  # fmt: skip


def _figures(record: ComparisonRecord, rows: Sequence[LeaderboardRow]) -> list[str]:
    """Sections with the figures, and tables, of what there is."""
    from tlcore.analysis import charts

    groups = groups_of(record)
    parts: list[tuple[str, list[Any]]] = []
    if any(row.test_accuracy is not None for row in rows):
        parts.append(("Accuracy", [charts.accuracy_intervals(rows)]))
    for sweep in sweeps_of(record, rows):
        points = table(charts.sweep_rows(sweep), ("Model", "Training data", "Strategy", "From"))
        parts.append((f"Sweep: {sweep.name}", [charts.sweep_chart(sweep), points]))
    if any(row.test_accuracy is not None for row in rows):
        parts.append(("Cost", [charts.cost_chart(rows)]))
    if any(run.history for run in record.runs):
        curves = [charts.learning_curves(record, "accuracy"), charts.learning_curves(record, "loss", "train_seconds")]
        parts.append(("Learning curves", curves))
    if any(group.finished for group in groups):
        parts.append(("What each strategy really did", _anatomy(record)))
        figures = [charts.confusion_matrices(record), charts.per_class_chart(record)]
        parts.append(("Class by class", figures))
    trials = trial_rows(finished_runs(record), record)
    if trials:
        said = f"<p class='muted'>{prose(tuning_words(finished_runs(record)))}</p>"
        parts.append(("Tuning", [said, table(trials, ("Run", "Settings tried", "Chosen"))]))
    drawings = iter(drawn([item for _, items in parts for item in items if not isinstance(item, str)]))
    return [
        section(title, *(item if isinstance(item, str) else next(drawings) for item in items)) for title, items in parts
    ]


def _anatomy(record: ComparisonRecord) -> list[Any]:
    """Phases, layer groups and learning rates of the best run of each strategy, model by model."""
    from tlcore.analysis import charts

    parts: list[Any] = [f"<p class='muted'>{prose(f'The best seed of each strategy. {GROUP_HELP} {MOVED_HELP}')}</p>"]
    everything = subjects_of(record, champions(record))
    for model in dict.fromkeys(subject.run.spec.model for subject in everything):
        subjects = [subject for subject in everything if subject.run.spec.model == model]
        known = recorded(subjects)
        parts.append(f"<h3>{escape(model)}</h3>")
        missing = not_recorded(subjects)
        parts += [f"<p>{prose(missing)}</p>"] if missing else []
        if known:
            colors = {subject.entry.short_label: subject.entry.color for subject in known}
            words = ("Strategy", "What trains", "Kept network")
            parts.append(bullets(kept_lines(known), ""))
            parts += [table(phase_rows(known), words, colors)]
            parts += [charts.trained_chart(known), charts.movement_chart(known)]
        if any(point.learning_rates for subject in subjects for point in subject.run.history):
            parts.append(charts.learning_rates(subjects))
    return parts


def _reproduce(record: ComparisonRecord) -> str:
    note = f"The dataset has the fingerprint {record.dataset.fingerprint[:12]}; add it first where it is not known."
    own = "".join(
        f"<p>Save this as <code>{escape(entry.id)}.yaml</code>:</p><pre>{escape(export_strategy(entry))}</pre>"
        for entry in record.spec.own_strategies
    )
    return f"<pre>{escape(command_of(record.spec, record.dataset))}</pre><p class='muted'>{escape(note)}</p>{own}"


def _runs(record: ComparisonRecord) -> str:
    lines = "".join(
        f'<tr><td class="text"><code>{escape(run.run_id)}</code></td><td class="text">{escape(run.spec.name)}</td>'
        f'<td class="text">{escape(run.status.lower())}{": " + escape(run.error) if run.error else ""}</td></tr>'
        for run in record.runs
    )
    parent = f"<p>Parent run: <code>{escape(record.comparison_id)}</code></p>"
    head = '<th class="text">Run id</th><th class="text">Run</th><th class="text">Status</th>'
    return f'{parent}<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'

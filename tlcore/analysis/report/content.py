"""What the report of a comparison says, in order; how it looks is the business of each format."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pandas as pd

from tlcore.analysis.caveats import caveats, commands_of, loud
from tlcore.analysis.comparison import weights_text
from tlcore.analysis.differences import differences
from tlcore.analysis.findings import overfitting
from tlcore.analysis.floors import floors_of
from tlcore.analysis.groups import in_words, percent
from tlcore.analysis.leaderboard import LeaderboardRow, leaderboard, leaderboard_table
from tlcore.analysis.report.blocks import Block, Code, Document, Facts, Grid, Lines, Section, Words
from tlcore.analysis.report.figures import figure_sections
from tlcore.analysis.statistics.estimates import Predictions, all_right, estimates_of
from tlcore.analysis.verdict import judged, pair_rows, pairs_note
from tlcore.results import DEFAULT_MARGIN, GATHERED, STATE_WORDS, ComparisonRecord, DatasetSummary, Verdict
from tlcore.strategies import export_strategy

MAX_CLASSES = 30  # that are named
ADDED = "Then the seeds that were added for some strategies alone. COMPARISON is the id that the first command prints."


def document_of(
    record: ComparisonRecord,
    predictions: Predictions,
    margin: float = DEFAULT_MARGIN,
    health: Sequence[str] | None = None,
) -> Document:
    """The whole report. predictions: by run id, as far as they are at hand. margin: of the verdict, in [0, 1].

    health: what was found in the dataset, one line each; None where that is not known.
    """
    right = all_right(predictions)
    rows = leaderboard(record, predictions, estimates_of(record, right))
    found = judged(record, right, margin)
    learnt = "No strategy shows overfitting or failed to learn."
    return Document(
        title=record.spec.title or f"Which strategy for {record.dataset.name}?",
        made=_made(record),
        question=_question(record),
        sections=[
            _verdict(record, found.verdict, rows),
            _data(record.dataset, health),
            _settings(record),
            *figure_sections(record, rows, predictions, found.decision),
            Section("What the curves show", [Lines(overfitting(record), learnt)]),
            Section(
                "What differs between the runs", [Lines(differences(record), "Only strategy, model, seed and data.")]
            ),
            Section("Caveats", [Lines(caveats(record), "None.")]),
            _reproduce(record),
            _runs(record),
        ],
    )


def _made(record: ComparisonRecord) -> str:
    day = datetime.fromtimestamp(record.created_ms / 1000, UTC).strftime("%d %B %Y")
    owner = f" by {record.owner}" if record.owner else ""
    return f"Transfer Lab, started {day}{owner}. {_source(record)}, {STATE_WORDS[record.status]}."


def _question(record: ComparisonRecord) -> str:
    names = [in_words(record.spec.entry(strategy)) for strategy in record.spec.strategies]
    return (
        f"Which of {len(names)} strategies should be used for these {record.dataset.num_images:,} images in "
        f"{record.dataset.num_classes} classes, by how much does it win, and at what cost? "
        f"Compared: {'; '.join(names)}; on {', '.join(record.spec.all_models)}."
    )


def _verdict(record: ComparisonRecord, verdict: Verdict, rows: Sequence[LeaderboardRow]) -> Section:
    text = f"Provisional: {verdict.text}" if verdict.provisional else verdict.text
    within = [Words(f"Within {model}: {own.text}") for model, own in verdict.by_model.items()]
    table = _records(leaderboard_table(rows, floors_of(record)))
    words = ("Model", "Strategy", "Training data")
    blocks: list[Block] = [Words(text, "strong"), *within]
    blocks += [Words(verdict.claim)] if verdict.claim else []
    blocks += [Words(line, "warning") for line in loud(record)]
    blocks.append(Grid(table, words, {row.label: row.color for row in rows}))
    pairs = pair_rows(record, verdict)
    if pairs:
        blocks += [
            Words(f"Every pair. {pairs_note(verdict)}", "muted"),
            Grid(pairs, ("First", "Second", "The first is")),
        ]
    return Section("Verdict", blocks)


def _records(table: pd.DataFrame) -> list[dict[str, object]]:
    """Its rows, with None for what is missing."""
    whole = table.astype(object)
    rows: list[dict[str, object]] = whole.where(whole.notna(), None).to_dict("records")
    return rows


def _data(dataset: DatasetSummary, health: Sequence[str] | None) -> Section:
    parts = ", ".join(f"{count:,} {part}" for part, count in dataset.splits.items())
    shown = ", ".join(dataset.classes[:MAX_CLASSES]) + (" …" if len(dataset.classes) > MAX_CLASSES else "")
    facts = Facts({
        "Name": f"{dataset.name} ({dataset.id})",
        "Images": f"{dataset.num_images:,} ({parts})",
        "Classes": f"{dataset.num_classes}: {shown}",
        "Fingerprint": dataset.fingerprint,
    })  # fmt: skip
    if health is None:
        return Section("The data", [facts, Words("The dataset is not here any more, so its health is not known.")])
    return Section("The data", [facts, Words("Health of the data:"), Lines(health, "Nothing was found.")])


def _settings(record: ComparisonRecord) -> Section:
    spec = record.spec
    resolved = [run.resolved for run in record.runs if run.resolved is not None]

    def used(field: str) -> str:
        return ", ".join(dict.fromkeys(str(getattr(r, field)) for r in resolved)) or "not yet known"

    versions = dict.fromkeys(f"{k} {v}" for r in resolved for k, v in r.library_versions.items())
    facts = Facts({
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
    return Section("Settings", [facts])


def _reproduce(record: ComparisonRecord) -> Section:
    if record.recorded_on:
        return Section(
            "How to reproduce it", [Code("python -m tlcore demo"), Words("It makes the same pictures.", "muted")]
        )
    note = f"The dataset has the fingerprint {record.dataset.fingerprint[:12]}; add it first where it is not known."
    own = [
        block
        for entry in record.spec.own_strategies
        for block in (Words(f"Save this as {entry.id}.yaml:"), Code(export_strategy(entry)))
    ]
    first, *more = commands_of(record)
    added: list[Block] = [Words(ADDED), *(Code(command) for command in more)] if more else []
    if record.looks > 1 + len(more):
        added.append(
            Words(f"It was looked at {record.looks} times while seeds were added; made again so, {_fewer(more)}.")
        )
    return Section("How to reproduce it", [Code(first), *added, Words(note, "muted"), *own])


def _fewer(more: Sequence[str]) -> str:
    """How often a comparison is looked at that is made with the first command and these."""
    return f"at most {1 + len(more)} times" if more else "once, so that less evidence makes a claim"


def _source(record: ComparisonRecord) -> str:
    if not _is_gathered(record):
        return f"Comparison {record.comparison_id}"
    parents = {run.comparison_id for run in record.runs}
    return f"{len(record.runs)} runs of {len(parents)} comparison{'s' if len(parents) > 1 else ''}, seen together"


def _is_gathered(record: ComparisonRecord) -> bool:
    """Whether its id is a list of runs, so that no one run is the parent of them all."""
    return record.comparison_id.startswith(GATHERED)


def _runs(record: ComparisonRecord) -> Section:
    gathered = _is_gathered(record)
    rows = [
        {
            "Run id": run.run_id,
            "Run": run.spec.name,
            **({"Parent run": run.comparison_id} if gathered else {}),
            "Status": STATE_WORDS[run.status] + (f": {run.error}" if run.error else ""),
        }
        for run in record.runs
    ]
    said = (
        "Chosen by their ids; each has a parent run of its own." if gathered else f"Parent run: {record.comparison_id}"
    )
    return Section("MLflow runs", [Words(said), Grid(rows, ("Run id", "Run", "Parent run", "Status"))])

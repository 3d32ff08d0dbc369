"""A comparison as one file: HTML that needs nothing from outside, or JSON."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from math import isnan
from typing import Any

from tlcore.analysis.caveats import caveats, command_of
from tlcore.analysis.comparison import result_of, weights_text
from tlcore.analysis.differences import differences
from tlcore.analysis.findings import overfitting
from tlcore.analysis.groups import groups_of, in_words, percent
from tlcore.analysis.leaderboard import LeaderboardRow, Predictions, leaderboard, leaderboard_table
from tlcore.results import ComparisonRecord, DatasetSummary
from tlcore.strategies import STRATEGIES

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; color: #262730;
  max-width: 1080px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
p.lead { font-size: 1.05rem; } .muted { color: #5f6470; }
table { border-collapse: collapse; font-size: .86rem; width: 100%; }
th, td { padding: .4rem .55rem; border-bottom: 1px solid #d9dce3; text-align: right; vertical-align: top; }
th { font-weight: 600; } th.text, td.text { text-align: left; }
td { white-space: nowrap; } td.text { white-space: normal; min-width: 13em; }
.wide { overflow-x: auto; } .swatch { display: inline-block; width: .8em; height: .8em; border-radius: 50%;
  margin-right: .45em; }
pre { background: #f3f4f7; padding: .8rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .84rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; } dt { color: #5f6470; }
dd { margin: 0; overflow-wrap: anywhere; } code { font-size: .86em; }
.figure { break-inside: avoid; margin: 1rem 0; }
@media print { body { margin: 0; max-width: none; font-size: 11pt; } h2 { break-after: avoid; }
  tr, .figure { break-inside: avoid; } .modebar { display: none; } .wide { overflow: visible; } }
"""


def report_html(record: ComparisonRecord, predictions: Predictions) -> str:
    """The whole comparison as one HTML page, figures included, that works offline and prints.

    predictions: by run id, as far as they are at hand; intervals cover test images only with them.
    """
    rows = leaderboard(record, predictions)
    title = record.spec.title or f"Which strategy for {record.dataset.name}?"
    body = [
        _head(record, title),
        _section("Result", _result(record, predictions), _table(rows)),
        _section("The data", _data(record.dataset)),
        _section("Settings", _settings(record)),
        *_figures(record, rows),
        _section(
            "What the curves show", _list(overfitting(record), "No strategy shows overfitting or failed to learn.")
        ),
        _section("What differs between the runs", _list(differences(record), "Only strategy, model, seed and data.")),
        _section("Caveats", _list(caveats(record), "None.")),
        _section("How to reproduce it", _reproduce(record)),
        _section("MLflow runs", _runs(record)),
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def report_json(record: ComparisonRecord, predictions: Predictions) -> str:
    """The JSON contract of the command line."""
    return result_of(record, predictions).model_dump_json(indent=2) + "\n"


def _head(record: ComparisonRecord, title: str) -> str:
    day = datetime.fromtimestamp(record.created_ms / 1000, UTC).strftime("%d %B %Y")
    names = [in_words(STRATEGIES[strategy]) for strategy in record.spec.strategies]
    question = (
        f"Which of {len(names)} strategies should be used for these {record.dataset.num_images:,} images in "
        f"{record.dataset.num_classes} classes, by how much does it win, and at what cost? "
        f"Compared: {'; '.join(names)}; on {', '.join(record.spec.models)}."
    )
    owner = f" by {record.owner}" if record.owner else ""
    made = f"Transfer Lab, started {day}{owner}. Comparison {record.comparison_id}, {record.status.lower()}."
    return f'<h1>{escape(title)}</h1><p class="muted">{escape(made)}</p><p class="lead">{escape(question)}</p>'


def _result(record: ComparisonRecord, predictions: Predictions) -> str:
    return f"<p><strong>{_prose(result_of(record, predictions).verdict.text)}</strong></p>"


def _table(rows: Sequence[LeaderboardRow]) -> str:
    table = leaderboard_table(rows)
    text = {"Model", "Strategy", "Training data"}
    head = "".join(f'<th scope="col" class="{"text" if c in text else ""}">{escape(c)}</th>' for c in table.columns)
    lines = []
    for row, values in zip(rows, table.to_dict("records"), strict=True):
        swatch = f'<span class="swatch" style="background:{row.color}"></span>'
        cells = (
            f'<td class="{"text" if c in text else ""}">{swatch if c == "Strategy" else ""}{_cell(v)}</td>'
            for c, v in values.items()
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and isnan(value)):  # how a table holds a missing number
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() and abs(value) >= 1000 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else escape(str(value))


def _data(dataset: DatasetSummary) -> str:
    parts = ", ".join(f"{count:,} {part}" for part, count in dataset.splits.items())
    shown = ", ".join(dataset.classes[:30]) + (" …" if len(dataset.classes) > 30 else "")
    return _pairs({
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
    return _pairs({
        "Models": ", ".join(spec.models),
        "Pretrained weights": weights_text(spec),
        "Budget per run": str(spec.budget),
        "Seeds": ", ".join(str(seed) for seed in spec.seeds),
        "Training data": ", ".join(percent(fraction, 0) for fraction in spec.fractions),
        "Device": f"{used('device')} ({used('device_reason')}), {used('dtype')}, {used('num_threads')} CPU threads",
        "Image size": f"{used('image_size')} pixels",
        "Batch size": used("batch_size"),
        "Libraries": ", ".join(versions) or "not yet known",
    })  # fmt: skip


def _figures(record: ComparisonRecord, rows: Sequence[LeaderboardRow]) -> list[str]:
    """Figures of what there is; plotly.js comes once, with the first."""
    from tlcore.analysis import charts

    groups = groups_of(record)
    parts: list[tuple[str, list[Any]]] = []
    if any(row.test_accuracy is not None for row in rows):
        parts.append(("Accuracy", [charts.accuracy_intervals(rows)]))
        parts.append(("Cost", [charts.cost_chart(rows)]))
    if any(run.history for run in record.runs):
        curves = [charts.learning_curves(record, "accuracy"), charts.learning_curves(record, "loss", "train_seconds")]
        parts.append(("Learning curves", curves))
    if any(group.finished for group in groups):
        figures = [charts.confusion_matrices(record), charts.per_class_chart(record)]
        parts.append(("Class by class", figures))
    drawn = iter(_drawn([figure for _, figures in parts for figure in figures]))
    return [_section(title, *(next(drawn) for _ in figures)) for title, figures in parts]


def _drawn(figures: Sequence[Any]) -> list[str]:
    from plotly.io import to_html

    config = {"displaylogo": False, "responsive": True}
    return [
        f'<div class="figure">{to_html(figure, full_html=False, include_plotlyjs=index == 0, config=config)}</div>'
        for index, figure in enumerate(figures)
    ]


def _reproduce(record: ComparisonRecord) -> str:
    note = f"The dataset has the fingerprint {record.dataset.fingerprint[:12]}; add it first where it is not known."
    return f"<pre>{escape(command_of(record.spec, record.dataset))}</pre><p class='muted'>{escape(note)}</p>"


def _runs(record: ComparisonRecord) -> str:
    lines = "".join(
        f'<tr><td class="text"><code>{escape(run.run_id)}</code></td><td class="text">{escape(run.spec.name)}</td>'
        f'<td class="text">{escape(run.status.lower())}{": " + escape(run.error) if run.error else ""}</td></tr>'
        for run in record.runs
    )
    parent = f"<p>Parent run: <code>{escape(record.comparison_id)}</code></p>"
    head = '<th class="text">Run id</th><th class="text">Run</th><th class="text">Status</th>'
    return f'{parent}<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def _section(title: str, *content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{''.join(content)}</section>"


def _list(lines: Iterable[str], otherwise: str) -> str:
    items = "".join(f"<li>{_prose(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else f"<p>{escape(otherwise)}</p>"


def _prose(text: str) -> str:
    """Escaped, with numbers and their unit kept on one line."""
    return escape(text).replace(" %", "&nbsp;%")


def _pairs(pairs: dict[str, str]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(k)}</dt><dd>{escape(v)}</dd>' for k, v in pairs.items())}</dl>"

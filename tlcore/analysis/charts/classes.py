"""Class by class: recall of every strategy, and the class counts of a dataset."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from tlcore.analysis.charts.style import SYMBOLS, axis, cut, layout, legend_below_axis, legend_room, share_axis
from tlcore.analysis.groups import Group, groups_of, name_of
from tlcore.results import ComparisonRecord

MAX_CLASSES = 40  # rows of the per-class chart
_VALUE_ROOM = 1.12  # times the longest bar: the value stands beside it
_CAPTION = {"precision": "Precision", "recall": "Recall", "f1": "F1"}


def per_class_table(record: ComparisonRecord, split: str = "test") -> pd.DataFrame:
    """One row per class and group: precision, recall and F1 in per cent, mean over the seeds that have them."""
    groups = groups_of(record)
    rows = []
    for group in groups:
        for name in record.dataset.classes:
            found = [c for r in group.finished for c in r.per_class.get(split, ()) if c.name == name]
            if not found:
                continue
            values = {field: [getattr(c, field) for c in found] for field in ("precision", "recall", "f1")}
            rows.append({
                "Class": name,
                "Strategy": name_of(group, groups),
                "Images": _mean_count([c.num_images for c in found]),
                **{f"{_CAPTION[field]} (%)": _mean_percent(of) for field, of in values.items()},
            })  # fmt: skip
    return pd.DataFrame(rows)


def per_class_chart(record: ComparisonRecord, split: str = "test", dark: bool = False) -> go.Figure:
    """Recall of each class by strategy: a dot at the mean over seeds, a bar from the lowest to the highest."""
    groups = [g for g in groups_of(record) if any(split in r.per_class for r in g.finished)]
    recalls = {index: _recalls(group, split) for index, group in enumerate(groups)}
    classes = _most_different(record.dataset.classes, list(recalls.values()))
    figure = go.Figure()
    for index in range(len(groups)):
        _draw_recalls(figure, groups, index, recalls[index], classes)
    title = f"Recall by class, {split} images"
    shown = len(record.dataset.classes)
    only = f" The {len(classes)} of {shown} classes that differ most." if len(classes) < shown else ""
    note = f"Share of each class that was found; bar: lowest to highest seed.{only}"
    room = legend_room([name_of(group, groups) for group in groups])
    height = 60 + room + max(40, 15 * len(groups) + 12) * len(classes)
    figure.update_layout(**layout(dark, f"classes-{record.comparison_id}-{split}", title, note, height))
    figure.update_layout(margin={"b": room})
    legend_below_axis(figure)
    reached = [value for found in recalls.values() for name in classes for value in found.get(name, ())]
    figure.update_xaxes(**share_axis("Recall (%)", reached))
    ticks = {"tickvals": list(range(len(classes))), "ticktext": [cut(c) for c in classes]}
    bounds = [len(classes) - 0.5, -0.5]
    figure.update_yaxes(**axis("", range=bounds, showgrid=False, **ticks))
    for border in range(1, len(classes)):
        figure.add_hline(y=border - 0.5, line={"color": "rgba(128, 128, 128, 0.35)", "width": 1})
    return figure


def _draw_recalls(
    figure: go.Figure, groups: Sequence[Group], index: int, recalls: Mapping[str, Sequence[float]], classes: list[str]
) -> None:
    """The marks of one group. recalls: of each class, over the seeds."""
    known = [(name, recalls[name]) for name in classes if recalls.get(name)]
    means = [float(np.mean(values)) for _, values in known]
    entry = groups[index].entry
    figure.add_scatter(
        x=means,
        y=[classes.index(name) + _offset(index, len(groups)) for name, _ in known],
        mode="markers",
        name=escape(name_of(groups[index], groups), quote=False),
        marker={"color": entry.color, "size": 10, "symbol": SYMBOLS[index % len(SYMBOLS)]},
        error_x={
            "type": "data",
            "array": [max(v) - m for m, (_, v) in zip(means, known, strict=True)],
            "arrayminus": [m - min(v) for m, (_, v) in zip(means, known, strict=True)],
            "color": entry.color,
            "width": 0,
        },
        customdata=[escape(name, quote=False) for name, _ in known],
        hovertemplate=f"<b>%{{x:.1%}}</b> of %{{customdata}}<extra>{escape(entry.label, quote=False)}</extra>",
    )


def class_counts(images: Mapping[str, int], dark: bool = False) -> go.Figure:
    """Images of each class in a dataset. images: number per class, in the order of the classes."""
    names, counts = list(images), list(images.values())
    figure = go.Figure()
    figure.add_bar(
        x=counts,
        y=list(range(len(names))),
        orientation="h",
        marker={"color": "#56B4E9"},
        text=[f"{c:,}" for c in counts],
        textposition="outside",  # in the page's text colour, which is readable in light and dark
        cliponaxis=False,
        customdata=[escape(name, quote=False) for name in names],
        hovertemplate="<b>%{x:,} images</b> of %{customdata}<extra></extra>",
    )
    ratio = max(counts) / max(1, min(counts))
    note = f"{sum(counts):,} images in {len(names)} classes; largest to smallest {ratio:.1f} : 1"
    figure.update_layout(**layout(dark, "counts", "Images per class", note, 150 + 26 * len(names)))
    figure.update_xaxes(**axis("Images", range=[0, _VALUE_ROOM * max(counts)]))
    ticks = {"tickvals": list(range(len(names))), "ticktext": [cut(n) for n in names]}
    figure.update_yaxes(**axis("", range=[len(names) - 0.4, -0.6], showgrid=False, **ticks))
    return figure


def _mean_percent(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return round(100 * float(np.mean(known)), 1) if known else None


def _mean_count(counts: Sequence[int]) -> float:
    """Images of a class per seed: a whole number unless seeds have test images of their own."""
    mean = round(float(np.mean(counts)), 1)
    return int(mean) if mean.is_integer() else mean


def _recalls(group: Group, split: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for run in group.finished:
        for one in run.per_class.get(split, ()):
            if one.recall is not None:
                found.setdefault(one.name, []).append(one.recall)
    return found


def _most_different(classes: Sequence[str], recalls: Sequence[dict[str, list[float]]]) -> list[str]:
    """At most MAX_CLASSES classes, those in which the groups differ most, in the dataset's order."""

    def difference(name: str) -> float:
        means = [float(np.mean(found[name])) for found in recalls if found.get(name)]
        return max(means) - min(means) if means else 0.0

    kept = set(sorted(classes, key=difference, reverse=True)[:MAX_CLASSES])
    return [name for name in classes if name in kept]


def _offset(index: int, count: int) -> float:
    """Vertical place of a group's dot within its class, in (−0.5, 0.5)."""
    return (index - (count - 1) / 2) * 0.8 / max(1, count)

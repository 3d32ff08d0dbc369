"""How far all runs agree on the test images."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from tlcore.analysis.charts.style import MODEL_COLORS, NBSP, axis, layout

_BINS = 10  # of the share of runs that are right, where their number is not the same for all images, or large
_MOST = 20  # runs that are counted one by one


def agreement_chart(table: pd.DataFrame, revision: str, dark: bool = False) -> go.Figure:
    """How many test images all, some or none of the runs get right. table: of `images.disagreement.agreement`."""
    labels, counts, title = _steps(table)
    figure = go.Figure()
    figure.add_bar(
        x=list(range(len(labels))),
        y=counts,
        marker={"color": MODEL_COLORS[0]},
        text=[f"{count:,}" if count else "" for count in counts],
        textposition="outside",
        cliponaxis=False,
        customdata=labels,
        hovertemplate=f"<b>%{{y:,}} images</b><br>{title}: %{{customdata}}<extra></extra>",
    )
    differ = int((table["distinct"] > 1).sum())
    none = int((table["right"] == 0).sum())
    note = (
        f"{len(table):,} test images: on {differ:,} the runs give different answers; {none:,} no run gets right: hard "
        "images, or wrong labels."
    )
    figure.update_layout(**layout(dark, revision, "Agreement of all runs", note, 330))
    figure.update_xaxes(**axis(title, tickvals=list(range(len(labels))), ticktext=labels, showgrid=False, tickangle=0))
    figure.update_yaxes(**axis("Test images", rangemode="tozero"))
    return figure


def _steps(table: pd.DataFrame) -> tuple[list[str], list[int], str]:
    """Labels, images and the meaning of the steps, from none right to all right."""
    runs = {int(number) for number in table["runs"]}
    most = max(runs, default=1)
    if len(runs) == 1 and most <= _MOST:
        right = (table["right"] * most).round().astype(int)
        return [str(n) for n in range(most + 1)], _counted(right, most + 1), f"Runs right, of {most}"
    bins = np.ceil(table["right"].to_numpy() * _BINS).astype(int)
    words = [f"0{NBSP}%", *(f"≤ {100 * n // _BINS}{NBSP}%" for n in range(1, _BINS + 1))]
    return words, _counted(bins, _BINS + 1), "Share of runs right"


def _counted(values: "pd.Series[int] | np.ndarray[tuple[int], np.dtype[np.int64]]", steps: int) -> list[int]:
    return [int(count) for count in np.bincount(np.asarray(values), minlength=steps)]

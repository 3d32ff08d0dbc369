"""What the images of a dataset are like, before any run: their sizes."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from tlcore.analysis.charts.style import MODEL_COLORS, axis, layout

MAX_MARKS = 2_000  # different sizes that are drawn one by one; beyond, the rarest are left out
_SMALLEST, _LARGEST = 6, 26  # pixels of a mark


def image_sizes(sizes: Sequence[tuple[int, int, int]], revision: str, *, dark: bool = False) -> go.Figure:
    """One mark for each size that occurs, its area by how many images have it. sizes: (width, height, images)."""
    shown = sorted(sizes, key=lambda size: -size[2])[:MAX_MARKS]
    counts = np.array([count for _, _, count in shown], dtype=float)
    marks = _SMALLEST + (_LARGEST - _SMALLEST) * np.sqrt(counts / counts.max())
    hover = [f"{width:,} × {height:,} px<br>{count:,} image{'s' * (count != 1)}" for width, height, count in shown]
    figure = go.Figure(
        go.Scatter(
            x=[width for width, _, _ in shown],
            y=[height for _, height, _ in shown],
            mode="markers",
            marker={"size": marks, "color": MODEL_COLORS[0], "opacity": 0.6},
            hovertext=hover,
            hoverinfo="text",
        )
    )
    left = len(sizes) - len(shown)
    note = "Larger marks: more images of that size." + (f" The {left:,} rarest sizes are left out." if left else "")
    figure.update_layout(**layout(dark, revision, "Image sizes", note, 340), showlegend=False)
    figure.update_xaxes(**axis("Width (pixels)", **_range([width for width, _, _ in shown])))
    figure.update_yaxes(**axis("Height (pixels)", **_range([height for _, height, _ in shown])))
    return figure


def _range(values: Sequence[int]) -> dict[str, object]:
    """Linear, or logarithmic where the largest is 8 times the smallest."""
    low, high = min(values), max(values)
    if high >= 8 * low:
        ticks = [digit * 10**power for power in range(6) for digit in (1, 2, 5)]
        bounds = [float(np.log10(low * 0.85)), float(np.log10(high * 1.15))]
        return {"type": "log", "range": bounds, "tickvals": ticks, "ticktext": [f"{tick:,}" for tick in ticks]}
    room = max(8.0, 0.08 * (high - low))
    return {"range": [max(0.0, low - room), high + room]}

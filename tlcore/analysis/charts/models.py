"""Models before any run: known ImageNet accuracy against the work for one image."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import plotly.graph_objects as go

from tlcore.analysis.charts.style import MODEL_COLORS, axis, layout, share_axis


class ModelPoint(NamedTuple):
    """gmacs: 10⁹ multiply-adds for one image. accuracy: ImageNet-1k top-1, 0…1. usable: its weights are here."""

    model: str
    gmacs: float
    accuracy: float
    num_parameters: int
    usable: bool


def accuracy_against_work(points: Sequence[ModelPoint], *, dark: bool = False) -> go.Figure:
    """One mark per model, on a logarithmic axis of GMACs; those that can be used now stand out."""
    figure = go.Figure()
    for usable, name in ((False, "need a download"), (True, "usable now")):
        mine = [point for point in points if point.usable == usable]
        figure.add_trace(
            go.Scatter(
                x=[p.gmacs for p in mine],
                y=[p.accuracy for p in mine],
                mode="markers",
                name=name,
                marker={"size": 11 if usable else 8, "color": MODEL_COLORS[usable], "opacity": 1 if usable else 0.65},
                hovertext=[_hover(p) for p in mine],
                hoverinfo="text",
            )
        )
    note = "Only where the library carries the accuracy; up and to the left is better."
    figure.update_layout(**layout(dark, "models", "Accuracy on ImageNet against work", note))
    figure.update_xaxes(**axis("GMACs for one image (logarithmic)", type="log", dtick=1))
    figure.update_yaxes(**share_axis("ImageNet-1k top-1", [p.accuracy for p in points]))
    return figure


def _hover(point: ModelPoint) -> str:
    return (
        f"<b>{escape(point.model)}</b><br>{100 * point.accuracy:.1f} % top-1<br>{point.gmacs:.3g} GMACs<br>"
        f"{point.num_parameters / 1e6:.1f} million parameters"
    )

"""Models before any run: known ImageNet accuracy against the work for one image."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import plotly.graph_objects as go

from tlcore.analysis.charts.style import MODEL_COLORS, axis, layout, share_axis


class ModelPoint(NamedTuple):
    """gmacs: 10⁹ multiply-adds for one image. accuracy: ImageNet-1k top-1, 0…1. usable: its weights are here.

    images_per_second: through the network on this machine, where it was measured.
    """

    model: str
    gmacs: float
    accuracy: float
    num_parameters: int
    usable: bool
    images_per_second: float | None = None


def accuracy_against_work(points: Sequence[ModelPoint], *, dark: bool = False) -> go.Figure:
    """One mark per model, on a logarithmic axis of GMACs; those that can be used now stand out."""
    note = "Only where the library carries the accuracy; up and to the left is better."
    figure = _marks(points, [p.gmacs for p in points])
    figure.update_layout(**layout(dark, "models", "Accuracy on ImageNet against work", note))
    figure.update_xaxes(**axis("GMACs for one image (logarithmic)", type="log", dtick=1))
    return figure


def accuracy_against_speed(points: Sequence[ModelPoint], *, dark: bool = False) -> go.Figure:
    """As `accuracy_against_work`, over the images per second of those that were measured here."""
    fast = [(p, p.images_per_second) for p in points if p.images_per_second is not None]
    note = "Only what was measured on this machine; up and to the right is better."
    figure = _marks([p for p, _ in fast], [speed for _, speed in fast])
    figure.update_layout(**layout(dark, "speeds", "Accuracy on ImageNet against speed here", note))
    figure.update_xaxes(**axis("Images per second, forward", rangemode="tozero"))
    return figure


def _marks(points: Sequence[ModelPoint], places: Sequence[float]) -> go.Figure:
    """The accuracies over places on the x axis."""
    figure = go.Figure()
    for usable, name in ((False, "need a download"), (True, "usable now")):
        mine = [(point, x) for point, x in zip(points, places, strict=True) if point.usable == usable]
        figure.add_trace(
            go.Scatter(
                x=[x for _, x in mine],
                y=[p.accuracy for p, _ in mine],
                mode="markers",
                name=name,
                marker={"size": 11 if usable else 8, "color": MODEL_COLORS[usable], "opacity": 1 if usable else 0.65},
                hovertext=[_hover(p) for p, _ in mine],
                hoverinfo="text",
            )
        )
    figure.update_yaxes(**share_axis("ImageNet-1k top-1", [p.accuracy for p in points]))
    return figure


def _hover(point: ModelPoint) -> str:
    return (
        f"<b>{escape(point.model)}</b><br>{100 * point.accuracy:.1f} % top-1<br>{point.gmacs:.3g} GMACs<br>"
        f"{point.num_parameters / 1e6:.1f} million parameters"
        + (f"<br>{point.images_per_second:,.0f} images/s here" if point.images_per_second else "")
    )

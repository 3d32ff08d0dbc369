"""What a learning-rate finder saw: loss over the rate, with the suggestion and the recipe's own rate."""

import math

import plotly.graph_objects as go

from tlcore.analysis.charts.style import axis, ink, layout
from tlcore.results import RateFinding
from tlcore.strategies import STRATEGIES, split_reference

COLOR, RAW = "#0072B2", 0.35  # of Okabe & Ito's palette; opacity of the unsmoothed losses
SHOWN_ABOVE = 1.5  # of the first smoothed loss: the axis ends there, as a diverging loss would hide the valley


def lr_chart(found: RateFinding, dark: bool = False) -> go.Figure:
    """Loss of each step over its learning rate, on a logarithmic axis; marks for both suggestions and the recipe."""
    figure = go.Figure()
    figure.add_scatter(
        x=found.rates, y=found.losses, mode="markers", name="each batch", opacity=RAW,
        marker={"color": COLOR, "size": 5}, hovertemplate="%{y:.3f} at %{x:.2e}<extra>each batch</extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=found.rates, y=found.smoothed, mode="lines", name="smoothed", line={"color": COLOR, "width": 3},
        hovertemplate="<b>%{y:.3f}</b> at %{x:.2e}<extra>smoothed</extra>",
    )  # fmt: skip
    _mark_suggestion(figure, found)
    _mark_recipe(figure, found, ink(dark).muted)
    known = STRATEGIES.get(split_reference(found.strategy)[0])
    title = f"Loss at growing learning rates: {known.short_label if known else found.strategy} on {found.model}"
    figure.update_layout(**layout(dark, f"lr-{found.strategy}-{found.model}", title, _note(found), height=460))
    figure.update_layout(margin={"b": 112})
    figure.update_xaxes(**axis("Learning rate (head)", type="log", exponentformat="power"))
    figure.update_yaxes(**axis("Training loss (cross-entropy, nats)", range=_range(found)))
    return figure


def _note(found: RateFinding) -> str:
    if found.suggestion is None:
        return "The loss falls at none of these rates, so none is suggested."
    if found.caution:
        return "The loss hardly falls before it rises, so the suggestion is little more than a guess."
    return "The suggestion lies where the loss falls; where it rises, the rate is too high."


def _mark_recipe(figure: go.Figure, found: RateFinding, color: str) -> None:
    """A line at the recipe's own rate; its words need the logarithm, as plotly moves only lines to such an axis."""
    figure.add_vline(x=found.recipe_rate, line={"color": color, "width": 1.5, "dash": "dash"})
    figure.add_annotation(
        x=math.log10(found.recipe_rate), y=1, yref="paper", yanchor="bottom", showarrow=False,
        text=f"recipe: {found.recipe_rate:.2g}", font={"color": color},
    )  # fmt: skip


def _mark_suggestion(figure: go.Figure, found: RateFinding) -> None:
    """A point on the smoothed curve for each rule that suggests one."""
    rules = [("valley", found.valley, "star"), ("steepest", found.steepest, "diamond")]
    for name, rate, symbol in rules:
        if rate is None:
            continue
        chosen = " (suggestion)" if rate == found.suggestion else ""
        figure.add_scatter(
            x=[rate], y=[found.smoothed[found.rates.index(rate)]], mode="markers", name=f"{name}: {rate:.2g}{chosen}",
            marker={"color": "#D55E00", "size": 14, "symbol": symbol},
            hovertemplate=f"{name}: %{{x:.2e}}<extra></extra>",
        )  # fmt: skip


def _range(found: RateFinding) -> list[float]:
    low, first = min(found.losses, default=0.0), found.smoothed[0] if found.smoothed else 1.0
    room = 0.08 * max(first - low, 0.1)
    return [max(0.0, low - room), max(SHOWN_ABOVE * first, low + room)]

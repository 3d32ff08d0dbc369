"""What a learning-rate finder saw, as one file: HTML that needs nothing from outside."""

from html import escape

from tlcore.analysis import charts
from tlcore.analysis.report.parts import bullets, drawn, page, pairs_of, prose, section
from tlcore.results import RateFinding


def rate_html(found: RateFinding) -> str:
    """The curve, the suggestion and what must be known of it, as a page that works offline."""
    (figure,) = drawn([(charts.lr_chart(found), 0)])
    title = f"Learning rate of {found.strategy} on {found.model}"
    rules = {"valley": found.valley, "steepest": found.steepest, "the recipe's own": found.recipe_rate}
    rates = {name: f"{rate:.2g}" for name, rate in rules.items() if rate is not None}
    said = "none" if found.suggestion is None else f"{found.suggestion:.2g}"
    facts = {"Suggestion": said, **rates, "Steps": f"{len(found.rates)} of batch {found.batch_size}"}
    warning = f'<p class="warning">{prose(found.caution)}</p>' if found.caution else ""
    notes = section("Notes", bullets(found.notes, "None."))
    return page(title, [f"<h1>{escape(title)}</h1>", warning, pairs_of(facts), section("Loss", figure), notes])

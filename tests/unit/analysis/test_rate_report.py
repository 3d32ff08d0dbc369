"""The page of a learning-rate finder: complete, offline, and safe with any name."""

import re

from tests.findings import FOUND
from tlcore.analysis.report.rates import rate_html


def test_it_has_the_figure_and_needs_nothing_from_outside() -> None:
    html = rate_html(FOUND.model_copy(update={"caution": "it is noise", "notes": ("in two parts",)}))
    assert "Plotly.newPlot" in html
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", html)
    for said in (f"{FOUND.suggestion:.2g}", "it is noise", "in two parts", FOUND.model):
        assert said in html


def test_names_are_escaped() -> None:
    assert "<b>x" not in rate_html(FOUND.model_copy(update={"caution": "<b>x"}))

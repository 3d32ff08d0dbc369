"""A comparison as one file for people who were not there: HTML, Markdown, JSON or CSV."""

from tlcore.analysis.report.content import document_of
from tlcore.analysis.report.data import as_data
from tlcore.analysis.report.figures import figure_sections
from tlcore.analysis.report.html import as_html
from tlcore.analysis.report.markdown import as_markdown
from tlcore.analysis.report.tables import runs_csv

__all__ = ["as_data", "as_html", "as_markdown", "document_of", "figure_sections", "runs_csv"]

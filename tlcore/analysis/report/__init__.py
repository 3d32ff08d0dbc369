"""A comparison as one file for people who were not there."""

from tlcore.analysis.report.html import report_html, report_json

__all__ = ["report_html", "report_json"]

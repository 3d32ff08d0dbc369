"""All figures in one place for pages and report.

Each is a pure function of records and returns a plotly figure without background of its own, with its colours set for
a light or a dark page: show it without a theme on top, such as Streamlit's (`theme=None`).
"""

from tlcore.analysis.class_charts import class_counts, per_class_chart, per_class_table
from tlcore.analysis.confusion_charts import confusion_matrices
from tlcore.analysis.curve_charts import learning_curves, live_curves
from tlcore.analysis.score_charts import accuracy_intervals, cost_chart
from tlcore.analysis.strips import LETTERS, MEANINGS, strategy_strip, strip_legend

__all__ = [
    "LETTERS",
    "MEANINGS",
    "accuracy_intervals",
    "class_counts",
    "confusion_matrices",
    "cost_chart",
    "learning_curves",
    "live_curves",
    "per_class_chart",
    "per_class_table",
    "strategy_strip",
    "strip_legend",
]

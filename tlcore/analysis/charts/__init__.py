"""All figures in one place for pages and report.

Each is a pure function of records and returns a plotly figure without background of its own, with its colours set for
a light or a dark page: show it without a theme on top, such as Streamlit's (`theme=None`).
"""

from tlcore.analysis.charts.agreement import agreement_chart
from tlcore.analysis.charts.anatomy import chart_width, movement_chart, trained_chart
from tlcore.analysis.charts.calibration import reliability_diagrams, reliability_width
from tlcore.analysis.charts.changes import class_change_chart
from tlcore.analysis.charts.classes import class_counts, per_class_chart, per_class_table
from tlcore.analysis.charts.confusion import CONFUSION_WIDTH, confusion_matrices
from tlcore.analysis.charts.costs import best_by_time, pareto
from tlcore.analysis.charts.curves import curves_width, learning_curves
from tlcore.analysis.charts.data_amounts import data_amounts
from tlcore.analysis.charts.differ import COMPACT, confusion_difference, confusion_pair, difference_width
from tlcore.analysis.charts.images import image_sizes
from tlcore.analysis.charts.live import live_curves
from tlcore.analysis.charts.lr_finder import lr_chart
from tlcore.analysis.charts.models import ModelPoint, accuracy_against_speed, accuracy_against_work
from tlcore.analysis.charts.rates import learning_rates
from tlcore.analysis.charts.scores import accuracy_intervals
from tlcore.analysis.charts.strips import LETTERS, MEANINGS, strategy_strip, strip_legend
from tlcore.analysis.charts.style import WIDE
from tlcore.analysis.charts.sweeps import sweep_chart, sweep_rows
from tlcore.analysis.charts.time_parts import time_parts_chart
from tlcore.analysis.charts.transfer import threshold_chart, transfer_chart

__all__ = [
    "COMPACT",
    "CONFUSION_WIDTH",
    "LETTERS",
    "MEANINGS",
    "WIDE",
    "ModelPoint",
    "accuracy_against_speed",
    "accuracy_against_work",
    "accuracy_intervals",
    "agreement_chart",
    "best_by_time",
    "chart_width",
    "class_change_chart",
    "class_counts",
    "confusion_difference",
    "confusion_matrices",
    "confusion_pair",
    "curves_width",
    "data_amounts",
    "difference_width",
    "image_sizes",
    "learning_curves",
    "learning_rates",
    "live_curves",
    "lr_chart",
    "movement_chart",
    "pareto",
    "per_class_chart",
    "per_class_table",
    "reliability_diagrams",
    "reliability_width",
    "strategy_strip",
    "strip_legend",
    "sweep_chart",
    "sweep_rows",
    "threshold_chart",
    "time_parts_chart",
    "trained_chart",
    "transfer_chart",
]

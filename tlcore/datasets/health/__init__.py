"""What is wrong with a dataset, and what could be done about it."""

from tlcore.datasets.health.findings import Finding, Health, Suggestion
from tlcore.datasets.health.report import copies, health_of

__all__ = ["Finding", "Health", "Suggestion", "copies", "health_of"]

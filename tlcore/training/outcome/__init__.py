"""What a run ends with: metrics, reports, and a model to take home."""

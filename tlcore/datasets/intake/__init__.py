"""Images in: an archive, a folder or a table of labels becomes a checked dataset."""

from tlcore.datasets.intake.adding import add_dataset

__all__ = ["add_dataset"]

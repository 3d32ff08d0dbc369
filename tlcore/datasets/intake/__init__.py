"""Images in: an archive, a folder, a table of labels, an address or a public set becomes a checked dataset."""

from tlcore.datasets.intake.adding import add_dataset
from tlcore.datasets.intake.public_sets import SETS, PublicSet, find_set, is_public
from tlcore.datasets.intake.sources import find_source, is_elsewhere

__all__ = ["SETS", "PublicSet", "add_dataset", "find_set", "find_source", "is_elsewhere", "is_public"]

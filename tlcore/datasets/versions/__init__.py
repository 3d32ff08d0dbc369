"""Versions of a dataset: edits make a new one, the old one stays; with a data card, a history and a download."""

from tlcore.datasets.versions.card import DataCard, change_card, packed_card, read_card, write_card
from tlcore.datasets.versions.derive import derive
from tlcore.datasets.versions.edits import (
    EDITS,
    Edit,
    LeaveOut,
    Move,
    Relabel,
    RenameClass,
)
from tlcore.datasets.versions.lineage import Version, freed_bytes, versions_of
from tlcore.datasets.versions.packing import pack

__all__ = [
    "EDITS",
    "DataCard",
    "Edit",
    "LeaveOut",
    "Move",
    "Relabel",
    "RenameClass",
    "Version",
    "change_card",
    "derive",
    "freed_bytes",
    "pack",
    "packed_card",
    "read_card",
    "versions_of",
    "write_card",
]

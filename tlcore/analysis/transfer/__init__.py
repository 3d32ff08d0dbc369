"""Transfer measures against the from-scratch runs of the same comparison."""

from tlcore.analysis.transfer.rows import TransferRow, transfer_rows
from tlcore.analysis.transfer.thresholds import Reached, threshold_rows
from tlcore.analysis.transfer.words import (
    EXPLAINED,
    REACHED_EXPLAINED,
    amount_words,
    missing_words,
    threshold_table,
    transfer_sentences,
    transfer_table,
    wait_words,
)

__all__ = [
    "EXPLAINED",
    "REACHED_EXPLAINED",
    "Reached",
    "TransferRow",
    "amount_words",
    "missing_words",
    "threshold_rows",
    "threshold_table",
    "transfer_rows",
    "transfer_sentences",
    "transfer_table",
    "wait_words",
]

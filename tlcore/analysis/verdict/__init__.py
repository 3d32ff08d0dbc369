"""The verdict: which strategy to use, by how much it wins, how sure that is, and what is not known."""

from tlcore.analysis.verdict.decision import Decision, decide
from tlcore.analysis.verdict.pairs import pair_rows, pairs_note
from tlcore.analysis.verdict.result import Judged, judged, verdict_of

__all__ = ["Decision", "Judged", "decide", "judged", "pair_rows", "pairs_note", "verdict_of"]

"""What a run tells the outside while it trains: the seam between training and tracking."""

from typing import Protocol

from tlcore.results import EvaluationPoint, Resolved, Trial


class Reporter(Protocol):
    """Receives the news of one run."""

    def resolved(self, resolved: Resolved) -> None:
        """Called before the first step: what the run will really use; again when tuning has chosen other values."""

    def evaluated(self, history: tuple[EvaluationPoint, ...], newest: int) -> None:
        """Called after each evaluation, once the checkpoint with this history is on disk.

        newest: how many points at the end are new; on resuming, the whole history is sent again.
        """

    def tried(self, trials: tuple[Trial, ...]) -> None:
        """Called after each trial of a tuned run, and on resuming: all that are over, the best so far chosen."""

    def progressed(self, done: float, message: str) -> None:
        """Called at every batch. done: 0…1 of the whole run. message: what is going on, for people."""

    def should_stop(self) -> bool:
        """Asked at every batch; True ends the run with `RunCancelledError`."""

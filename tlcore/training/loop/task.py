"""What a run needs and never changes, and whether it should go on."""

from dataclasses import dataclass
from pathlib import Path

from tlcore.errors import RunCancelledError
from tlcore.recipes import Recipe
from tlcore.training.images.batches import ImageSource, Rows
from tlcore.training.loop.plan import Plan
from tlcore.training.networks.models import Network
from tlcore.training.reporter import Reporter
from tlcore.training.stopwatch import Stopwatch

PREPARED, TRAINED = 0.05, 0.95  # of the progress bar


@dataclass(frozen=True)
class Task:
    """What a run needs and never changes. train, val: row numbers. started: perf_counter at 0 total seconds.

    watch: what the time since then went into.
    """

    network: Network
    source: ImageSource
    train: Rows
    val: Rows
    num_train_full: int
    num_classes: int
    recipe: Recipe
    plan: Plan
    seed: int
    fingerprint: str
    folder: Path
    reporter: Reporter
    started: float
    watch: Stopwatch

    @property
    def evaluation_batch(self) -> int:
        """Images at once without gradients, which needs less than half the memory of training."""
        return 2 * self.recipe.batch_size


def check_stop(reporter: Reporter) -> None:
    """Raises: RunCancelledError when somebody asked for the end."""
    if reporter.should_stop():
        raise RunCancelledError("the run was stopped; it goes on from its checkpoint when it is resumed")

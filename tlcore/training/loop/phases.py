"""All phases of a run, one after the other, from wherever it stands."""

from tlcore.recipes import FitRecipe
from tlcore.training.features.fitting import fit_phase
from tlcore.training.features.store import Features
from tlcore.training.loop.checkpoints import State
from tlcore.training.loop.phase import train_phase
from tlcore.training.loop.task import Task


def train(task: Task, state: State, stored: Features) -> None:
    """Do what is left of the phases. stored: of the network as it started.

    Raises: RunCancelledError with a checkpoint written, NonFiniteLossError, TrainingError.
    """
    while state.phase < len(task.recipe.phases):
        phase = task.recipe.phases[state.phase]
        if isinstance(phase, FitRecipe):
            fit_phase(task, state, phase, stored)
        else:
            train_phase(task, state, phase, stored)

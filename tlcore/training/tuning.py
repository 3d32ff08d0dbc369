"""`tune`: several trials of one run, of which the best on validation is the run. No trial meets the test split.

Each trial is a whole training with the run's own budget and split, in a checkpoint folder of its own. `trials.json`
lists those that are over, so that a run goes on after a stop with the trial that it stood in. What a process does
before its trials counts as time of its first one, so that a process that ends before its first checkpoint counts for
nothing, as in every run.
"""

import json
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import Field, TypeAdapter

from tlcore.errors import NonFiniteLossError
from tlcore.recipes import Recipe
from tlcore.recipes.search import trial_settings
from tlcore.results import EvaluationPoint, PartMetrics, Resolved, RunOutcome, TimePart, Trial, Value
from tlcore.strategies import SettingValue
from tlcore.training.features.store import feature_seconds
from tlcore.training.loop.checkpoints import LAST, State, write_text
from tlcore.training.loop.phase import rank_of
from tlcore.training.loop.phases import train
from tlcore.training.loop.task import Task
from tlcore.training.networks.models import model_facts
from tlcore.training.prepare import Ground, Prepared, prepare, recipe_of, resume
from tlcore.training.reporter import Reporter

TRIALS = "trials.json"


class Ended(Value):
    """A trial that is over. val: of its best network. own_seconds: its curve's, which pay for stored features again.

    total_seconds: of the run, on the wall, when it ended. seconds_by_part: what the trial's own went into.
    """

    trial: Trial
    val: PartMetrics | None
    own_seconds: float
    total_seconds: float
    seconds_by_part: dict[TimePart, float] = Field(default_factory=dict)


_ENDED = TypeAdapter(tuple[Ended, ...])


@dataclass(frozen=True)
class Tuned:
    """All trials of a run. recipe, folder: of the chosen one. started: perf_counter at 0 total seconds of the run.

    before: what seconds that no trial counts went into.
    """

    ended: tuple[Ended, ...]
    recipe: Recipe
    folder: Path
    started: float
    before: Mapping[TimePart, float]

    @property
    def trials(self) -> tuple[Trial, ...]:
        """What was tried, the chosen one marked."""
        return tuple(e.trial for e in self.ended)

    def charged(self, outcome: RunOutcome) -> RunOutcome:
        """The chosen trial's outcome, with the cost of all of them."""
        parts = Counter(self.before)
        for seconds_of in (outcome.seconds_by_part, *(e.seconds_by_part for e in self.ended if not e.trial.chosen)):
            parts.update(seconds_of)
        seconds = sum(e.trial.train_seconds for e in self.ended)
        chosen = next(e for e in self.ended if e.trial.chosen)
        return outcome.model_copy(
            update={
                "train_seconds": seconds,
                "tuning_seconds": max(0.0, seconds - chosen.own_seconds),
                "total_seconds": time.perf_counter() - self.started,
                "trials": self.trials,
                "seconds_by_part": dict(parts),
            }
        )


@dataclass(frozen=True)
class TrialReporter:
    """Passes on the progress of one trial; its curve is kept back, as the run's curve is the chosen trial's."""

    reporter: Reporter
    number: int
    count: int

    def resolved(self, resolved: Resolved) -> None:
        """The run says it."""

    def evaluated(self, history: tuple[EvaluationPoint, ...], newest: int) -> None:
        """The chosen trial's is sent when it is known."""

    def tried(self, trials: tuple[Trial, ...]) -> None:
        """The run says it."""

    def progressed(self, done: float, message: str) -> None:
        """Of all trials."""
        trial = f"trial {self.number + 1} of {self.count}"
        self.reporter.progressed((self.number + done) / self.count, f"{trial}, {message}")

    def should_stop(self) -> bool:
        """As the run."""
        return self.reporter.should_stop()


def tune(ground: Ground, before: Mapping[TimePart, float]) -> Tuned:
    """Do the trials that are not over yet, and choose one by the run's own rule.

    before: what the seconds of this process went into so far.
    Raises: RunCancelledError with a checkpoint written; NonFiniteLossError when every trial diverged.
    """
    recipe, folder = recipe_of(ground), ground.work_dir / "checkpoint"
    ended = _load(folder)
    under_way = (folder / f"trial-{len(ended)}" / LAST).exists()  # then its checkpoint knows the time
    earlier = ended[-1].total_seconds if ended and not under_way else 0.0
    ground = replace(ground, started=ground.started - earlier)
    if ended:
        ground.reporter.tried(_marked(ended))
    for number in range(len(ended), ground.spec.tune):
        found, ground = _trial(ground, recipe, folder / f"trial-{number}", number, before)
        before = {}
        ended = (*ended, found)
        write_text(folder / TRIALS, _ENDED.dump_json(ended).decode())
        _forget(folder, ended)
        ground.reporter.tried(_marked(ended))
    best = _best(ended)
    if best is None:
        raise NonFiniteLossError(f"every trial diverged, {len(ended)} in all; the first: {ended[0].trial.error}")
    chosen = recipe_of(ground, ended[best].trial.settings)
    marked = tuple(e.model_copy(update={"trial": t}) for e, t in zip(ended, _marked(ended), strict=True))
    return Tuned(marked, chosen, folder / f"trial-{best}", ground.started, before)


def _trial(
    ground: Ground, recipe: Recipe, folder: Path, number: int, before: Mapping[TimePart, float]
) -> tuple[Ended, Ground]:
    """Do one trial, or go on with it; the ground with the wall clock that its checkpoint knew of.

    before: what seconds that count as the trial's went into.
    """
    spec = ground.spec
    settings = trial_settings(spec.entry, recipe, model_facts(spec.model), spec.settings, spec.seed, number)
    reporter = TrialReporter(ground.reporter, number, spec.tune)
    prepared = prepare(ground, recipe_of(ground, settings), folder, reporter)
    prepared.task.watch.include(before)
    shared = _paid_before(prepared, number)
    task, state = resume(prepared.task)
    error = None
    try:
        train(task, state, prepared.stored)
    except NonFiniteLossError as problem:
        error = str(problem)
    return _ended(task, state, number, settings, error, shared), replace(ground, started=task.started)


def _paid_before(prepared: Prepared, number: int) -> float:
    """The seconds of stored features that the first trial has paid for. prepared: at its start."""
    return feature_seconds(prepared.task, prepared.stored) if number else 0.0


def _ended(
    task: Task, state: State, number: int, settings: dict[str, SettingValue], error: str | None, shared: float
) -> Ended:
    val = state.best.val if state.best is not None and error is None else None
    trial = Trial(
        number=number,
        settings=settings,
        val_accuracy=val.accuracy if val else None,
        val_loss=val.loss if val else None,
        train_seconds=max(0.0, state.train_seconds - shared),
        error=error,
    )
    total = time.perf_counter() - task.started
    return Ended(
        trial=trial,
        val=val,
        own_seconds=state.train_seconds,
        total_seconds=total,
        seconds_by_part=task.watch.seconds,
    )


def _best(ended: tuple[Ended, ...]) -> int | None:
    """The number of the best trial; the earlier of two equal ones."""
    ranked = [(rank_of(e.val), -number) for number, e in enumerate(ended) if e.val is not None]
    return -max(ranked)[1] if ranked else None


def _marked(ended: tuple[Ended, ...]) -> tuple[Trial, ...]:
    """The trials, the best so far marked as chosen."""
    best = _best(ended)
    return tuple(e.trial.model_copy(update={"chosen": number == best}) for number, e in enumerate(ended))


def _forget(folder: Path, ended: tuple[Ended, ...]) -> None:
    """Remove the weights of trials that are over and not the best."""
    best = _best(ended)
    for number in range(len(ended)):
        if number != best:
            shutil.rmtree(folder / f"trial-{number}", ignore_errors=True)


def _load(folder: Path) -> tuple[Ended, ...]:
    path = folder / TRIALS
    return _ENDED.validate_python(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else ()

"""`python -m tlcore.worker --slot SLOT`: the one place where training meets tracking. Imported by nobody."""

import argparse
import importlib
import logging
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlcore import tracking
from tlcore.errors import StorageError
from tlcore.jobs.caretaking import work_folder
from tlcore.jobs.questions import GET_READY
from tlcore.jobs.queue import Kind
from tlcore.jobs.removing import zip_folder
from tlcore.jobs.serving import Assignment, Handler, serve
from tlcore.results import EvaluationPoint, Resolved, RunOutcome, TrainedOn, TrainedStep, Trial
from tlcore.settings import Settings, get_settings
from tlcore.spec import RunSpec

if TYPE_CHECKING:
    from tlcore.datasets.dataset import Dataset, DatasetInfo, Split

_log = logging.getLogger("tlcore.worker")
MAX_NAMED = 20  # files that an import of known content left out, by name


class RunReporter:
    """Passes the news of a run to MLflow and to the queue. Implements `training.reporter.Reporter`.

    unsent: how many points at the end of the history MLflow did not take; the checkpoint has them all. untold: trials
    that it did not take.
    """

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.history: tuple[EvaluationPoint, ...] = ()
        self.unsent = 0
        self.untold: tuple[Trial, ...] = ()

    def resolved(self, resolved: Resolved) -> None:
        """What the run will really use."""
        tracking.log_resolved(self.assignment.settings, self.assignment.job.id, resolved)

    def evaluated(self, history: tuple[EvaluationPoint, ...], newest: int) -> None:
        """The checkpoint with this history is on disk, so points that MLflow refuses now are sent with the next one."""
        self.history = history
        self.unsent = min(self.unsent + newest, len(history))
        try:
            self.send()
        except StorageError as problem:
            _log.warning(
                "MLflow did not take step %d, the next evaluation sends it again: %s", history[-1].step, problem
            )

    def tried(self, trials: tuple[Trial, ...]) -> None:
        """Trials of a tuned run are over; their list is on disk, so what MLflow refuses now is sent with the next."""
        self.untold = trials
        try:
            self.send()
        except StorageError as problem:
            _log.warning("MLflow did not take trial %d, the next one sends it again: %s", trials[-1].number, problem)

    def send(self) -> None:
        """Send what MLflow does not have of the curve and the trials. Raises: StorageError."""
        if self.untold:
            tracking.log_trials(self.assignment.settings, self.assignment.job.id, self.untold)
            self.untold = ()
        if self.unsent:
            tracking.log_points(self.assignment.settings, self.assignment.job.id, self.history, self.unsent)
            self.unsent = 0

    def progressed(self, done: float, message: str) -> None:
        """How far it is."""
        self.assignment.progress(done, message)

    def should_stop(self) -> bool:
        """Asked at every batch."""
        return self.assignment.should_stop()


def do_run(assignment: Assignment) -> None:
    """Train a run, or go on with it from its checkpoint, and put everything into MLflow."""
    from tlcore.datasets import splits, store

    settings, run_id = assignment.settings, assignment.job.id
    assignment.progress(0.0, "loading libraries")
    spec = on_slot(RunSpec.model_validate(assignment.job.payload), assignment.job.slot)
    work_dir = work_folder(settings, run_id)
    work_dir.mkdir(parents=True, exist_ok=True)
    tracking.start_run(settings, run_id)
    train = load_trainer(settings)
    assignment.progress(0.0, "opening the dataset")
    dataset = store.load_dataset(spec.dataset_id, settings)
    split = splits.make_split(dataset, spec.seed, spec.fraction, spec.split)
    reporter = RunReporter(assignment)
    with tracking.system_metrics(settings, run_id):
        weights = fetch_weights(settings, spec, work_dir)
        learned = trained_on(settings, run_id, spec, dataset, split)
        outcome = train(
            spec, dataset, split, work_dir, settings.cache, reporter, weights_path=weights, trained_on=learned
        )
        _log.info("%s", where_time_went(outcome))
        tracking.write_trained_on(settings, work_dir, learned)
        reporter.send()
        log_end(settings, run_id, work_dir, outcome, reporter.history)


def where_time_went(outcome: RunOutcome) -> str:
    """For the run's log: its parts, the longest first, and its images per second."""
    parts = sorted(outcome.seconds_by_part.items(), key=lambda part: -part[1])
    pace = "" if outcome.images_per_second is None else f", {outcome.images_per_second:,.1f} images per second"
    return f"{outcome.total_seconds:.2f} s{pace}; {', '.join(f'{name} {seconds:.2f} s' for name, seconds in parts)}"


def on_slot(spec: RunSpec, slot: str) -> RunSpec:
    """The spec with the slot's own device where the person left the choice open: `auto`, or `cuda` without an index.

    What was chosen at the launch stays, whatever this machine has now: a run never moves to where others train.
    `auto:DEVICE` is `training.device.pick_device`'s name for a device that `auto` has chosen before.
    """
    device = "cpu" if slot == "cpu:0" else slot
    if spec.device == "auto":
        return spec.model_copy(update={"device": f"auto:{device}"})
    return spec.model_copy(update={"device": device}) if spec.device == "cuda" and device != "cpu" else spec


def fetch_weights(settings: Settings, spec: RunSpec, work_dir: Path) -> Path | None:
    """The file behind `run:RUN_ID`; None for sources that training resolves itself. Raises: NotFoundError."""
    source, _, run_id = spec.weights.partition(":")
    if source != "run":
        return None
    return tracking.download_model(settings, run_id, work_dir / "weights") / "weights.safetensors"


def trained_on(settings: Settings, run_id: str, spec: RunSpec, dataset: "Dataset", split: "Split") -> TrainedOn:
    """The images that the run learned from, with those of the run that its weights came from. Raises: NotFoundError."""
    hashes = dataset.images["sha256"]
    seen = tuple(sorted({str(hashes.iloc[row]) for row in (*split.train, *split.val)}))
    own = TrainedStep(run_id=run_id, dataset_name=dataset.info.name, images=seen)
    kind, _, source = spec.weights.partition(":")
    earlier = None
    if kind == "run":
        earlier = tracking.load_trained_on(settings, source)
    elif kind == "file":
        earlier = tracking.trained_on_of_file(Path(source).expanduser())
    return TrainedOn(steps=(own, *(earlier.steps if earlier else ())))


def log_end(
    settings: Settings, run_id: str, work_dir: Path, outcome: RunOutcome, history: tuple[EvaluationPoint, ...]
) -> None:
    """Send final metrics, at the time of the last point, and all files."""
    last = history[-1]
    tracking.log_outcome(settings, run_id, outcome, last.timestamp_ms, last.step)
    tracking.upload_artifacts(settings, run_id, work_dir)


def load_trainer(settings: Settings) -> Any:
    """`training.run.train_run`, or what tests put in its place."""
    module, _, name = settings.trainer.partition(":")
    return getattr(importlib.import_module(module), name)


def do_import(assignment: Assignment) -> str:
    """Import a dataset; returns its id and, where it was there before, what is to be said, a line each."""
    from tlcore.datasets.intake import add_dataset
    from tlcore.datasets.store import load_info

    payload, settings = assignment.job.payload, assignment.settings
    found = add_dataset(
        payload["path"],
        payload["name"],
        settings,
        progress=assignment.progress,
        should_stop=assignment.should_stop,
    )
    return "\n".join([found.id, *_news(found, load_info(found.id, settings))])


def _news(found: "DatasetInfo", kept: "DatasetInfo") -> list[str]:
    """What an import told that the dataset that was there does not: nothing where the import made it."""
    if found == kept:
        return []
    out = [f"Left out this time: {left.path}: {left.reason}" for left in found.left_out[:MAX_NAMED]]
    more = len(found.left_out) - len(out)
    told = [*(note for note in found.notes if note not in kept.notes), *out]
    told += [f"{more:,} more files were left out."] if more > 0 else []
    return [" ".join(line.split()) for line in told]


def do_version(assignment: Assignment) -> str:
    """Make a version of a dataset by edits; returns its id."""
    from tlcore.datasets.versions import EDITS, derive

    payload, settings = assignment.job.payload, assignment.settings
    edits = EDITS.validate_python(payload["edits"])
    return derive(payload["dataset_id"], edits, settings, assignment.progress, assignment.should_stop).id


def do_zip(assignment: Assignment) -> str:
    """Pack a dataset; returns the path of the zip. What an attempt before this one left is removed."""
    from tlcore.datasets.versions import pack

    settings, dataset_id = assignment.settings, assignment.job.payload["dataset_id"]
    folder = zip_folder(settings, assignment.job.id)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    to = folder / f"{dataset_id}.zip"
    return str(pack(dataset_id, to, settings, assignment.progress, assignment.should_stop))


def get_ready(settings: Settings) -> dict[str, Any]:
    """Load what runs need, which takes seconds, before there is one. Raises: StorageError."""
    load_trainer(settings)
    tracking.connect(settings)
    return {"ok": True, "answer": None}


def do_question(assignment: Assignment) -> dict[str, Any]:
    """Answer a question; errors that a person can act on are part of the answer. Raises: RunCancelledError."""
    if assignment.job.payload["question"] == GET_READY:
        return get_ready(assignment.settings)
    from tlcore.training.answer import answer

    return answer(assignment.job.payload, assignment)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tlcore.worker")
    parser.add_argument("--slot", required=True, help="cpu:0, cuda:INDEX, import:0 or import:1")
    slot: str = parser.parse_args().slot
    handlers: dict[Kind, Handler] = (
        {"import": do_import, "version": do_version, "zip": do_zip}
        if slot.startswith("import:")
        else {"run": do_run, "question": do_question}
    )
    serve(get_settings(), slot, handlers)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A trainer without torch for tests of the queue: it counts steps, keeps a checkpoint, and misbehaves on demand.

Overrides of the spec steer it: `steps`, `pause` (seconds per step), `fail` (a message to raise), `die_at` (a step at
which the process kills itself, `die_times` times), `deaf` (never looks whether to stop), `disk_full`, `megabytes` (used
in small pieces, of which only the last is still there when the run ends).
"""

import errno
import json
import os
import signal
import time
from pathlib import Path

import pandas as pd

from tests.helpers_mlflow import CONFUSION, PER_CLASS, make_outcome
from tlcore.datasets.dataset import Dataset, Split
from tlcore.errors import RunCancelledError, TrainingError
from tlcore.results import EvaluationPoint, Resolved, RunOutcome, TrainedOn
from tlcore.spec import RunSpec
from tlcore.training.reporter import Reporter

_LEFT: list[bytes] = []


def train(
    spec: RunSpec,
    dataset: Dataset,
    split: Split,
    work_dir: Path,
    cache_dir: Path,
    reporter: Reporter,
    weights_path: Path | None = None,
    trained_on: TrainedOn | None = None,
) -> RunOutcome:
    own = {"steps": 4, "pause": 0.02, **spec.overrides}
    trace(cache_dir, work_dir, "begin")
    reporter.resolved(make_resolved())
    checkpoint = work_dir / "checkpoint.json"
    history = _load(checkpoint)
    if history:
        reporter.evaluated(history, len(history))
    for step in range(len(history) + 1, int(own["steps"]) + 1):
        if not own.get("deaf") and reporter.should_stop():
            trace(cache_dir, work_dir, "end")
            raise RunCancelledError("cancelled")
        time.sleep(float(own["pause"]))
        history = (*history, _point(step))
        checkpoint.write_text(json.dumps([point.model_dump() for point in history]))
        trace(cache_dir, work_dir, f"step {step}")
        reporter.evaluated(history, 1)
        reporter.progressed(step / int(own["steps"]), f"step {step}")
        _misbehave(own, step, work_dir)
    write_files(work_dir)
    if "megabytes" in own:
        _LEFT.append(_use(int(own["megabytes"])))
    trace(cache_dir, work_dir, "end")
    return make_outcome()


def trace(cache_dir: Path, work_dir: Path, event: str) -> None:
    """One line per event, in a file that all runs share."""
    cache_dir.mkdir(parents=True, exist_ok=True)
    line = {"run": work_dir.name, "event": event, "time": time.time(), "pid": os.getpid()}
    with (cache_dir / "trace.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def _use(megabytes: int) -> bytes:
    """The last of the pieces, above which nothing was taken."""
    pieces = [bytes(50_000) for _ in range(20 * megabytes)]
    return pieces.pop()


def _misbehave(own: dict, step: int, work_dir: Path) -> None:
    if step != int(own.get("at", 2)):
        return
    if "fail" in own:
        raise TrainingError(str(own["fail"]))
    if own.get("bug"):
        raise ZeroDivisionError("division by zero")
    if own.get("disk_full"):
        raise OSError(errno.ENOSPC, "No space left on device")
    deaths = work_dir / "deaths"
    died = len(deaths.read_text()) if deaths.exists() else 0
    if died < int(own.get("die_times", 0)):
        deaths.write_text("x" * (died + 1))
        checkpoint = work_dir / "checkpoint.json"
        checkpoint.write_text(json.dumps(json.loads(checkpoint.read_text())[:-1]))  # die at this step again
        os.kill(os.getpid(), signal.SIGKILL)


def _load(checkpoint: Path) -> tuple[EvaluationPoint, ...]:
    if not checkpoint.exists():
        return ()
    return tuple(EvaluationPoint(**point) for point in json.loads(checkpoint.read_text()))


def _point(step: int) -> EvaluationPoint:
    return EvaluationPoint(
        step=step,
        epoch=float(step),
        images_seen=32 * step,
        train_seconds=0.1 * step,
        timestamp_ms=time.time_ns() // 1_000_000,
        phase=0,
        train_loss=1 / step,
        val_accuracy=0.5,
    )


def make_resolved() -> Resolved:
    return Resolved(
        device="cpu", device_reason="asked for", dtype="float32", num_threads=1, image_size=32, batch_size=4,
        total_steps=4, num_train=12, num_val=4, num_test=4, split_fingerprint="s", test_fingerprint="t",
        weights_fingerprint=None, recipe={"phases": [{"learning_rate": 0.01}]},
    )  # fmt: skip


def write_files(work_dir: Path) -> None:
    """What a finished run leaves behind."""
    files, model = work_dir / "artifacts", work_dir / "model"
    files.mkdir(exist_ok=True)
    model.mkdir(exist_ok=True)
    (files / "outcome.json").write_text(make_outcome().model_dump_json())
    confusion = {part: matrix.model_dump() for part, matrix in CONFUSION.items()}
    per_class = {part: [row.model_dump() for row in rows] for part, rows in PER_CLASS.items()}
    (files / "confusion_matrix.json").write_text(json.dumps(confusion))
    (files / "per_class.json").write_text(json.dumps(per_class))
    (files / "history.json").write_text((work_dir / "checkpoint.json").read_text())
    (files / "resolved.json").write_text(make_resolved().model_dump_json())
    frame = {"split": ["val", "test"], "path": ["a", "b"], "label": [0, 1], "predicted": [0, 1]}
    pd.DataFrame({**frame, "prob_0": [0.9, 0.2], "prob_1": [0.1, 0.8]}).to_parquet(files / "predictions.parquet")
    (model / "model.json").write_text(json.dumps({"format": 1, "classes": ["ants", "bees"]}))
    (model / "weights.safetensors").write_bytes(b"none")

"""What tests of training share: tiny datasets, random "pretrained" weights, and a reporter that remembers."""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import torch
from PIL import Image
from safetensors.torch import save_file

from tests.helpers import make_image_folder
from tlcore.datasets.dataset import Dataset, DatasetInfo, Split
from tlcore.datasets.splits import make_split
from tlcore.results import EvaluationPoint, Resolved, RunOutcome, Trial
from tlcore.spec import Budget, RunSpec
from tlcore.strategies import STRATEGIES
from tlcore.training.device import Device, pick_device
from tlcore.training.loop.task import Task
from tlcore.training.networks.models import build_network
from tlcore.training.prepare import Ground, prepare, recipe_of
from tlcore.training.run import train_run

FLOAT32 = Device(torch.device("cpu"), "float32, so that oracles agree", torch.float32)


def tiny_dataset(folder: Path, classes: int = 3, per_class: int = 10, size: int = 32) -> Dataset:
    """A dataset of drawn pictures, as an import would leave it."""
    return dataset_of(make_image_folder(folder, classes, per_class, size))


def dataset_of(root: Path) -> Dataset:
    """A folder of class folders, or of parts with class folders, as a dataset; nothing is checked or copied."""
    files = sorted(p for p in root.rglob("*") if p.suffix.lower() in (".png", ".jpg", ".jpeg"))
    names = tuple(sorted({p.parent.name for p in files}))
    sizes = [Image.open(p).size for p in files]
    images = pd.DataFrame(
        {
            "path": [p.relative_to(root).as_posix() for p in files],
            "label": [names.index(p.parent.name) for p in files],
            "part": [p.relative_to(root).parts[0] if len(p.relative_to(root).parts) == 3 else "" for p in files],
            "sha256": [hashlib.sha256(p.read_bytes()).hexdigest() for p in files],
            "width": [s[0] for s in sizes],
            "height": [s[1] for s in sizes],
            "mode": "RGB",
        }
    )
    parts = sorted(set(images["part"]))
    info = DatasetInfo(
        id="tiny",
        name="tiny",
        fingerprint=hashlib.sha256("".join(images["sha256"]).encode()).hexdigest(),
        classes=names,
        num_images=len(images),
        class_counts={name: int((images["label"] == i).sum()) for i, name in enumerate(names)},
        part_counts=images["part"].value_counts().to_dict(),
        given="none" if parts == [""] else "train_val",
        short_side=int(pd.Series([min(s) for s in sizes]).median()),
        total_bytes=0,
        created_ms=0,
        source=str(root),
    )
    return Dataset(info, images, root)


def pretrained(folder: Path, model: str = "test_resnet.r160_in1k") -> Path:
    """Random weights of a 1,000-way network in a file."""
    path = folder / f"{model.replace(':', '_')}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        torch.manual_seed(99)
        tensors = build_network(model, 1000).module.state_dict()
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


class Crash(BaseException):
    """What a killed process looks like from inside: nothing gets to clean up."""


@dataclass
class Recorder:
    """A reporter that remembers. It stops after being asked `stop_after` times, or when `stop_at` steps are done;
    it crashes when `crash_at` steps or `crash_after_trials` trials are done."""

    stop_after: int | None = None
    stop_at: int | None = None
    crash_at: int | None = None
    crash_after_trials: int | None = None
    asked: int = 0
    step: int = 0
    resolution: Resolved | None = None
    histories: list[tuple[tuple[EvaluationPoint, ...], int]] = field(default_factory=list)
    messages: list[tuple[float, str]] = field(default_factory=list)
    trials: tuple[Trial, ...] = ()

    def resolved(self, resolved: Resolved) -> None:
        assert self.resolution is None or self.trials, "only tuning says it twice"
        self.resolution = resolved

    def evaluated(self, history: tuple[EvaluationPoint, ...], newest: int) -> None:
        self.histories.append((history, newest))

    def tried(self, trials: tuple[Trial, ...]) -> None:
        self.trials = trials
        if len(trials) == self.crash_after_trials:
            raise Crash

    def progressed(self, done: float, message: str) -> None:
        self.messages.append((done, message))
        found = re.search(r"step (\d+) of", message)
        self.step = int(found[1]) if found else self.step
        if self.crash_at is not None and self.step >= self.crash_at:
            raise Crash

    def should_stop(self) -> bool:
        self.asked += 1
        if self.stop_at is not None and self.step >= self.stop_at:
            return True
        return self.stop_after is not None and self.asked > self.stop_after


@dataclass
class Bench:
    """A place to try runs: a dataset, weights, and folders for work and cache."""

    folder: Path
    dataset: Dataset
    model: str = "test_resnet"
    budget: Budget = field(default_factory=lambda: Budget(epochs=3))
    batch_size: int | None = 8
    seed: int = 0

    def spec(self, strategy: str, **changes: object) -> RunSpec:
        weights = f"file:{pretrained(self.folder / 'weights', self.model)}"
        values = {
            "dataset_id": self.dataset.info.id,
            "dataset_fingerprint": self.dataset.info.fingerprint,
            "budget": self.budget,
            "image_size": 32,
            "batch_size": self.batch_size,
            "device": "cpu",
            "num_threads": 1,
            "model": self.model,
            "weights": weights if STRATEGIES[strategy].needs_weights else "none",
            "strategy": strategy,
            "seed": self.seed,
        }
        return RunSpec(**{**values, **changes})

    def split(self, spec: RunSpec) -> Split:
        return make_split(self.dataset, spec.seed, spec.fraction)

    def work(self, name: str) -> Path:
        return self.folder / "work" / name

    def task(self, spec: RunSpec) -> Task:
        """A run before its first step, with nothing to go on from."""
        work = self.work("task")
        ground = Ground(
            spec, self.dataset, self.split(spec), work, self.folder / "cache", Recorder(), None,
            pick_device(spec.device), 0.0,
        )  # fmt: skip
        return prepare(ground, recipe_of(ground), work, Recorder()).task

    def run(self, spec: RunSpec, name: str, reporter: Recorder | None = None) -> RunOutcome:
        recorder = reporter or Recorder()
        return train_run(spec, self.dataset, self.split(spec), self.work(name), self.folder / "cache", recorder)

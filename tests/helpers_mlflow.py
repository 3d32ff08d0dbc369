"""MLflow stores for tests: the schema is made once and copied, since making it takes 1.5 s."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tlcore.results import ClassMetrics, ConfusionMatrix, DatasetSummary, EvaluationPoint, PartMetrics, RunOutcome
from tlcore.settings import Settings
from tlcore.spec import Budget, ComparisonSpec
from tlcore.tracking import connect, relocate

DATASET = DatasetSummary(
    id="tiny-0123",
    name="tiny",
    fingerprint="0123456789abcdef" * 4,
    num_images=20,
    num_classes=2,
    classes=("ants", "bees"),
    splits={"train": 12, "val": 4, "test": 4},
)


def make_template(folder: Path) -> Path:
    """A migrated, empty store; returns its database."""
    connect(Settings(home=folder, mlflow_tracking_uri=None))
    return folder / "mlflow.db"


def copy_template(template: Path, settings: Settings) -> None:
    """Put a copy of the template into the home of these settings."""
    settings.root.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(template)) as source, closing(sqlite3.connect(settings.root / "mlflow.db")) as target:
        source.backup(target)
    relocate(settings)


def make_spec(dataset: DatasetSummary = DATASET, **values: object) -> ComparisonSpec:
    """A small comparison: two strategies, one seed."""
    given = {"models": ("test_resnet",), "strategies": ("from_scratch", "fine_tuning"), "budget": Budget(epochs=2)}
    return ComparisonSpec(dataset_id=dataset.id, dataset_fingerprint=dataset.fingerprint, **{**given, **values})


def make_history(count: int = 3) -> tuple[EvaluationPoint, ...]:
    """A curve with times of its own, as a checkpoint keeps it."""
    return tuple(
        EvaluationPoint(
            step=10 * (i + 1),
            epoch=i + 1.0,
            images_seen=320 * (i + 1),
            train_seconds=1.5 * (i + 1),
            timestamp_ms=1_700_000_000_000 + 1_000 * i,
            phase=0,
            train_loss=1.0 / (i + 1),
            train_accuracy=0.5,
            val_loss=1.1 / (i + 1),
            val_accuracy=0.25 * (i + 1),
            learning_rates={"head": 0.01, "backbone": 0.001},
        )
        for i in range(count)
    )


def make_outcome(**values: object) -> RunOutcome:
    """How an invented run ended; its test loss and calibration do not exist."""
    part = PartMetrics(num_images=4, accuracy=0.75, balanced_accuracy=0.7, loss=0.6, ece=0.1)
    given: dict[str, object] = {
        "train": part,
        "val": part.model_copy(update={"accuracy": 0.5}),
        "test": PartMetrics(num_images=4, accuracy=0.75, balanced_accuracy=0.7),
        "last_val": part,
        "best_step": 20,
        "best_epoch": 2.0,
        "epochs": 3.0,
        "images_seen": 960,
        "train_seconds": 4.5,
        "total_seconds": 6.0,
        "peak_memory_bytes": None,
        "num_parameters": 1000,
        "num_trainable_parameters": 1000,
    }
    return RunOutcome(**{**given, **values})


CONFUSION = {part: ConfusionMatrix(classes=("ants", "bees"), counts=((2, 0), (1, 1))) for part in ("val", "test")}
PER_CLASS = {
    part: tuple(ClassMetrics(name=name, num_images=2, precision=0.5, recall=0.5, f1=0.5) for name in ("ants", "bees"))
    for part in ("val", "test")
}

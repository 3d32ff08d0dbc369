"""Taking a winner home: predictions on new photographs, and everything needed to use the network elsewhere."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from tlcore import tracking
from tlcore.errors import NotFoundError, StorageError
from tlcore.results import Value
from tlcore.service import models
from tlcore.settings import get_settings


class Prediction(Value):
    """One photograph's answer. probabilities: per class, None where the classifier has none."""

    path: str
    predicted: str
    probabilities: dict[str, float] | None
    seconds: float

    @property
    def confidence(self) -> float | None:
        return None if self.probabilities is None else self.probabilities[self.predicted]


def predict(run_ids: list[str], images: list[Path]) -> dict[str, list[Prediction]]:
    """Every run's answer to every photograph, in order. Raises: ImageError, NotFoundError."""
    missing = [str(path) for path in images if not path.is_file()]
    if missing:
        raise NotFoundError(f"no image at {', '.join(missing)}: name files that exist")
    folders = {run_id: str(model_folder(run_id)) for run_id in run_ids}
    request: dict[str, Any] = {"question": "predict", "models": folders, "images": [str(p.absolute()) for p in images]}
    answers = models.ask(request)
    return {run_id: [Prediction.model_validate(a) for a in given] for run_id, given in answers.items()}


def model_folder(run_id: str) -> Path:
    """The run's `model/` artifacts in the local cache, fetched once. Raises: NotFoundError."""
    folder = get_settings().cache / "models" / run_id
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as staging:
            tracking.download_model(get_settings(), run_id, Path(staging)).rename(folder)
    return folder


# What a person needs without MLflow: no pickle, no code of ours.
TAKE_HOME_FILES = (
    "weights.safetensors",
    "model.json",
    "labels.txt",
    "preprocessing.json",
    "predict.py",
    "pixels.py",
    "knn.safetensors",
    "network.py",
    "backbone.onnx",
    "backbone.onnx.json",
)


def export(run_id: str, to: Path) -> list[Path]:
    """Copy weights, labels, preprocessing and the script to a folder. Raises: NotFoundError, StorageError."""
    source = model_folder(run_id)
    files = [file for file in source.rglob("*") if file.name in TAKE_HOME_FILES]
    try:
        to.mkdir(parents=True, exist_ok=True)
        return [Path(shutil.copy2(file, to / file.name)) for file in files]
    except OSError as error:
        raise StorageError(f"cannot write to {to}: {error.strerror}; name a folder that can be written") from error


def export_zip(run_id: str) -> bytes:
    """The same files as one zip, for a browser."""
    with tempfile.TemporaryDirectory() as folder:
        export(run_id, Path(folder) / "model")
        return Path(shutil.make_archive(str(Path(folder) / "download"), "zip", folder, "model")).read_bytes()

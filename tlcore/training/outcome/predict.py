"""What trained models say of photos: the same as the predict.py of a model folder, in float32 on the CPU."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from tlcore.datasets.pictures.decoding import open_rgb
from tlcore.datasets.pictures.geometry import evaluation_pixels
from tlcore.errors import NotFoundError
from tlcore.recipes import NetworkRecipe, Preprocessing
from tlcore.training.features.classifiers import Neighbors, neighbor_votes
from tlcore.training.images.augmentation import normalize
from tlcore.training.networks import models, onnx_network
from tlcore.training.networks.models import Network
from tlcore.training.networks.names import ONNX

FORMAT = 1


@dataclass(frozen=True)
class Model:
    """A model folder, loaded. neighbors: the reference images of a k-NN, else None."""

    network: Network
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    neighbors: Neighbors | None
    has_probabilities: bool


def predict(model_dirs: dict[str, Path], images: list[Path]) -> dict[str, list[dict[str, Any]]]:
    """For each model, by its run id, one entry per image in the order given.

    An entry has path, predicted (a class), probabilities (by class, or None for a classifier that has none) and
    seconds (forward pass alone). Raises: ImageError naming the file, NotFoundError for a folder that is no model.
    """
    pictures = [(path, open_rgb(path)) for path in images]
    answers: dict[str, list[dict[str, Any]]] = {}
    for run_id, folder in model_dirs.items():
        model = load_model(folder)
        inputs = ((path, _prepared(evaluation_pixels(image, model.preprocessing), model)) for path, image in pictures)
        answers[run_id] = [_answer(model, path, pixels) for path, pixels in inputs]
    return answers


def load_model(folder: Path) -> Model:
    """A model folder as written by `export.write_model`. Raises: NotFoundError, ModelError."""
    description = folder / "model.json"
    if not description.is_file():
        raise NotFoundError(f"{folder} is no model folder: it has no model.json")
    about = json.loads(description.read_text(encoding="utf-8"))
    if about["format"] != FORMAT:
        raise NotFoundError(
            f"{folder} has format {about['format']}, this version reads {FORMAT}: use a matching version"
        )
    changes = NetworkRecipe.model_validate(about.get("network", {}))  # older folders have none
    own = f"{ONNX}{folder / onnx_network.FILE}" if about["library"] == "onnx" else about["model"]
    network = models.build_network(own, about["num_classes"], about["image_size"], changes)
    network.module.load_state_dict(load_file(folder / "weights.safetensors"))
    network.module.eval()
    return Model(
        network=network,
        classes=tuple(about["classes"]),
        preprocessing=Preprocessing.model_validate(about["preprocessing"]),
        neighbors=_neighbors(folder, about) if about["head"] == "knn" else None,
        has_probabilities=about["probabilities"],
    )


def scores(model: Model, images: Tensor) -> Tensor:
    """Class probabilities [N, K] float64; for a classifier without any, its scores. images: [N, 3, size, size]."""
    with torch.inference_mode():
        if model.neighbors is not None:
            return neighbor_votes(model.neighbors, models.features(model.network, images))
        found = models.logits(model.network, images).double()
        return found.softmax(1) if model.has_probabilities else found


def _neighbors(folder: Path, about: dict[str, Any]) -> Neighbors:
    stored = load_file(folder / "knn.safetensors")
    return Neighbors(stored["features"], stored["labels"], about["neighbors"], about["num_classes"])


def _prepared(pixels: np.ndarray, model: Model) -> Tensor:
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float().div_(255)
    return normalize(image, model.preprocessing)


def _answer(model: Model, path: Path, image: Tensor) -> dict[str, Any]:
    begun = time.perf_counter()
    found = scores(model, image)[0]
    seconds = time.perf_counter() - begun
    probabilities = dict(zip(model.classes, found.tolist(), strict=True)) if model.has_probabilities else None
    predicted = model.classes[int(found.argmax())]
    return {"path": str(path), "predicted": predicted, "probabilities": probabilities, "seconds": seconds}

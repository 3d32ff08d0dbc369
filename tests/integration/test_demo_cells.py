"""The demo's cells and backbone: what is shipped fits, is small, and is honest about what it has seen."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tlcore.datasets import intake, splits, store
from tlcore.datasets.pictures.decoding import open_rgb
from tlcore.demo import cells, glyphs
from tlcore.demo.cells import CELLS, MODEL, SOURCE_GLYPHS, TARGET_GLYPHS, WEIGHTS_PATH
from tlcore.service.plans import make_spec
from tlcore.settings import get_settings
from tlcore.strategies import CORE
from tlcore.training.weights.loading import check_weights

LIMIT_BYTES = 1_000_000  # the limit for weights in the repository


def test_the_backbone_has_never_seen_a_target_letter_nor_its_family():
    source = {letter // glyphs.FAMILY for letter in SOURCE_GLYPHS}
    target = {letter // glyphs.FAMILY for letter in TARGET_GLYPHS}
    assert not source & target
    assert len(SOURCE_GLYPHS) >= 60
    assert len(TARGET_GLYPHS) == 10


def test_the_weights_are_small_and_hold_the_whole_backbone_and_no_head():
    assert WEIGHTS_PATH.stat().st_size < LIMIT_BYTES
    tensors = safetensors.torch.load_file(WEIGHTS_PATH)
    module = timm.create_model(MODEL, num_classes=0)
    module.load_state_dict(tensors, strict=True)
    assert all(torch.isfinite(t).all() for t in tensors.values())


def test_the_products_own_check_accepts_the_weights():
    checked = check_weights(MODEL, f"file:{WEIGHTS_PATH}")
    assert checked.usable, checked.message


def test_the_names_of_cells_are_those_of_the_grid():
    grid = {f"{likeness}-{size}" for likeness in ("similar", "different") for size in ("small", "large")}
    assert set(CELLS) == grid
    assert all(cell.id == name for name, cell in CELLS.items())
    assert cells.DEFAULT_CELL in CELLS


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_asks_for_every_strategy_with_nothing_tuned(name):
    info = type("Info", (), {"id": "demo", "fingerprint": "0" * 64})()
    spec = make_spec(info, **cells.demo_spec_arguments(CELLS[name]))
    assert set(spec.strategies) == set(CORE)
    assert spec.overrides == {}
    assert spec.weights_of(MODEL) == f"file:{WEIGHTS_PATH}"
    assert len(spec.runs()) == len(CORE) * len(spec.seeds)


@pytest.fixture(scope="module")
def small_letters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cell")
    cells.make_dataset_folder(CELLS["similar-small"], folder)
    return folder


@pytest.mark.parametrize("name", ["similar-small", "different-small"])
def test_a_cell_is_a_dataset_like_any_other(name, tmp_path):
    cell = CELLS[name]
    cells.make_dataset_folder(cell, tmp_path / "pictures")
    info = intake.add_dataset(tmp_path / "pictures", cell.title, get_settings())
    split = splits.make_split(store.load_dataset(info.id, get_settings()), seed=0)
    assert (info.given, len(info.classes), info.left_out) == ("train_test", 10, ())
    assert (len(split.train), len(split.val), len(split.test)) == (100, 30, 500)


def test_no_test_picture_is_among_the_training_pictures(small_letters):
    parts = [{p.read_bytes() for p in (small_letters / part).rglob("*.png")} for part in ("train", "test")]
    assert [len(part) for part in parts] == [130, 500]
    assert not parts[0] & parts[1]


def test_stored_features_of_unseen_letters_beat_their_raw_pixels_clearly(small_letters):
    """The point of the demo, with timm and scikit-learn alone: no part of the product computes these numbers."""
    module = timm.create_model(MODEL, num_classes=0).eval()
    module.load_state_dict(safetensors.torch.load_file(WEIGHTS_PATH), strict=True)
    pixels, labels = {}, {}
    for part in ("train", "test"):
        files = sorted((small_letters / part).rglob("*.png"))
        pixels[part] = np.stack([np.asarray(open_rgb(file), dtype=np.float32) / 255 for file in files])
        labels[part] = [file.parent.name for file in files]
    scores = {}
    for kind in ("pixels", "features"):
        inputs = {part: _as(kind, module, array) for part, array in pixels.items()}
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2_000))
        scores[kind] = model.fit(inputs["train"], labels["train"]).score(inputs["test"], labels["test"])
    assert scores["features"] > scores["pixels"] + 0.4, scores
    assert scores["features"] > 0.8, scores


def _as(kind: str, module: torch.nn.Module, pixels: np.ndarray) -> np.ndarray:
    if kind == "pixels":
        return pixels.reshape(len(pixels), -1)
    config = timm.data.resolve_model_data_config(module)
    scaled = (pixels - np.float32(config["mean"])) / np.float32(config["std"])
    with torch.inference_mode():
        return module(torch.from_numpy(scaled).permute(0, 3, 1, 2)).numpy()


def test_reading_the_cells_loads_no_torch():
    code = "import sys, tlcore.demo.cells; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

"""Test images among those that weights learned from, whichever model the weights are for."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from tlcore import tracking
from tlcore.datasets.dataset import Dataset, Split
from tlcore.errors import WeightsError
from tlcore.results import TRAINED_ON_KEY, TrainedOn, TrainedStep
from tlcore.service.leaks import require_no_leaks
from tlcore.training.loop.checkpoints import save_tensors

IMAGES = pd.DataFrame({"path": [f"{name}.png" for name in "abcd"], "sha256": list("abcd")})
LEARNED = {"clean": ("a", "x"), "leaky": ("y", "d"), "other": ("c",)}


@pytest.fixture
def dataset(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Four images, and three runs that learned from some of them."""

    def trained_on(settings: object, run_id: str) -> TrainedOn:
        return TrainedOn(steps=(TrainedStep(run_id=run_id, dataset_name="source", images=LEARNED[run_id]),))

    monkeypatch.setattr(tracking, "load_trained_on", trained_on)
    return Dataset(SimpleNamespace(name="target"), IMAGES, None)  # type: ignore[arg-type]


def split(*test: int) -> Split:
    return Split((0,), (1,), test, 1, "", "")


def refused(dataset: Dataset, sources: dict[str, str]) -> bool:
    """Whether weights are refused where the third and fourth image are for testing."""
    try:
        require_no_leaks(dataset, [split(2, 3)], sources)
    except WeightsError:
        return True
    return False


@pytest.mark.parametrize("sources", [("run:clean", "run:leaky"), ("run:leaky", "run:clean"), ("imagenet", "run:leaky")])
def test_the_weights_of_every_model_are_looked_at(dataset: Dataset, sources: tuple[str, str]) -> None:
    with pytest.raises(WeightsError, match=r"run leaky learned from 1 of the 2 test images.*d\.png"):
        require_no_leaks(dataset, [split(2, 3)], dict(zip(("resnet18", "vit"), sources, strict=True)))


def test_every_split_is_looked_at(dataset: Dataset) -> None:
    with pytest.raises(WeightsError, match=r"c\.png"):
        require_no_leaks(dataset, [split(3), split(2)], {"resnet18": "run:other"})


def test_a_runs_file_tells_what_it_learned_from(dataset: Dataset, tmp_path: Path) -> None:
    told = TrainedOn(steps=(TrainedStep(run_id="far", dataset_name="source", images=("d",)),)).model_dump_json()
    save_tensors(tmp_path / "copied.safetensors", {"a": torch.ones(2)}, {TRAINED_ON_KEY: told})
    with pytest.raises(WeightsError, match=r"run far, from which the weights of file:.* come, learned from 1.*d\.png"):
        require_no_leaks(dataset, [split(2, 3)], {"resnet18": f"file:{tmp_path / 'copied.safetensors'}"})


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x02" + bytes(7) + b"[]", b"\xff" * 40])
def test_a_file_that_no_run_left_cannot_be_asked(dataset: Dataset, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    given = {"resnet18": f"file:{tmp_path / 'w.pth'}", "vit": f"file:{tmp_path}/none"}
    assert not refused(dataset, given)


def test_weights_without_a_test_image_pass(dataset: Dataset) -> None:
    assert not refused(dataset, {"resnet18": "run:clean", "vit": "imagenet"})
    assert refused(dataset, {"resnet18": "run:clean", "vit": "run:leaky"})

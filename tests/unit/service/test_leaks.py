"""Test images among those that weights learned from, whichever model the weights are for."""

from types import SimpleNamespace

import pandas as pd
import pytest

from tlcore import tracking
from tlcore.datasets.dataset import Dataset, Split
from tlcore.errors import WeightsError
from tlcore.results import TrainedOn, TrainedStep
from tlcore.service.leaks import require_no_leaks

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


@pytest.mark.parametrize("sources", [("run:clean", "run:leaky"), ("run:leaky", "run:clean"), ("imagenet", "run:leaky")])
def test_the_weights_of_every_model_are_looked_at(dataset: Dataset, sources: tuple[str, str]) -> None:
    with pytest.raises(WeightsError, match=r"run leaky learned from 1 of the 2 test images.*d\.png"):
        require_no_leaks(dataset, [split(2, 3)], dict(zip(("resnet18", "vit"), sources, strict=True)))


def test_every_split_is_looked_at(dataset: Dataset) -> None:
    with pytest.raises(WeightsError, match=r"c\.png"):
        require_no_leaks(dataset, [split(3), split(2)], {"resnet18": "run:other"})


def test_weights_without_a_test_image_pass(dataset: Dataset) -> None:
    require_no_leaks(dataset, [split(2, 3)], {"resnet18": "run:clean", "vit": "imagenet"})

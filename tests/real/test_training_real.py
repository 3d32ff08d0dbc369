"""Real photographs and ImageNet weights: the accuracies that people get elsewhere."""

import pytest

from tests.training_support import Recorder, dataset_of
from tlcore.datasets.splits import make_split
from tlcore.spec import Budget, RunSpec
from tlcore.strategies import STRATEGIES
from tlcore.training.run import train_run

pytestmark = [pytest.mark.real, pytest.mark.slow]
# Over three seeds we measured .94 to .96 (README of the shared data and STACK.md: about .94, .95, .91); 153 images.
FLOORS = {"feature_extraction": 0.92, "transfer_learning": 0.92, "fine_tuning": 0.90, "staged_fine_tuning": 0.90}


@pytest.fixture(scope="module")
def photos(real_data):
    return dataset_of(real_data / "hymenoptera_data")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("strategy", FLOORS)
def test_ants_and_bees_are_told_apart(photos, cache, tmp_path, real_weights, strategy):
    assert STRATEGIES[strategy].needs_weights
    spec = RunSpec(
        dataset_id="hymenoptera",
        dataset_fingerprint=photos.info.fingerprint,
        budget=Budget(epochs=3),
        device="cpu",
        model="mobilenetv2_100",
        weights=f"file:{real_weights / 'mobilenetv2_100.timm.safetensors'}",
        strategy=strategy,
        seed=0,
    )
    outcome = train_run(spec, photos, make_split(photos, 0), tmp_path, cache, Recorder())
    assert outcome.test.num_images == 153
    assert outcome.test.accuracy >= FLOORS[strategy]
    assert not outcome.did_not_learn

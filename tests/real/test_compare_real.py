"""Comparisons of several models with ImageNet weights on real images, as the command line runs them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers_jobs import stop_everything
from tests.integration.test_cli import tlcore
from tlcore.settings import Settings

pytestmark = [pytest.mark.real, pytest.mark.slow]
FILES = {
    "mobilenetv2_100": "mobilenetv2_100.timm.safetensors",
    "torchvision:squeezenet1_1": "squeezenet1_1.torchvision.safetensors",
}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """An empty home, whose workers end with the test."""
    yield tmp_path / "home"
    stop_everything(Settings(home=tmp_path / "home"))


def test_two_models_with_files_of_their_own_meet_in_one_comparison(place, real_data, real_weights):
    out = place.parent / "out.json"
    models = [part for name in FILES for part in ("--model", name)]
    weights = [part for name, file in FILES.items() for part in ("--weights", f"{name}=file:{real_weights / file}")]
    done = tlcore(
        place, "compare", "--dataset", real_data / "hymenoptera_data", *models, *weights,
        "--strategy", "feature_extraction", "--strategy", "transfer_learning", "--steps", 40, "--image-size", 96,
        "--device", "cpu", "--json", out,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    runs = {(run["model"], run["strategy"]): run for run in result["runs"]}
    assert len(runs) == 4
    for (model, strategy), run in runs.items():
        assert run["status"] == "FINISHED"
        assert run["weights"] == f"file:{real_weights / FILES[model]}"
        assert run["frozen_state_unchanged"]
        assert run["test"]["accuracy"] > 0.7, f"{model} {strategy}: the largest class has 54 %"
    sizes = {model: run["num_parameters"] for (model, _), run in runs.items()}
    assert sizes["mobilenetv2_100"] > 2 * sizes["torchvision:squeezenet1_1"]
    named = " ".join(row["model"] for row in result["strategies"])
    assert all(model in named for model in FILES)
    assert all(model in result["verdict"]["text"] for model in FILES)

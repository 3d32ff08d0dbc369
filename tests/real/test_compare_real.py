"""Comparisons with ImageNet weights on a few real images, as the command line runs them and the pages show them."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.helpers_jobs import stop_everything
from tests.integration.test_cli import ROOT, tlcore
from tlcore.settings import Settings

pytestmark = [pytest.mark.real, pytest.mark.slow]
MOBILENET, SQUEEZENET = "mobilenetv2_100", "torchvision:squeezenet1_1"
FILES = {MOBILENET: "mobilenetv2_100.timm.safetensors", SQUEEZENET: "squeezenet1_1.torchvision.safetensors"}
DEPTHS = (0, 1, 4)


@pytest.fixture
def compared(home: Path, real_weights: Path) -> Iterator[Any]:
    """A function that compares strategies on images with the weights files of the models: the JSON that it wrote."""

    def run(images: Path, models: list[str], strategies: list[str], *more: object) -> dict[str, Any]:
        out = home.parent / "out.json"
        options = [part for name in models for part in ("--model", name)]
        options += [part for name in models for part in ("--weights", f"{name}=file:{real_weights / FILES[name]}")]
        options += [part for name in strategies for part in ("--strategy", name)]
        done = tlcore(
            home, "compare", "--dataset", images, *options, *more, "--device", "cpu", "--num-threads", 1, "--json", out
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(out.read_text())
        assert {run["status"] for run in found["runs"]} == {"FINISHED"}
        return found

    yield run
    stop_everything(Settings(home=home))


def few(source: Path, to: Path, number: int) -> Path:
    """The first images of each class folder below `source`."""
    for folder in (path for path in source.rglob("*") if path.is_dir()):
        for image in sorted(path for path in folder.iterdir() if path.is_file())[:number]:
            place = to / image.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(image, place)
    return to


def test_two_models_with_files_of_their_own_meet_in_one_comparison(compared, real_data, real_weights, tmp_path):
    photos = few(real_data / "hymenoptera_data", tmp_path / "photos", 40)
    strategies = ["feature_extraction", "transfer_learning"]
    result = compared(photos, list(FILES), strategies, "--steps", 20, "--image-size", 96)
    runs = {(run["model"], run["strategy"]): run for run in result["runs"]}
    assert runs.keys() == {(model, strategy) for model in FILES for strategy in strategies}
    for (model, strategy), run in runs.items():
        assert run["weights"] == f"file:{real_weights / FILES[model]}"
        assert run["frozen_state_unchanged"]
        assert run["test"]["accuracy"] >= 0.65, f"{model} {strategy}: half of the 80 test images are ants"
    named = " ".join(row["model"] for row in result["strategies"])
    assert all(model in named and model in result["verdict"]["text"] for model in FILES)


def test_a_freeze_depth_sweep_on_satellite_tiles_is_a_figure_on_the_compare_page(compared, real_data, tmp_path):
    tiles = few(real_data / "eurosat_rgb_2000", tmp_path / "tiles", 12)
    depths = [f"partial_fine_tuning:last_groups={k}" for k in DEPTHS]
    result = compared(
        tiles, [MOBILENET], [*depths, "fine_tuning"], "--steps", 3, "--batch-size", 16, "--image-size", 64
    )
    trained = {run["strategy"]: run["num_trainable_parameters"] for run in result["runs"]}
    assert [trained[depth] for depth in depths] == sorted({trained[depth] for depth in depths})
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    app.switch_page("pages/compare.py")
    app.query_params["comparison"], app.query_params["show"] = result["comparison_id"], "Sweep"
    app.run()
    assert not app.exception
    table = app.dataframe[0].value
    assert list(table["Layer groups that train, counted from the head"]) == [str(k) for k in (*DEPTHS, 8)]
    (figure,) = [chart for chart in app.get("plotly_chart") if "sweep" in str(chart.proto.id)]
    (trace,) = json.loads(figure.proto.spec)["data"]
    assert len(trace["y"]) == len(DEPTHS) + 1

"""A real comparison through the command line on three folds of small drawn pictures, and what joins it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.helpers import make_image_folder
from tests.helpers_jobs import stop_everything
from tests.helpers_mlflow import copy_template
from tests.integration.test_cli import tlcore
from tlcore import tracking
from tlcore.analysis.statistics.resampling import resampled_estimate
from tlcore.cli import app as cli
from tlcore.datasets import splits, store
from tlcore.demo.cells import MODEL, WEIGHTS_PATH
from tlcore.errors import TlcoreError
from tlcore.results import ComparisonRecord
from tlcore.settings import Settings

STRATEGIES = ("fine_tuning", "feature_extraction")
COMMON = ("--model", MODEL, "--weights", f"file:{WEIGHTS_PATH}", "--image-size", 32, "--device", "cpu",
          "--num-threads", 1, "--epochs", 1)  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, mlflow_template: Path) -> Iterator[Path]:
    """A home in which two strategies were compared on three folds of 48 pictures; `out.json` lies beside it."""
    folder = tmp_path_factory.mktemp("folds")
    settings = Settings(home=folder / "home")
    copy_template(mlflow_template, settings)
    make_image_folder(folder, ("plain", "ringed"), 24, 40)
    named = [part for name in STRATEGIES for part in ("--strategy", name)]
    done = tlcore(
        settings.root, "compare", "--dataset", folder / "images", *COMMON, *named, "--split", "kfold:3",
        "--json", folder / "out.json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder / "stdout.txt").write_text(done.stdout)
    yield folder
    stop_everything(settings)


@pytest.fixture(scope="module")
def result(shop: Path) -> dict[str, Any]:
    return json.loads((shop / "out.json").read_text())


@pytest.fixture(scope="module")
def record(shop: Path, result: dict[str, Any]) -> ComparisonRecord:
    return tracking.load_comparison(Settings(home=shop / "home"), result["comparison_id"])


def refused(shop: Path, *words: object) -> str:
    """What the command line refuses, in this process: another one takes seconds to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TLCORE_HOME", str(shop / "home"))
        done = CliRunner().invoke(cli.app, [str(word) for word in words])
    assert isinstance(done.exception, TlcoreError), done.output
    return str(done.exception)


def met_by(settings: Settings, run_id: str) -> set[str]:
    """Paths of the images that a run was tested on."""
    frame: pd.DataFrame = tracking.load_predictions(settings, run_id)
    return set(frame[frame["split"] == "test"]["path"])


def test_each_seed_is_a_fold_and_together_they_test_every_image_once(shop: Path, record: ComparisonRecord) -> None:
    settings = Settings(home=shop / "home")
    assert record.spec.seeds == (0, 1, 2)
    assert {run.status for run in record.runs} == {"FINISHED"}
    images = store.load_dataset(record.spec.dataset_id, settings).images
    for strategy in STRATEGIES:
        folds = [met_by(settings, run.run_id) for run in record.runs if run.spec.strategy == strategy]
        assert [len(fold) for fold in folds] == [16, 16, 16]
        assert set().union(*folds) == set(images["path"])


def test_all_strategies_meet_the_same_images_of_a_seed_as_they_are_drawn_now(
    shop: Path, record: ComparisonRecord
) -> None:
    settings = Settings(home=shop / "home")
    dataset = store.load_dataset(record.spec.dataset_id, settings)
    for seed in record.spec.seeds:
        split = splits.make_split(dataset, seed, plan="kfold:3")
        runs = [run for run in record.runs if run.spec.seed == seed]
        assert {run.resolved.test_fingerprint for run in runs} == {split.test_fingerprint}
        assert {run.resolved.split_fingerprint for run in runs} == {split.fingerprint}
        paths = {dataset.images["path"][row] for row in split.test}
        assert all(met_by(settings, run.run_id) == paths for run in runs)
        learned = {dataset.images["sha256"][row] for row in (*split.train, *split.val)}
        for run in runs:
            (step,) = tracking.load_trained_on(settings, run.run_id).steps
            assert set(step.images) == learned, "what later leak checks go by"


def test_the_result_has_means_and_corrected_intervals_over_folds(result: dict[str, Any]) -> None:
    assert result["split"] == "kfold:3"
    for entry in result["strategies"]:
        found = [run["test"]["accuracy"] for run in result["runs"] if run["strategy"] == entry["strategy"]]
        expected = resampled_estimate(found, 16, 1 / 2)
        assert entry["num_seeds"] == 3
        assert entry["test_accuracy_mean"] == pytest.approx(expected.mean)
        assert entry["test_accuracy_ci95"] == pytest.approx(list(expected.interval))


def test_what_is_printed_and_reported_names_the_plan(shop: Path, result: dict[str, Any]) -> None:
    printed = (shop / "stdout.txt").read_text()
    assert "split kfold:3: 3 folds: each seed has its own test images" in printed
    done = tlcore(shop / "home", "report", result["comparison_id"], "--html", shop / "report.html", "--json", "-")
    assert json.loads(done.stdout) == result
    html = (shop / "report.html").read_text()
    assert "--split kfold:3 --seeds 0,1,2" in html
    assert "each seed has its own test images" in html


def test_another_deal_joins_and_another_plan_or_folds_that_are_there_do_not(
    shop: Path, result: dict[str, Any], record: ComparisonRecord
) -> None:
    common = ("compare", "--dataset", result["dataset"]["id"], *COMMON, "--strategy", "feature_extraction",
              "--add-to", result["comparison_id"])  # fmt: skip
    for options, told in [
        ((), "split differ; start another"),
        (("--split", "kfold:4"), "split differ; start another"),
        (("--split", "kfold:3"), "has all of these runs already"),
    ]:
        assert told in refused(shop, *common, *options)
    grown = tlcore(shop / "home", *common, "--split", "kfold:3", "--seeds", "3,4,5", "--json", "-")
    assert grown.returncode == 0, grown.stderr
    made = json.loads(grown.stdout)
    assert len(made["runs"]) == len(record.runs) + 3
    settings = Settings(home=shop / "home")
    folds = [met_by(settings, run["run_id"]) for run in made["runs"] if run["seed"] in {3, 4, 5}]
    assert sum(map(len, folds)) == len(set().union(*folds)) == 48
    first = met_by(settings, next(run.run_id for run in record.runs if run.spec.seed == 0))
    assert first not in folds, "the second round is another deal"


def test_a_backbone_trained_on_the_same_images_is_refused_for_every_fold(shop: Path, result: dict[str, Any]) -> None:
    """With a fixed split it may serve, as all runs on one dataset leave out the same test images."""
    run = next(run for run in result["runs"] if run["strategy"] == "fine_tuning" and run["seed"] == 0)
    options = list(COMMON)
    options[options.index("--weights") + 1] = f"run:{run['run_id']}"
    told = refused(shop, "compare", "--dataset", result["dataset"]["id"], *options, "--strategy", "fine_tuning",
                   "--split", "kfold:3")  # fmt: skip
    assert "learned from 32 of the 48 test images" in told

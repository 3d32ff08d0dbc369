"""The command line as people use it: one whole job, and every kind of bad input."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.helpers import make_image_folder
from tests.helpers_jobs import stop_everything
from tlcore.cli.app import main
from tlcore.datasets import store
from tlcore.demo.cells import MODEL, WEIGHTS_PATH
from tlcore.jobs.database import queue_path
from tlcore.service import comparisons
from tlcore.settings import Settings
from tlcore.strategies import CORE, STRATEGIES

ROOT = Path(__file__).resolve().parents[2]
CONTRACT_RUN = {
    "run_id", "model", "strategy", "seed", "fraction", "status", "error", "test", "val", "train", "best_epoch",
    "epochs", "images_seen", "train_seconds", "total_seconds", "peak_memory_bytes", "num_parameters",
    "num_trainable_parameters", "frozen_state_unchanged",
}  # fmt: skip


def tlcore(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `python -m tlcore …` with a home of its own, from another folder than the repository's."""
    environment = {**os.environ, "TLCORE_HOME": str(home), "PYTHONPATH": str(ROOT)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, "-m", "tlcore", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=home.parent, env=environment)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home in which one comparison of all strategies on 50 + 50 pictures was done; `out.json` lies beside it."""
    folder = tmp_path_factory.mktemp("shop")
    make_image_folder(folder, ("plain", "ringed"), 50, 40)
    home = folder / "home"
    strategies = [part for name in CORE for part in ("--strategy", name)]
    done = tlcore(
        home, "compare", "--dataset", folder / "images", "--model", MODEL, "--weights", f"file:{WEIGHTS_PATH}",
        *strategies, "--epochs", 2, "--image-size", 40, "--device", "cpu", "--json", folder / "out.json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder / "stdout.txt").write_text(done.stdout)
    yield folder
    stop_everything(Settings(home=home))


@pytest.fixture
def said(shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """A function that runs the command line in this process on the shop's home: its exit code and stderr."""
    monkeypatch.setenv("TLCORE_HOME", str(shop / "home"))

    def run(*arguments: object) -> tuple[Any, str]:
        monkeypatch.setattr(sys, "argv", ["tlcore", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().err

    return run


@pytest.fixture(scope="module")
def result(shop: Path) -> dict[str, Any]:
    return json.loads((shop / "out.json").read_text())


def test_the_json_follows_the_contract(result: dict[str, Any]) -> None:
    assert set(result) >= {
        "comparison_id", "dataset", "models", "weights", "device", "device_reason", "budget", "runs", "strategies",
        "verdict",
    }  # fmt: skip
    assert result["dataset"] | {"id": "", "name": "", "fingerprint": ""} == {
        "id": "", "name": "", "fingerprint": "", "num_images": 100, "num_classes": 2, "classes": ["plain", "ringed"],
        "splits": {"train": 60, "val": 20, "test": 20},
    }  # fmt: skip
    assert (result["models"], result["budget"], result["device"]) == ([MODEL], {"epochs": 2}, "cpu")
    assert all(set(run) >= CONTRACT_RUN for run in result["runs"])
    assert set(result["runs"][0]["test"]) == {"accuracy", "balanced_accuracy", "loss", "ece"}
    verdict = result["verdict"]
    assert verdict["status"] in {"winner", "tie", "unclear", "alone"}
    assert verdict["distinguishable"] is (verdict["status"] == "winner")
    learnt = [run for run in result["runs"] if not run["did_not_learn"]]
    assert len(verdict["pairs"]) == len(learnt) * (len(learnt) - 1) / 2
    assert {floor["name"] for floor in result["floors"]} == {"majority_class", "nearest_class_mean"}


def test_every_strategy_finished_and_frozen_was_frozen(result: dict[str, Any]) -> None:
    runs = {run["strategy"]: run for run in result["runs"]}
    assert set(runs) == set(CORE)
    assert {run["status"] for run in runs.values()} == {"FINISHED"}
    for name, run in runs.items():
        assert run["frozen_state_unchanged"] is (True if STRATEGIES[name].freezes else None)
    assert (runs["feature_extraction"]["epochs"], runs["feature_extraction"]["best_epoch"]) == (0, 0)
    assert runs["fine_tuning"]["epochs"] == pytest.approx(2, abs=0.2)
    assert runs["transfer_learning"]["num_trainable_parameters"] < runs["fine_tuning"]["num_trainable_parameters"]


def test_the_table_names_every_strategy_and_the_verdict(shop: Path, result: dict[str, Any]) -> None:
    printed = (shop / "stdout.txt").read_text()
    assert all(strategy.label in printed for strategy in [STRATEGIES[name] for name in CORE])
    assert "Floor: majority class" in printed
    assert result["verdict"]["text"] in printed
    assert "One seed: the intervals cover the choice of test images only" in printed


def test_report_repeats_the_same_numbers(shop: Path, result: dict[str, Any]) -> None:
    done = tlcore(shop / "home", "report", result["comparison_id"], "--json", "-", "--html", shop / "report.html")
    assert json.loads(done.stdout) == result
    assert "Plotly" in (shop / "report.html").read_text()


def test_profile_tells_where_the_time_of_each_strategy_went(shop: Path, result: dict[str, Any]) -> None:
    done = tlcore(shop / "home", "profile", result["comparison_id"])
    assert done.returncode == 0, done.stderr
    rows = {line.split("  ")[0]: line for line in done.stdout.splitlines()}
    assert set(rows) >= {"Decoding images", "Features of all images", "Backward pass", "All"}
    assert all(STRATEGIES[name].short_label in done.stdout for name in CORE)
    for run in result["runs"]:
        assert 0 < sum(run["seconds_by_part"].values()) <= run["total_seconds"]


def test_profile_of_one_run_and_of_the_newest_comparison_with_times(
    shop: Path, result: dict[str, Any], said: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run, file = result["runs"][0], tmp_path / "times.json"
    assert said("profile", run["run_id"], "--json", file)[0] in {None, 0}
    (row,) = json.loads(file.read_text())
    assert (row["strategy"], row["runs"]) == (run["strategy"], 1)
    named = {part: seconds for part, seconds in row["seconds_by_part"].items() if part in run["seconds_by_part"]}
    assert named == pytest.approx(run["seconds_by_part"])
    assert row["seconds"] == pytest.approx(run["total_seconds"])
    read, listed = comparisons.record, comparisons.list_comparisons
    under_way = listed(limit=1)[0].model_copy(update={"comparison_id": "under way"})
    empty = read(result["comparison_id"]).model_copy(update={"runs": ()})
    monkeypatch.setattr(comparisons, "list_comparisons", lambda limit: [under_way, *listed(limit=limit)])
    monkeypatch.setattr(comparisons, "record", lambda name: empty if name == "under way" else read(name))
    assert said("profile", "--json", file)[0] in {None, 0}
    assert {row["strategy"] for row in json.loads(file.read_text())} == {run["strategy"] for run in result["runs"]}
    code, stderr = said("profile", "0" * 32)
    assert code == 2
    assert "0" * 32 in stderr and "runs:" not in stderr


def test_report_writes_what_it_is_asked_for_with_the_readers_margin(shop: Path, result: dict[str, Any]) -> None:
    done = tlcore(
        shop / "home", "report", result["comparison_id"], "--md", shop / "report.md", "--csv", shop / "runs.csv",
        "--margin", 50, "--json", "-",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)["verdict"]
    assert verdict["margin"] == 0.5
    assert "50 points" in verdict["text"]
    text = (shop / "report.md").read_text()
    assert f"**{verdict['text']}**" in text.replace("\\", "")
    assert "## How to reproduce it" in text
    assert len((shop / "runs.csv").read_text().splitlines()) == 1 + len(result["runs"])


def test_settle_adds_seeds_for_those_in_contention_and_counts_its_looks(shop: Path, result: dict[str, Any]) -> None:
    common = ("--model", MODEL, "--weights", f"file:{WEIGHTS_PATH}", "--image-size", 40, "--device", "cpu")
    made = tlcore(
        shop / "home", "compare", "--dataset", result["dataset"]["id"], *common, "--epochs", 1, "--seeds", "0,1",
        "--strategy", "feature_extraction", "--strategy", "feature_extraction:classifier=linear_svm",
        "--strategy", "from_scratch", "--json", "-",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    before = json.loads(made.stdout)
    done = tlcore(shop / "home", "settle", before["comparison_id"], "--looks", 2, "--json", "-")
    assert done.returncode == 0, done.stderr
    after = json.loads(done.stdout)
    assert before["verdict"]["status"] == "unclear", "20 test images settle nothing"
    seeds = {name: [r["seed"] for r in after["runs"] if r["strategy"] == name] for name in before["verdict"]["best"]}
    assert all(len(found) > 2 for found in seeds.values())
    assert len([r for r in after["runs"] if r["strategy"] == "from_scratch"]) == 2 or "from_scratch" in seeds
    assert (after["verdict"]["looks"], after["verdict"]["level"]) == (2, 0.005)
    assert "no more seeds: " in done.stderr


def test_an_added_seed_joins_and_another_family_is_refused(shop: Path, result: dict[str, Any]) -> None:
    common = ("compare", "--dataset", result["dataset"]["id"], "--model", MODEL, "--weights", f"file:{WEIGHTS_PATH}",
              "--strategy", "feature_extraction", "--image-size", 40, "--device", "cpu",
              "--add-to", result["comparison_id"])  # fmt: skip
    grown = tlcore(shop / "home", *common, "--epochs", 2, "--seeds", "0,1", "--json", "-")
    assert grown.returncode == 0, grown.stderr
    ends = [line for line in grown.stderr.splitlines() if ": finished, " in line]
    assert len(ends) == 1, "a pipe has a line for each run that ends, and none for those that were there"
    assert ends[0].endswith("seed 1: finished, 1 of 1")
    runs = json.loads(grown.stdout)["runs"]
    assert len(runs) == len(CORE) + 1
    assert sorted(r["seed"] for r in runs if r["strategy"] == "feature_extraction") == [0, 1]
    other = tlcore(shop / "home", *common, "--epochs", 3, "--seeds", "2")
    assert (other.returncode, other.stderr.count("\n")) == (2, 1)
    assert "budget" in other.stderr


def test_an_own_strategy_runs_by_its_file_and_by_its_name_and_another_of_that_name_is_refused(
    shop: Path, result: dict[str, Any]
) -> None:
    file = shop / "mine.yaml"
    file.write_text("name: mine\nphases:\n- {train: head, share: 0.5}\n- {train: all, share: 0.5}\n")
    common = ("compare", "--dataset", result["dataset"]["id"], "--model", MODEL, "--weights", f"file:{WEIGHTS_PATH}",
              "--image-size", 40, "--device", "cpu", "--epochs", 1, "--json", "-")  # fmt: skip
    done = tlcore(shop / "home", *common, "--strategy", f"file:{file}", "--set", "mine.2.learning_rate=0.0003")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert [(run["strategy"], run["status"]) for run in made["runs"]] == [("mine", "FINISHED")]
    changed = shop / "changed.yaml"
    changed.write_text("name: mine\nphases: [{train: head}]\n")
    assert tlcore(shop / "home", "strategies", "save", changed).returncode == 0
    more = ("--strategy", "mine", "--seeds", 1, "--add-to", made["comparison_id"])
    refused = tlcore(shop / "home", *common, *more)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "the own strategy of mine" in refused.stderr or "overrides of mine" in refused.stderr
    assert tlcore(shop / "home", "strategies", "save", file).returncode == 2, "only with --replace"
    assert tlcore(shop / "home", "strategies", "save", file, "--replace").returncode == 0
    grown = tlcore(shop / "home", *common, *more, "--set", "mine.2.learning_rate=0.0003")
    assert grown.returncode == 0, grown.stderr
    assert [run["seed"] for run in json.loads(grown.stdout)["runs"]] == [0, 1]


def test_a_run_predicts_and_is_taken_home(shop: Path, result: dict[str, Any]) -> None:
    run = next(r["run_id"] for r in result["runs"] if r["strategy"] == "feature_extraction")
    photo = next((shop / "images" / "ringed").glob("*.png"))
    said = tlcore(shop / "home", "predict", run, photo)
    assert said.returncode == 0, said.stderr
    assert str(photo) in said.stdout
    assert "%" in said.stdout
    taken = tlcore(shop / "home", "export", run, "--to", shop / "taken")
    assert taken.returncode == 0, taken.stderr
    assert {p.name for p in (shop / "taken").iterdir()} >= {"weights.safetensors", "labels.txt", "preprocessing.json"}


def test_datasets_and_comparisons_are_listed(shop: Path, result: dict[str, Any]) -> None:
    assert result["dataset"]["id"] in tlcore(shop / "home", "dataset", "list").stdout
    assert result["comparison_id"] in tlcore(shop / "home", "runs").stdout
    listed = tlcore(shop / "home", "runs", result["comparison_id"]).stdout
    assert all(run["run_id"] in listed for run in result["runs"])
    shown = tlcore(shop / "home", "dataset", "check", result["dataset"]["id"]).stdout
    assert "60 train, 20 validation, 20 test" in shown


def _not_an_archive(folder: Path) -> Path:
    path = folder / "photos.zip"
    path.write_bytes(b"not a zip at all")
    return path


def _few_images(folder: Path) -> Path:
    make_image_folder(folder / "few", ("a", "b"), 5, 32)
    for path in sorted((folder / "few" / "images" / "b").iterdir())[1:]:
        path.unlink()
    return folder / "few" / "images"


def _one_class(folder: Path) -> Path:
    return make_image_folder(folder / "one", ("only",), 6, 32)


def _bad_strategy(folder: Path) -> str:
    (folder / "bad.yaml").write_text("name: bad\nphases: [{train: all, recipe: fast}]")
    return f"file:{folder / 'bad.yaml'}"


def _no_image(folder: Path) -> Path:
    path = folder / "photo.png"
    Image.new("RGB", (9, 9)).save(path)
    return path


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_a_report_that_cannot_be_written_is_one_line(result: dict[str, Any], said: Any, option: str) -> None:
    code, stderr = said("report", result["comparison_id"], option, "/no/such/folder/file")
    assert (code, stderr.count("\n")) == (2, 1)
    assert "/no/such/folder/file" in stderr


def test_a_result_that_could_not_be_written_is_refused_before_training(result: dict[str, Any], said: Any) -> None:
    code, stderr = said(
        "compare", "--dataset", result["dataset"]["id"], "--model", MODEL, "--weights", f"file:{WEIGHTS_PATH}",
        "--strategy", "fine_tuning", "--device", "cpu", "--json", "/no/such/folder/out.json",
    )  # fmt: skip
    assert (code, stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"--dataset": "/no/such/folder"}, "/no/such/folder"),
        ({"--dataset": "no-such-id"}, "no-such-id"),
        ({"--dataset": "ftp://example.org/photos.zip"}, "only those of http and https can"),
        ({"--dataset": "torchvision:CIFAR1O"}, "did you mean torchvision:CIFAR10"),
        ({"--dataset": _not_an_archive}, "photos.zip"),
        ({"--dataset": _one_class}, "only"),
        ({"--dataset": _few_images}, "'b'"),
        ({"--dataset": _no_image}, "photo.png"),
        ({"--strategy": "fine_tunning"}, "did you mean fine_tuning"),
        ({"--strategy": "finetune"}, "staged_fine_tuning"),
        ({"--seeds": "-1"}, "seeds: -1 must be at least 0"),
        ({"--seeds": "a,b"}, "a,b"),
        ({"--split": "kfold:1"}, "unknown split 'kfold:1': use fixed, repeated or kfold:K"),
        ({"--split": "kfold:60"}, "class 'plain' has 50 different images, but the split kfold:60 needs at least 60"),
        ({"--epochs": "0"}, "epochs"),
        ({"--fractions": "1.5"}, "fractions"),
        ({"--model": "test_resnett"}, "test_resnet"),
        ({"--weights": "file:/no/weights.safetensors"}, "/no/weights.safetensors"),
        ({"--weights": f"file:{WEIGHTS_PATH}", "--model": "test_efficientnet"}, "test_efficientnet"),
        ({"--device": "tpu"}, "tpu"),
        ({"--set": "fine_tuning.speed=9"}, "speed"),
        ({"--set": "nonsense"}, "STRATEGY.KEY=VALUE"),
        ({"--set": "fine_tuning.2.momentum=0"}, "no setting 2.momentum, as it has 1 phase"),
        ({"--set": "fine_tuning.lora_rank=4"}, "would do nothing, as no adapters train"),
        ({"--strategy": "file:/no/such.yaml"}, "/no/such.yaml"),
        ({"--strategy": _bad_strategy}, "bad.yaml, phase 1: unknown recipe 'fast'"),
        ({"--strategy": "partial:last_groups=99"}, "last_groups=99"),
        ({"--strategy": "partial:last_groups"}, "KEY=VALUE"),
        ({"--batch-size": "huge"}, "batch_size"),
        ({"--tune": "-1"}, "tune"),
        ({"--scratch-model": MODEL}, "no strategy has a random start"),
        ({"--add-to": "0123"}, "0123"),
        ({"--no-such-option": "1"}, "--no-such-option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else None,
)
def test_bad_input_gives_exit_code_2_and_one_line(
    shop: Path, result: dict[str, Any], tmp_path: Path, said: Any, change: dict[str, Any], told: str
) -> None:
    options: dict[str, Any] = {
        "--dataset": result["dataset"]["id"],
        "--model": MODEL,
        "--weights": f"file:{WEIGHTS_PATH}",
        "--strategy": "fine_tuning",
        "--image-size": 40,
        "--device": "cpu",
    }
    options |= {k: v(tmp_path) if callable(v) else v for k, v in change.items()}
    code, stderr = said("compare", *[part for pair in options.items() for part in pair])
    assert code == 2, stderr
    assert stderr.startswith("error: ")
    assert stderr.count("\n") == 1
    assert told in stderr


@pytest.mark.parametrize(
    "change",
    [
        {"--dataset": "/no/such/folder"}, {"--strategy": "fine_tunning"}, {"--seeds": "a,b"}, {"--fractions": "x"},
        {"--seeds": "-1"}, {"--tune": "-1"}, {"--device": "tpu"}, {"--epochs": "0"}, {"--weights": "none"},
        {"--json": "/no/such/folder/out.json"},
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_makes_no_sense_starts_no_worker(
    shop: Path, tmp_path: Path, said: Any, monkeypatch: pytest.MonkeyPatch, change: dict[str, str]
) -> None:
    monkeypatch.setenv("TLCORE_HOME", str(tmp_path / "home"))
    options = {"--dataset": str(shop / "images"), "--model": MODEL, "--strategy": "fine_tuning", **change}
    code, _ = said("compare", *[part for pair in options.items() for part in pair])
    assert code == 2
    assert not queue_path(Settings(home=tmp_path / "home")).exists()
    assert not store.list_datasets(Settings(home=tmp_path / "home"))


@pytest.mark.parametrize("command", ["lr-find", "train-source"])
@pytest.mark.parametrize(
    "change",
    [
        {"--dataset": "/no/such/folder", "--seed": "-1"}, {"--strategy": "fine_tunning"}, {"--seed": "-1"},
        {"--device": "tpu"}, {"--steps": "0"}, {"--set": "transfer_learning.momentum=0"},
    ],
    ids=" ".join,
)  # fmt: skip
def test_commands_of_one_run_refuse_before_the_dataset_is_read(
    shop: Path, tmp_path: Path, said: Any, monkeypatch: pytest.MonkeyPatch, command: str, change: dict[str, str]
) -> None:
    monkeypatch.setenv("TLCORE_HOME", str(tmp_path / "home"))
    options = {"--dataset": str(shop / "images"), "--model": MODEL, "--strategy": "fine_tuning", **change}
    code, stderr = said(command, *[part for pair in options.items() for part in pair])
    assert code == 2, stderr
    assert change.get("--dataset", "") in stderr, "before anything else"
    assert not queue_path(Settings(home=tmp_path / "home")).exists()
    assert not store.list_datasets(Settings(home=tmp_path / "home"))


def test_settings_that_a_known_network_does_not_take_are_refused_before_the_dataset_is_read(
    shop: Path, result: dict[str, Any], tmp_path: Path, said: Any
) -> None:
    known = store.list_datasets(Settings(home=shop / "home"))
    code, stderr = said(
        "compare", "--dataset", make_image_folder(tmp_path, ("x", "y"), 30, 40), "--model", MODEL, "--weights",
        f"file:{WEIGHTS_PATH}", "--strategy", "fine_tuning", "--set", "fine_tuning.speed=9",
    )  # fmt: skip
    assert code == 2
    assert "fine_tuning has no setting speed" in stderr
    assert store.list_datasets(Settings(home=shop / "home")) == known


def test_cuda_asked_for_and_absent_is_an_error(result: dict[str, Any], said: Any) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    code, stderr = said(
        "compare", "--dataset", result["dataset"]["id"], "--model", MODEL, "--weights", f"file:{WEIGHTS_PATH}",
        "--strategy", "fine_tuning", "--device", "cuda",
    )  # fmt: skip
    assert (code, stderr.count("\n")) == (2, 1)
    assert "CUDA" in stderr

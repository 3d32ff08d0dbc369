"""Split plans before a launch: refused with the reason, checked for every seed, and matched with what is there."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from tests.helpers import make_image_folder
from tests.records import FACTS, example
from tlcore.cli import app as cli
from tlcore.datasets import splits, store
from tlcore.datasets.dataset import Dataset
from tlcore.errors import NotFoundError, SpecError, SplitError
from tlcore.results import ComparisonRecord
from tlcore.service import checks, comparisons, datasets, leaks, library, models, plans
from tlcore.service.datasets import DatasetInfo
from tlcore.service.matching import require_same_tests
from tlcore.settings import get_settings
from tlcore.spec import ComparisonSpec

ASKED = {"models": ["m"], "strategies": ["fine_tuning"], "steps": 10, "device": "cpu"}


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine where every model and weight is at hand."""
    monkeypatch.setattr(models, "model_facts", lambda model: FACTS)
    monkeypatch.setattr(models, "preflight", lambda *given: ("cpu", "made up"))
    monkeypatch.setattr(models, "check_device", lambda *given: ("cpu", "made up"))
    monkeypatch.setattr(models, "require_recipe", lambda *given: None)
    monkeypatch.setattr(models, "require_weights", lambda *given: None)


@pytest.fixture
def info(tmp_path: Path, home: Path) -> DatasetInfo:
    """Twelve images of each of two classes."""
    return datasets.add_dataset(make_image_folder(tmp_path, per_class=12), "insects")


@pytest.fixture
def given(tmp_path: Path, home: Path) -> DatasetInfo:
    """A dataset that brings a test part."""
    return datasets.add_dataset(make_image_folder(tmp_path / "given", per_class=8, parts=("train", "test")), "given")


@pytest.mark.parametrize("split", ["repeated", "kfold:3"])
def test_a_dataset_with_its_own_test_part_refuses_other_plans(given: DatasetInfo, split: str) -> None:
    spec = plans.make_spec(given, **ASKED, split=split)
    told = f"given brings its own test images, and every run is tested on them, so the split {split} cannot"
    with pytest.raises(SplitError, match=told):
        plans.make_plan(spec)
    assert [problem.startswith(told) for problem in checks.check(spec)[1]] == [True]
    with pytest.raises(SplitError, match=told):
        plans.make_spec(given, models=["m"], strategies=["fine_tuning"], split=split)  # whose budget needs the split
    assert plans.make_plan(plans.make_spec(given, **ASKED)).runs


def test_too_many_folds_are_refused_before_the_launch(info: DatasetInfo) -> None:
    plan, problems = checks.check(plans.make_spec(info, **ASKED, split="kfold:13"))
    assert plan is None
    assert len(problems) == 1
    assert "class 'ants' has 12 different images, but the split kfold:13 needs at least 13" in problems[0]


def test_every_fold_is_a_seed_and_the_sizes_are_those_of_the_first(info: DatasetInfo) -> None:
    plan = plans.make_plan(plans.make_spec(info, **ASKED, split="kfold:3"))
    assert [(run.seed, run.split) for run in plan.runs] == [(0, "kfold:3"), (1, "kfold:3"), (2, "kfold:3")]
    assert plan.dataset.splits == {"train": 12, "val": 4, "test": 8}
    assert datasets.split_sizes(info.id, 1, plan="kfold:3")["test"] == 8


def test_the_steps_are_checked_for_the_seed_with_the_fewest_images(
    info: DatasetInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(plans, "require_steps", lambda recipe, budget, num_train: asked.append(num_train))
    plans.make_plan(plans.make_spec(info, **ASKED, split="kfold:7"))
    dataset = store.load_dataset(info.id, get_settings())
    sizes = {splits.make_split(dataset, seed, plan="kfold:7").num_train_full for seed in range(7)}
    assert asked == [min(sizes)]
    assert len(sizes) > 1


def test_the_leak_check_meets_the_test_images_of_all_folds(info: DatasetInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    met: list[int] = []

    def look(dataset: Dataset, drawn: list[splits.Split], sources: object) -> None:
        met.extend(row for split in drawn for row in split.test)

    monkeypatch.setattr(leaks, "require_no_leaks", look)
    plans.make_plan(plans.make_spec(info, **ASKED, split="kfold:3"))
    assert sorted(met) == list(range(24))


def finished(info: DatasetInfo, split: str, seeds: tuple[int, ...]) -> ComparisonRecord:
    """A comparison on the dataset whose runs met the test images that are drawn now."""
    record = example(strategies=("fine_tuning",), seeds=seeds, split=split).record
    dataset = store.load_dataset(info.id, get_settings())
    spec = record.spec.model_copy(update={"dataset_id": info.id, "dataset_fingerprint": info.fingerprint})
    runs = []
    for run in record.runs:
        drawn = splits.make_split(dataset, run.spec.seed, plan=split).test_fingerprint
        runs.append(run.model_copy(update={"resolved": run.resolved.model_copy(update={"test_fingerprint": drawn})}))
    return record.model_copy(update={"spec": spec, "runs": tuple(runs)})


@pytest.mark.parametrize("split", ["fixed", "repeated", "kfold:3"])
def test_runs_join_only_where_the_same_test_images_are_drawn_for_each_seed(info: DatasetInfo, split: str) -> None:
    """As after the dataset was deleted and imported by a version that knows near duplicates: its id stays."""
    record = finished(info, split, (0, 4))
    require_same_tests(record)
    file = get_settings().datasets / info.id / "images.parquet"
    images = pd.read_parquet(file)
    images["group"] = images.groupby(images["label"].astype(str) + (images.index % 4).astype(str))["sha256"].transform(
        "min"
    )
    images.to_parquet(file)
    with pytest.raises(SpecError, match=r"its runs of seed 0 were tested on other images of insects .*start another"):
        require_same_tests(record)
    require_same_tests(finished(info, split, (0, 4)))
    waiting = tuple(run.model_copy(update={"resolved": None}) for run in record.runs)
    require_same_tests(record.model_copy(update={"runs": waiting}))


def test_one_run_of_a_seed_that_met_other_images_is_enough(info: DatasetInfo) -> None:
    record = finished(info, "kfold:3", (0, 1))
    other = record.runs[1].model_copy(
        update={"resolved": record.runs[1].resolved.model_copy(update={"test_fingerprint": "9" * 64})}
    )
    with pytest.raises(SpecError, match=r"runs of seed 1 .*test split 999999999999, now"):
        require_same_tests(record.model_copy(update={"runs": (*record.runs, other)}))


def test_adding_runs_looks_for_it_before_anything_is_made(info: DatasetInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    record = finished(info, "kfold:3", (0, 1, 2))
    moved = tuple(
        run.model_copy(update={"resolved": run.resolved.model_copy(update={"test_fingerprint": "9" * 64})})
        for run in record.runs
    )
    monkeypatch.setattr(comparisons, "record", lambda given: record.model_copy(update={"runs": moved}))
    plan = SimpleNamespace(spec=record.spec.model_copy(update={"seeds": (3, 4, 5)}))
    plan.runs = plan.spec.runs()
    with pytest.raises(SpecError, match="were tested on other images"):
        comparisons.submit(plan, add_to="c")
    other = SimpleNamespace(spec=record.spec.model_copy(update={"split": "kfold:5"}))
    other.runs = other.spec.runs()
    with pytest.raises(SpecError, match=r"these runs cannot join comparison .*: split differ; start another"):
        comparisons.submit(other, add_to="c")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[ComparisonSpec]:
    """The specs that came as far as a plan."""
    found: list[ComparisonSpec] = []

    def stop(spec: ComparisonSpec) -> None:
        found.append(spec)
        raise typer.Exit(0)

    monkeypatch.setattr(plans, "make_plan", stop)
    return found


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ("fixed", (0,))),
        (["--split", "kfold:4"], ("kfold:4", (0, 1, 2, 3))),
        (["--split", "kfold:4", "--seeds", "4,5"], ("kfold:4", (4, 5))),
        (["--split", "repeated", "--seeds", "0,1"], ("repeated", (0, 1))),
    ],
)
def test_the_command_line_passes_the_plan_on_and_k_fold_has_its_own_seeds(
    info: DatasetInfo, made: list[ComparisonSpec], options: list[str], expected: tuple[str, tuple[int, ...]]
) -> None:
    words = ["compare", "--dataset", info.id, "--model", "m", "--strategy", "fine_tuning", "--steps", "9", *options]
    assert CliRunner().invoke(cli.app, words).exit_code == 0
    assert [(spec.split, spec.seeds) for spec in made] == [expected]


def test_the_python_function_has_the_same_seeds(info: DatasetInfo, made: list[ComparisonSpec]) -> None:
    for options in ({"split": "kfold:3"}, {"split": "kfold:3", "seeds": range(2)}, {}):
        with pytest.raises(typer.Exit):
            library.compare(info.id, models=["m"], strategies=["fine_tuning"], steps=9, **options)
    assert [spec.seeds for spec in made] == [(0, 1, 2), (0, 1), (0,)]


def test_dataset_check_tells_whether_a_plan_is_possible(info: DatasetInfo) -> None:
    done = CliRunner().invoke(cli.app, ["dataset", "check", info.id, "--split", "kfold:3"])
    assert done.exit_code == 0, done.output
    assert "seeds 0 to 2 test every image once" in done.output
    assert "split for seed 0: 12 train, 4 validation, 8 test" in done.output
    done = CliRunner().invoke(cli.app, ["dataset", "check", info.id, "--split", "kfold:30"])
    assert isinstance(done.exception, SplitError)
    done = CliRunner().invoke(cli.app, ["dataset", "check", info.id])
    assert "the same for every run" in done.output
    assert "split for seed 0: 16 train, 4 validation, 4 test" in done.output


def test_a_dataset_that_was_deleted_cannot_be_matched(info: DatasetInfo) -> None:
    record = finished(info, "fixed", (0,))
    shutil.rmtree(get_settings().datasets / info.id)
    with pytest.raises(NotFoundError, match=info.id):
        require_same_tests(record)

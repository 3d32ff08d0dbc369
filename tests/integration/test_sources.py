"""A backbone from a source dataset, used for a target; a target's test image among the source's is an error."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import make_image_folder
from tests.helpers_jobs import stop_everything
from tests.helpers_mlflow import DATASET, copy_template, make_spec
from tests.integration.test_cli import tlcore
from tlcore import tracking, worker
from tlcore.datasets import splits, store
from tlcore.errors import WeightsError
from tlcore.service import comparisons, datasets, models, plans, sources, take_home
from tlcore.settings import Settings

MODEL = "test_resnet"
SMALL = ("--epochs", 1, "--image-size", 32, "--device", "cpu", "--num-threads", 1)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, mlflow_template: Path) -> Iterator[Path]:
    """A home with a backbone from `source`, and one from `middle` that started from it; their ids in two files."""
    folder = tmp_path_factory.mktemp("sources")
    settings = Settings(home=folder / "home")
    copy_template(mlflow_template, settings)
    make_image_folder(folder / "source", 3, 12)
    make_image_folder(folder / "middle", 4, 12)
    first = tlcore(settings.root, "train-source", "--dataset", folder / "source/images", "--model", MODEL, *SMALL)
    assert first.returncode == 0, first.stderr
    (folder / "first").write_text(first.stdout.strip())
    second = tlcore(
        settings.root, "train-source", "--dataset", folder / "middle/images", "--model", MODEL, *SMALL,
        "--strategy", "fine_tuning", "--weights", first.stdout.strip(),
    )  # fmt: skip
    assert second.returncode == 0, second.stderr
    (folder / "second").write_text(second.stdout.strip())
    yield folder
    stop_everything(settings)


@pytest.fixture
def weights(shop: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("TLCORE_HOME", str(shop / "home"))
    return {name: (shop / name).read_text() for name in ("first", "second")}


def _target(shop: Path, name: str, tested: list[Path]) -> str:
    """A target dataset of two classes of its own, with some pictures added to its test folder."""
    root = make_image_folder(shop / name, 2, 15, size=40, parts=("train", "test"))
    for index, path in enumerate(tested):
        shutil.copy(path, root / "test/class_0" / f"leaked_{index}.png")
    return datasets.add_dataset(root, name).id


def _spec(dataset: str, source: str) -> plans.ComparisonSpec:
    return plans.make_spec(
        datasets.get_dataset(dataset), models=[MODEL], strategies=["fine_tuning"], weights=[source], epochs=1
    )


def _finished(settings: Settings, title: str, purpose: str) -> str:
    """A comparison of one finished run."""
    spec = make_spec(title=title, strategies=("from_scratch",))
    comparison_id = tracking.create_comparison(settings, spec, DATASET, "ann", purpose)
    run_id = tracking.create_run(settings, comparison_id, spec.runs()[0], DATASET, "ann")
    tracking.end_run(settings, run_id, "FINISHED")
    tracking.close_comparison(settings, comparison_id)
    return comparison_id


def _learned(run: str, settings: Settings) -> list[Path]:
    """Files of the pictures that a run trained on or chose its best network on, in its own dataset."""
    record = tracking.load_run(settings, run.removeprefix("run:"))
    dataset = store.load_dataset(record.spec.dataset_id, settings)
    split = splits.make_split(dataset, record.spec.seed)
    return [dataset.root / dataset.images["path"].iloc[row] for row in (split.train[0], split.val[0])]


def test_a_run_says_what_it_learned_from(weights: dict[str, str]) -> None:
    settings = Settings()
    found = tracking.load_trained_on(settings, weights["first"].removeprefix("run:"))
    record = tracking.load_run(settings, weights["first"].removeprefix("run:"))
    dataset = store.load_dataset(record.spec.dataset_id, settings)
    split = splits.make_split(dataset, 0)
    hashes = dataset.images["sha256"]
    assert set(found.steps[0].images) == {hashes.iloc[row] for row in (*split.train, *split.val)}
    assert not set(found.steps[0].images) & {hashes.iloc[row] for row in split.test}
    chain = tracking.load_trained_on(settings, weights["second"].removeprefix("run:"))
    assert [step.run_id for step in chain.steps] == [weights[name].removeprefix("run:") for name in ("second", "first")]
    assert chain.steps[1] == found.steps[0]


def test_finished_sources_are_offered_by_name(weights: dict[str, str]) -> None:
    found = models.source_runs()
    assert [run.weights for run in found] == [weights["second"], weights["first"]]
    assert all(run.model == MODEL and run.dataset_name in run.name for run in found)


def test_a_comparison_with_the_title_of_a_backbone_is_none(tracked: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}
    monkeypatch.setattr(tracking, "load_comparison", lambda _, name, **__: seen.setdefault(name, ""))
    monkeypatch.setattr(sources, "of_record", lambda record: [])
    other = _finished(tracked, "Backbone from nowhere", "")
    backbone = _finished(tracked, "My title", sources.PURPOSE)
    assert {summary.comparison_id for summary in comparisons.list_comparisons()} == {other, backbone}
    sources.source_runs()
    assert list(seen) == [backbone]


def test_a_clean_target_can_be_planned(shop: Path, weights: dict[str, str]) -> None:
    target = _target(shop, "clean", [])
    for source in weights.values():
        assert plans.make_plan(_spec(target, source)).runs
    own = tracking.load_run(Settings(), weights["first"].removeprefix("run:")).spec.dataset_id
    assert plans.make_plan(_spec(own, weights["first"])).runs  # its test part was kept back from the source run too


@pytest.mark.parametrize("place", [0, 1])
def test_a_source_image_in_the_targets_test_part_is_an_error(shop: Path, weights: dict[str, str], place: int) -> None:
    """Whether it was trained on or only chosen by."""
    leaked = _learned(weights["first"], Settings())[place]
    target = _target(shop, f"leaked{place}", [leaked])
    with pytest.raises(WeightsError) as error:
        plans.make_plan(_spec(target, weights["first"]))
    for part in ("1 of the 31 test images", "leaked_0.png", "too good", "leave these images out"):
        assert part in str(error.value)
    with pytest.raises(WeightsError, match=r"from which the weights of run:.* come, learned from 1 of"):
        plans.make_plan(_spec(target, weights["second"]))


def test_a_runs_file_is_as_leaky_as_the_run_wherever_it_lies(
    shop: Path, weights: dict[str, str], tmp_path: Path
) -> None:
    """Also where the run started from a file of the leaky one."""
    leaked = _learned(weights["first"], Settings())[0]
    target = _target(shop, "exported", [leaked])
    for name in ("first", "second"):
        take_home.export(weights[name].removeprefix("run:"), tmp_path / "out")
        file = (tmp_path / "out/weights.safetensors").rename(tmp_path / f"{name}.safetensors")
        with pytest.raises(WeightsError, match=r"from which the weights of file:.* come, learned from 1 of"):
            plans.make_plan(_spec(target, f"file:{file}"))
    clean = _target(shop, "exported_clean", [])
    spec = plans.make_plan(_spec(clean, f"file:{file}")).runs[0]
    dataset = store.load_dataset(clean, Settings())
    found = worker.trained_on(Settings(), "new", spec, dataset, splits.make_split(dataset, 0))
    assert [step.run_id for step in found.steps] == [
        "new", *(weights[name].removeprefix("run:") for name in ("second", "first"))
    ]  # fmt: skip


def test_the_command_line_refuses_a_leak(shop: Path, weights: dict[str, str]) -> None:
    target = _target(shop, "refused", _learned(weights["first"], Settings()))
    done = tlcore(
        shop / "home", "compare", "--dataset", target, "--model", MODEL, "--strategy", "fine_tuning", "--weights",
        weights["first"], *SMALL,
    )  # fmt: skip
    assert done.returncode == 2
    assert "learned from 2 of the 32 test images" in done.stderr


def test_a_run_that_does_not_tell_is_refused(
    shop: Path, weights: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "load_trained_on", lambda *args: None)
    with pytest.raises(WeightsError, match="does not tell which images"):
        plans.make_plan(_spec(_target(shop, "silent", []), weights["first"]))

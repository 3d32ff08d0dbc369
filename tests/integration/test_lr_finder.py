"""The learning-rate finder on real steps: what it trains, what it leaves alone, as a job, and as a command."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.helpers import make_image_folder
from tests.helpers_jobs import stop_everything, until
from tests.integration.test_training_memory import little_memory
from tests.training_support import FLOAT32, Bench, Recorder, pretrained, tiny_dataset
from tlcore import jobs
from tlcore.cli.app import main
from tlcore.cli.lr_finder import _show
from tlcore.datasets import splits, store
from tlcore.datasets.intake import add_dataset
from tlcore.errors import JobError, ModelError, NotFoundError, RunCancelledError, SpecError, TrainingError
from tlcore.jobs import queue
from tlcore.recipes.search import RateRange
from tlcore.results import RateFinding
from tlcore.service import lr_finder as service
from tlcore.settings import Settings, get_settings
from tlcore.training import lr_finder
from tlcore.training.answer import answer
from tlcore.training.images import stream
from tlcore.training.images.batches import training_batch
from tlcore.training.loop import steps
from tlcore.training.lr_curve import growing_rates
from tlcore.training.prepare import Ground, prepare, recipe_of

SMALL = RateRange(low=1e-4, high=1.0, steps=24)


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    folder = tmp_path_factory.mktemp("bench")
    return Bench(folder, tiny_dataset(folder, classes=2, per_class=12))


def ground_of(bench: Bench, strategy: str, reporter: Recorder | None = None, **changes) -> Ground:
    spec = bench.spec(strategy, **changes)
    work, cache = bench.folder / "lr" / strategy, bench.folder / "cache"
    return Ground(spec, bench.dataset, bench.split(spec), work, cache, reporter or Recorder(), None, FLOAT32, 0.0)


@pytest.mark.parametrize(
    "strategy", ["fine_tuning", "transfer_learning", "from_scratch", "lp_ft", "gradual_unfreezing"]
)
def test_a_finding_has_a_loss_for_each_rate(bench, strategy):
    found = lr_finder.find_learning_rate(ground_of(bench, strategy), SMALL)
    assert len(found.rates) == len(found.losses) == len(found.smoothed) > 10
    assert list(found.rates) == growing_rates(1e-4, 1.0, 24)[: len(found.rates)]
    assert found.diverged == (len(found.rates) < 24)
    assert found.suggestion is None or found.suggestion in found.rates
    assert set(found.settings) <= {
        "lp_ft": {"2.learning_rate", "2.backbone_learning_rate"}, "transfer_learning": {"learning_rate"},
    }.get(strategy, {"learning_rate", "backbone_learning_rate"})  # fmt: skip
    json.dumps(found.model_dump(mode="json"), allow_nan=False)


def test_images_that_a_search_uses_stay_beside_the_features_that_it_makes(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("TLCORE_MAX_CACHE_GB", "0")
    lr_finder.find_learning_rate(replace(ground_of(bench, "lp_ft"), cache_dir=tmp_path), SMALL)
    assert {folder.parent.name for folder in tmp_path.glob("*/[!.]*/")} == {"images", "features"}


def test_the_losses_are_those_of_a_plain_loop_at_these_rates(bench):
    """The oracle: the network's own forward pass on the finder's batches, and torch's SGD at the same rates."""
    changes = {"overrides": {"augmentation": "none", "normalization": "eval"}}
    ground = ground_of(bench, "fine_tuning", **changes)
    found = lr_finder.find_learning_rate(ground, SMALL)
    task = prepare(ground, recipe_of(ground), ground.work_dir / "plain", Recorder()).task
    module, phase = task.network.module.eval(), task.recipe.phases[0]
    head = list(task.network.head.parameters())
    rest = [p for p in module.parameters() if all(p is not h for h in head)]
    settings = {"momentum": phase.momentum, "nesterov": phase.nesterov}
    decays = {True: phase.weight_decay, False: 0.0}  # none on norms and biases
    groups = [
        {"params": [p for p in part if (p.dim() > 1) is wide], "weight_decay": decays[wide]}
        for part in (rest, head)
        for wide in (True, False)
    ]
    optimizer = torch.optim.SGD(groups, lr=0.1, **settings)
    for step, (rate, loss) in enumerate(zip(found.rates, found.losses, strict=True)):
        positions = stream.batch_positions(task.seed, step, task.recipe.batch_size, len(task.train))
        images, labels = training_batch(task.source, task.train[positions], "none", 0)
        value = torch.nn.functional.cross_entropy(module(images), labels)
        assert loss == pytest.approx(value.item(), rel=1e-3, abs=1e-4), step
        optimizer.zero_grad()
        value.backward()
        for group, factor in zip(optimizer.param_groups, (0.1, 0.1, 1.0, 1.0), strict=True):
            group["lr"] = rate * factor
        optimizer.step()


def test_only_training_images_are_met(bench, monkeypatch):
    met = set()
    real = lr_finder.prepare

    def watched(ground, recipe, folder, reporter):
        begun = real(ground, recipe, folder, reporter)
        source = begun.task.source

        def reader(kind):
            return lambda rows: (met.update(rows.tolist()), getattr(source, kind)(rows))[1]

        spied = replace(source, read_eval=reader("read_eval"), read_train=reader("read_train"))
        return replace(begun, task=replace(begun.task, source=spied))

    monkeypatch.setattr(lr_finder, "prepare", watched)
    ground = ground_of(bench, "staged_fine_tuning")
    lr_finder.find_learning_rate(ground, SMALL)
    assert met and met <= set(ground.split.train)


def test_it_ends_where_the_loss_diverges(bench):
    wide = RateRange(low=1e-3, high=100.0, steps=60)
    found = lr_finder.find_learning_rate(ground_of(bench, "from_scratch"), wide)
    assert found.diverged and len(found.rates) < 60


def test_a_strategy_without_gradient_steps_has_no_rate(bench):
    with pytest.raises(SpecError, match="no gradient steps"):
        lr_finder.find_learning_rate(ground_of(bench, "feature_extraction"), SMALL)


def test_a_batch_that_is_too_large_is_done_in_parts_and_told(bench, monkeypatch, capsys):
    little_memory(monkeypatch, steps)
    found = lr_finder.find_learning_rate(ground_of(bench, "fine_tuning"), SMALL)
    assert len(found.notes) == 1
    assert "memory ran out at optimiser step 1" in found.notes[0]
    _show(found)
    assert "memory ran out at optimiser step 1" in capsys.readouterr().err


def test_memory_that_holds_nothing_is_a_clear_error(bench, monkeypatch):
    little_memory(monkeypatch, steps, room=0)
    with pytest.raises(TrainingError, match=r"out of memory.*--batch-size.*--image-size"):
        lr_finder.find_learning_rate(ground_of(bench, "fine_tuning"), SMALL)


def test_it_can_be_stopped(bench):
    with pytest.raises(RunCancelledError):
        lr_finder.find_learning_rate(ground_of(bench, "fine_tuning", Recorder(stop_after=6)), SMALL)


class Hearer:
    """A listener that remembers, and stops after so many messages."""

    def __init__(self, patience: int = 10**6) -> None:
        self.heard: list[tuple[float, str]] = []
        self.patience = patience

    def progress(self, done: float, message: str) -> None:
        self.heard.append((done, message))

    def should_stop(self) -> bool:
        return len(self.heard) >= self.patience


@pytest.fixture
def request_(bench: Bench, settings: Settings) -> dict:
    """The question, on a dataset of this home."""
    info = add_dataset(bench.dataset.root, "tiny", settings)
    spec = bench.spec("fine_tuning", dataset_id=info.id, dataset_fingerprint=info.fingerprint)
    return {"question": "lr_find", "spec": spec.model_dump(mode="json"), **SMALL.model_dump()}


def test_the_question_tells_how_far_it_is_and_can_be_ended(request_: dict) -> None:
    hearer = Hearer()
    found = answer(request_, hearer)
    assert found["ok"], found
    assert RateFinding.model_validate(found["answer"]).rates[0] == 1e-4
    assert hearer.heard[-1][1].startswith("rate ")
    with pytest.raises(RunCancelledError):
        answer(request_, Hearer(patience=3))
    wrong = answer({**request_, "low": 2.0})
    assert (wrong["ok"], wrong["kind"]) == (False, "SpecError")


@pytest.mark.parametrize("seed", [0, 5])
def test_the_split_is_that_of_the_seed(request_: dict, settings: Settings, monkeypatch: pytest.MonkeyPatch, seed: int):
    asked, real = [], lr_finder.find_learning_rate
    monkeypatch.setattr(
        lr_finder, "find_learning_rate", lambda ground, wanted: asked.append(ground) or real(ground, wanted)
    )
    assert answer({**request_, "spec": {**request_["spec"], "seed": seed}})["ok"]
    (ground,) = asked
    dataset = store.load_dataset(ground.spec.dataset_id, settings)
    assert ground.split == splits.make_split(dataset, seed)
    assert ground.split != splits.make_split(dataset, seed + 1)


@pytest.fixture
def home_with_workers(settings: Settings) -> Iterator[Settings]:
    yield settings
    stop_everything(settings)


def test_a_queued_question_is_answered_by_a_worker_that_is_started_for_it(
    request_: dict, home_with_workers: Settings
) -> None:
    settings = home_with_workers
    job_id = jobs.submit_question(settings, request_, "Learning rate", "cpu")
    assert jobs.answer_of(settings, job_id) is None
    assert jobs.get_job(settings, job_id).title == "Learning rate"
    assert jobs.recent(settings) == [], "lists of jobs do not show questions"
    until(lambda: jobs.get_job(settings, job_id).status not in queue.OPEN, "the question is answered", 240)
    assert len(RateFinding.model_validate(jobs.answer_of(settings, job_id)).rates) > 10
    broken = jobs.submit_question(settings, {"question": "model_facts", "model": "no_such"}, "Facts")
    until(lambda: jobs.get_job(settings, broken).status not in queue.OPEN, "the question is answered", 60)
    with pytest.raises(ModelError, match="no_such"):
        jobs.answer_of(settings, broken)
    long = jobs.submit_question(settings, {**request_, "steps": 2000, "high": 1e-3}, "Long")
    until(lambda: jobs.get_job(settings, long).progress > 0.01, "it is under way", 120)
    jobs.cancel(settings, [long])
    until(lambda: jobs.get_job(settings, long).status == "CANCELLED", "it is cancelled", 60)
    with pytest.raises(JobError, match="was cancelled"):
        jobs.answer_of(settings, long)


def test_an_unknown_question_is_said(settings: Settings) -> None:
    with pytest.raises(NotFoundError, match="ask it again"):
        jobs.answer_of(settings, "gone")


def test_the_service_refuses_before_it_queues_anything(bench: Bench, settings: Settings) -> None:
    info = add_dataset(bench.dataset.root, "tiny", settings)
    weights = f"file:{pretrained(bench.folder / 'weights')}"
    with pytest.raises(SpecError, match="no gradient steps"):
        service.submit(info, "test_resnet", "feature_extraction", weights=weights)
    with pytest.raises(SpecError, match="below the highest"):
        service.submit(info, "test_resnet", "fine_tuning", weights=weights, low=0.1, high=0.01)
    with pytest.raises(ModelError):
        service.submit(info, "no_such_model", "fine_tuning", weights=weights)
    assert not (settings.jobs / "queue.db").exists()


@pytest.mark.slow
def test_the_command_prints_a_table_and_the_suggestion(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    images = make_image_folder(tmp_path, ("plain", "ringed"), 20, 32)
    weights, result = pretrained(tmp_path), tmp_path / "found.json"
    command = [
        "lr-find", "--dataset", images, "--model", "test_resnet", "--weights", f"file:{weights}", "--strategy",
        "transfer_learning", "--image-size", 32, "--device", "cpu", "--steps", 40, "--low", 1e-5, "--json", result,
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["tlcore", *map(str, command)])
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        stop_everything(get_settings())
    printed = capfd.readouterr()
    assert ended.value.code in (0, None), printed.err
    found = RateFinding.model_validate_json(result.read_text())
    assert "learning rate" in printed.out and "smoothed loss" in printed.out
    if found.suggestion is None:
        assert "no suggestion" in printed.out
    else:
        assert f"--set transfer_learning.learning_rate={found.settings['learning_rate']:g}" in printed.out
        assert "the recipe's own rate is 0.01" in printed.out

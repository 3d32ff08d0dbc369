"""The same runs on a CUDA device; nothing here asks for the same bits."""

import gc
from dataclasses import replace

import pytest
import torch

from tests.training_support import Bench, Recorder, tiny_dataset
from tlcore.errors import RunCancelledError
from tlcore.spec import Budget
from tlcore.strategies import STRATEGIES
from tlcore.training.device import pick_device
from tlcore.training.features.logistic import LogisticPath
from tlcore.training.images.batches import RESIDENT_SHARE, open_source
from tlcore.training.images.cache import open_cache
from tlcore.training.loop import recording
from tlcore.training.loop.checkpoints import fresh_state
from tlcore.training.loop.recording import RECORD_AFTER
from tlcore.training.loop.steps import make_ready, train_step
from tlcore.training.networks.forward import predictions
from tlcore.training.networks.models import model_facts
from tlcore.training.outcome.predict import predict
from tlcore.training.stopwatch import Stopwatch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here"),
]


@pytest.fixture(autouse=True)
def recorded(monkeypatch):
    """Steps are recorded whichever torch there is."""
    monkeypatch.setenv("TLCORE_RECORD_STEPS", "1")


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    return Bench(folder, tiny_dataset(folder, classes=3, per_class=20), budget=Budget(epochs=4))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_runs_on_cuda(bench, strategy):
    recorder, own = Recorder(), replace(bench, model="test_vit" if strategy == "lora" else "test_resnet")
    outcome = own.run(own.spec(strategy, device="cuda"), strategy, recorder)
    assert recorder.resolution.device == "cuda:0"
    assert outcome.frozen_state_unchanged in (None, True)
    assert outcome.train_seconds <= outcome.total_seconds
    assert outcome.peak_memory_bytes > 0
    photo = bench.dataset.root / bench.dataset.images["path"].iloc[0]
    (answer,) = predict({"r": bench.work(strategy) / "model"}, [photo])["r"]
    assert sum(answer["probabilities"].values()) == pytest.approx(1.0)


def test_a_stopped_run_goes_on_with_nearly_the_same_curve(bench):
    spec = bench.spec("staged_fine_tuning", device="cuda")
    whole, second = Recorder(), Recorder()
    bench.run(spec, "whole", whole)
    with pytest.raises(RunCancelledError):
        bench.run(spec, "pieces", Recorder(stop_at=7))
    bench.run(spec, "pieces", second)
    losses = [[p.val_loss for p in r.histories[-1][0]] for r in (whole, second)]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


@pytest.mark.parametrize("free_share", [RESIDENT_SHARE, 0.0])
def test_pixels_are_the_same_whether_they_stay_on_the_device_or_not(bench, monkeypatch, free_share):
    monkeypatch.setattr("tlcore.training.images.batches.RESIDENT_SHARE", free_share)
    preprocessing = model_facts("test_resnet").preprocessing
    cache = open_cache(bench.dataset, preprocessing, bench.folder / "cache")
    source = open_source(cache, bench.dataset, preprocessing, pick_device("cuda"))
    rows = bench.dataset.images.index.to_numpy()[::7].copy()
    assert torch.equal(source.read_eval(rows).cpu(), torch.from_numpy(cache.eval_pixels[rows]))


def test_an_automatic_batch_is_measured_and_kept(bench):
    """The pictures are so few that the recipe's own batch is the limit, and it fits any GPU."""
    recorder = Recorder()
    spec = bench.spec("fine_tuning", device="cuda", batch_size="auto")
    bench.run(spec, "auto", recorder)
    assert recorder.resolution.batch_size == 32
    assert "the largest power of two" in recorder.resolution.notes[0]
    assert len(list((bench.folder / "cache" / "batch_sizes").glob("*.json"))) == 1


def test_memory_that_is_really_short_is_met_in_parts(bench):
    """torch may use little more than the network needs with a few images."""
    own = replace(bench, model="resnet18")
    spec = own.spec("from_scratch", device="cuda", image_size=128, batch_size=256, budget=Budget(steps=3))
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(1.0e9 / total, 0)
    try:
        outcome = own.run(spec, "short")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, 0)
    assert any("memory ran out at optimiser step" in note for note in outcome.notes)


def test_a_part_has_the_time_of_its_kernels_not_of_sending_them():
    device = torch.device("cuda")
    large = torch.randn(4096, 4096, device=device)
    watch = Stopwatch(device)
    for _ in range(600):  # more than wait to be read
        with watch.measure("optimizer"):
            large.add_(1e-9)
    for _ in range(20):
        with watch.measure("forward"):
            large @ large
    with watch.measure("logging"):
        pass
    seconds = watch.seconds
    assert set(seconds) == {"optimizer", "forward", "logging"}
    assert seconds["forward"] > 100 * seconds["logging"], "a product is sent in no time, and takes some"


def lesson_of(bench, spec):
    """A task and its first phase, set to be trained, with the state of its beginning."""
    task = bench.task(spec)
    return task, fresh_state(task.source.device.device), make_ready(task, task.recipe.phases[0])


@pytest.mark.parametrize("strategy", ["fine_tuning", "transfer_learning", "partial_fine_tuning"])
def test_no_step_waits_for_the_device(bench, strategy):
    """After the first ones, which choose kernels, allocate, and are recorded."""
    task, state, lesson = lesson_of(bench, bench.spec(strategy, device="cuda"))
    first = RECORD_AFTER + 3
    for _ in range(first):
        train_step(task, state, lesson)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(5):
            train_step(task, state, lesson)  # an error where it waits
        with pytest.raises(RuntimeError, match="synchroniz"):
            float(state.loss_sum)  # as this does
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert (state.step, state.seen) == (first + 5, (first + 5) * task.recipe.batch_size)
    assert torch.isfinite(state.loss_sum)


RECORDED = [
    ("test_resnet", "fine_tuning", {}),
    ("test_resnet", "partial_fine_tuning", {"class_balance": "loss_weights"}),
    ("test_resnet", "transfer_learning", {}),
    ("mobilenetv2_100", "from_scratch", {"gradient_clip": 0.1}),
    ("test_efficientnet", "fine_tuning", {"optimizer": "adam"}),
    ("torchvision:squeezenet1_1", "fine_tuning", {}),  # with dropout
    ("test_vit", "lora", {}),
    ("tiny_vit_5m_224", "transfer_learning", {}),  # in eval mode it keeps attention biases, which an evaluation drops
]


@pytest.mark.parametrize(("model", "strategy", "overrides"), RECORDED)
def test_recorded_steps_train_the_same_network(bench, monkeypatch, model, strategy, overrides):
    """As those sent kernel by kernel, also after evaluations; both twice, as sums on a GPU have no fixed order."""
    own = replace(bench, model=model)
    spec, found = own.spec(strategy, device="cuda", overrides=overrides, budget=Budget(epochs=20)), []
    spec = spec.model_copy(update={"image_size": 64}) if model.startswith("tiny_vit") else spec
    for first_steps in (1_000, 1_000, 2):
        monkeypatch.setattr("tlcore.training.loop.recording.RECORD_AFTER", first_steps)
        task, state, lesson = lesson_of(own, spec)
        start = {name: tensor.clone() for name, tensor in task.network.module.state_dict().items()}
        for step in range(12):
            train_step(task, state, lesson)
            if step % 4 == 3:
                list(predictions(task.network, task.source, task.val, 8, lambda: None))
        lesson.batches.stop_ahead()
        assert (lesson.recorder.find(*lesson.batches.take(99), 0) is not None) is (first_steps == 2)
        found.append((changes(task.network.module, start), float(state.loss_sum)))
    require_same(*found)


def require_same(plain, again, other):
    """Each what it changed, and the sum of its losses. again: plain once more, as sums on a GPU have no fixed order."""
    assert other[1] == pytest.approx(plain[1], rel=1e-3, abs=2 * abs(again[1] - plain[1]))
    for kind, moved in plain[0].items():
        allowed = max(2 * (again[0][kind] - moved).norm(), 0.02 * moved.norm())
        assert (other[0][kind] - moved).norm() <= allowed, kind
    assert torch.equal(other[0]["counters"], plain[0]["counters"])


def changes(module, start):
    """By how much weights, statistics and counters differ from those in `start`, each in one vector."""
    weights = {name for name, _ in module.named_parameters()}
    found = {"weights": [], "statistics": [], "counters": []}
    for name, tensor in module.state_dict().items():
        kind = "weights" if name in weights else "statistics" if tensor.is_floating_point() else "counters"
        found[kind].append((tensor - start[name]).double().flatten())
    return {kind: torch.cat(parts or [torch.zeros(1)]) for kind, parts in found.items()}


def test_recordings_leave_no_memory_behind(bench):
    """Neither their own nor that of libraries, which keep some for each queue that they are used in."""
    left = []
    for _ in range(4):
        task, state, lesson = lesson_of(bench, bench.spec("fine_tuning", device="cuda"))
        for _ in range(RECORD_AFTER + 2):
            train_step(task, state, lesson)
        lesson.batches.stop_ahead()
        del task, state, lesson
        gc.collect()
        torch.cuda.empty_cache()
        left.append(torch.cuda.memory_reserved())
    assert left[1:] == left[:1] * 3


def waits(module, inputs, scores):
    float(scores.sum())


def draws(module, inputs, scores):
    torch.rand(1)


def waits_while_recorded(module, inputs, scores):
    if torch.cuda.is_current_stream_capturing():
        torch.cuda.synchronize()


RECOVERS = pytest.mark.skipif(torch.__version__ < recording.RECOVERS, reason="this torch cannot go on after that")


@pytest.mark.parametrize("hook", [waits, draws, pytest.param(waits_while_recorded, marks=RECOVERS)])
def test_a_network_that_a_recording_would_not_repeat_is_trained_without(bench, monkeypatch, caplog, hook):
    """The same as without the attempt; with dropout, whose random state an attempt may leave, and moving statistics."""
    own, found = replace(bench, model="mobilenetv2_100"), []
    spec = own.spec("from_scratch", device="cuda", overrides={"head_dropout": 0.5}, budget=Budget(epochs=20))
    for record in ("0", "0", "1"):
        monkeypatch.setenv("TLCORE_RECORD_STEPS", record)
        task, state, lesson = lesson_of(own, spec)
        task.network.module.register_forward_hook(hook)
        start = {name: tensor.clone() for name, tensor in task.network.module.state_dict().items()}
        for _ in range(RECORD_AFTER + 10):
            train_step(task, state, lesson)
        lesson.batches.stop_ahead()
        assert ("cannot be recorded" in caplog.text) is (record == "1")
        found.append((changes(task.network.module, start), float(state.loss_sum)))
    require_same(*found)


def test_a_logistic_regression_on_cuda_has_the_same_probabilities():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(300) % 3
    features = torch.randn(300, 40, generator=generator) + labels[:, None] * 0.3
    features -= features.mean(0)
    found = []
    for device in ("cpu", "cuda"):
        path = LogisticPath(features.to(device), labels, 3, 1_000, torch.bfloat16)
        solution = [path.fit(c) for c in (0.001, 0.01, 0.1)][-1]
        assert solution.converged
        scores = features.double() @ torch.from_numpy(solution.weight).T + torch.from_numpy(solution.bias)
        found.append(scores.softmax(1))
    assert torch.allclose(*found, atol=5e-3)

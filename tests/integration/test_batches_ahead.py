"""Batches made one step ahead, as on a GPU: the same run as without."""

import threading
import time
import weakref
from concurrent.futures import wait
from functools import partial, partialmethod
from types import SimpleNamespace

import pytest
import torch
from torchvision.transforms import v2

from tests.training_support import Bench, Recorder, tiny_dataset
from tlcore.errors import RunCancelledError
from tlcore.spec import Budget
from tlcore.training.device import Device
from tlcore.training.loop import phase as phase_module
from tlcore.training.loop import steps as steps_module
from tlcore.training.loop.ahead import Batches


def numbered(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.full((1,), float(step)), torch.tensor([threading.get_ident()])


def test_a_batch_is_made_ahead_in_another_thread_and_only_for_its_step():
    batches = Batches(numbered, ahead=True)
    batches.prepare(1)
    batches.prepare(2)  # one is on its way
    image, thread = batches.take(1)
    assert image.item() == 1
    assert thread.item() != threading.get_ident()
    batches.prepare(2)
    image, thread = batches.take(7)
    assert image.item() == 7
    assert thread.item() == threading.get_ident()


def test_without_a_gpu_nothing_is_made_ahead():
    batches = Batches(numbered, ahead=False)
    batches.prepare(1)
    assert batches.take(1)[1].item() == threading.get_ident()


def test_what_goes_wrong_ahead_is_raised_when_the_batch_is_asked_for():
    def broken(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        raise ValueError(f"step {step}")

    batches = Batches(broken, ahead=True)
    batches.prepare(3)
    with pytest.raises(ValueError, match="step 3"):
        batches.take(3)


def test_where_memory_runs_out_ahead_batches_are_made_when_they_are_asked_for():
    def greedy(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        if threading.current_thread() is not threading.main_thread():
            raise torch.OutOfMemoryError
        return numbered(step)

    batches = Batches(greedy, ahead=True)
    batches.prepare(3)
    assert batches.take(3)[0].item() == 3
    batches.prepare(4)  # would run out again
    assert batches.take(4)[0].item() == 4


def test_what_a_failed_try_held_is_let_go_before_the_next():
    held = []

    def greedy(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        if not held:
            mine = torch.zeros(1)
            held.append(weakref.ref(mine))
            raise torch.OutOfMemoryError
        assert held[0]() is None
        return numbered(step)

    batches = Batches(greedy, ahead=True)
    batches.prepare(3)
    wait([batches._next[1]])
    batches.take(3)


@pytest.mark.parametrize("fits_alone", [True, False])
def test_a_backward_pass_that_runs_out_of_memory_is_tried_without_the_next_batch(tmp_path, monkeypatch, fits_alone):
    """Only where that does not help is the step done in parts. Nothing is made ahead any more."""
    bench = Bench(tmp_path, tiny_dataset(tmp_path, classes=3, per_class=20), budget=Budget(steps=6))
    made, seen, real = [], [], steps_module.logits

    class Counted(Batches):
        taken = 0

        def take(self, step):
            self.taken += 1
            return super().take(step)

    def out_of_memory(_):
        seen.append(made[-1]._next is not None)
        if seen[-1] or not fits_alone:
            raise torch.OutOfMemoryError("made up")

    def short(network, device, images):
        scores = real(network, device, images)
        if len(images) == 8 and made[-1].taken == 3:
            scores.register_hook(out_of_memory)
        return scores

    monkeypatch.setattr(steps_module, "logits", short)
    for name, is_ahead in (("plain", False), ("ahead", True)):
        monkeypatch.setattr(
            steps_module, "Batches", lambda make, a=is_ahead, **_: made.append(Counted(make, a)) or made[-1]
        )
        outcome = bench.run(bench.spec("from_scratch"), name)  # whose statistics move
        assert any("memory ran out at optimiser step 3" in note for note in outcome.notes) is not fits_alone
    assert seen == [False, True, False]
    assert (made[-1]._pool, made[-1]._next) == (None, None)
    require_same_network(bench, "plain", "ahead")


def test_all_that_is_held_for_speed_is_let_go_at_once():
    """A batch made ahead and a recording: either may be what memory is short of."""
    batches, given_up = Batches(numbered, ahead=True), []
    batches.prepare(1)
    recorder = SimpleNamespace(give_up=lambda: bool(given_up.append(1)))
    lesson = steps_module.Lesson(None, None, batches, recorder, None, ())
    assert lesson.let_go()
    assert (batches._next, given_up) == (None, [1])
    assert not lesson.let_go()


@pytest.mark.parametrize(("setting", "recorded"), [("1", True), ("0", False)])
def test_steps_on_a_gpu_are_recorded_unless_the_environment_says_no(tmp_path, monkeypatch, setting, recorded):
    monkeypatch.setenv("TLCORE_RECORD_STEPS", setting)
    monkeypatch.setattr(Device, "accelerated", True)
    monkeypatch.setattr(steps_module, "PassRecorder", lambda *given, on: on)
    bench = Bench(tmp_path, tiny_dataset(tmp_path, classes=3, per_class=20))
    task = bench.task(bench.spec("fine_tuning"))
    assert steps_module.make_ready(task, task.recipe.phases[0]).recorder is recorded


class Slow(v2.TrivialAugmentWide):
    """It takes its time where it is done ahead."""

    def forward(self, *inputs):
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.03)
        return super().forward(*inputs)


@pytest.mark.parametrize("augmentation", ["crop_flip", "trivial_augment"])
def test_a_run_with_batches_ahead_has_the_same_bits_also_when_it_was_stopped(tmp_path, monkeypatch, augmentation):
    bench = Bench(tmp_path, tiny_dataset(tmp_path, classes=3, per_class=20), budget=Budget(epochs=3))
    spec = bench.spec("staged_fine_tuning", overrides={"augmentation": augmentation})
    bench.run(spec, "plain")
    made = []

    def ahead(make, **_):
        made.append(Batches(make, ahead=True))
        return made[-1]

    monkeypatch.setattr(steps_module, "Batches", ahead)
    monkeypatch.setattr(v2, "TrivialAugmentWide", Slow)  # still at it when the phase ends
    with pytest.raises(RunCancelledError):
        bench.run(spec, "ahead", Recorder(stop_at=5))
    bench.run(spec, "ahead")
    assert len(made) == 3, "two phases, one of them in two pieces"
    require_same_network(bench, "plain", "ahead")


def require_same_network(bench: Bench, *names: str) -> None:
    files = [bench.work(name) / "checkpoint" / "last.pt" for name in names]
    one, other = (torch.load(file, weights_only=True)["network"] for file in files)
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.mark.parametrize("place", ["take", "evaluate"])
def test_where_memory_runs_out_beside_a_recording_it_is_let_go(tmp_path, monkeypatch, place):
    """As it is held for speed alone: nothing is done in parts then. An evaluation is tried in parts before."""
    bench = Bench(tmp_path, tiny_dataset(tmp_path, classes=3, per_class=20), budget=Budget(steps=6))
    held = []

    class Held(steps_module.PassRecorder):
        """With a recording that no batch of this run fits."""

        def __init__(self, *given, on):
            super().__init__(*given, on=False)
            self._made = SimpleNamespace(images=torch.empty(0))
            held.append(self)

    def short(real, *given, **named):
        if held and held[-1]._made is not None:
            raise torch.OutOfMemoryError("made up")
        return real(*given, **named)

    monkeypatch.setattr(steps_module, "PassRecorder", Held)
    if place == "take":
        monkeypatch.setattr(
            Batches, "take", partialmethod(lambda self, real, step: short(real, self, step), Batches.take)
        )
    else:
        monkeypatch.setattr(phase_module, "predictions", partial(short, phase_module.predictions))
    outcome = bench.run(bench.spec("fine_tuning"), "short")
    assert held[-1]._made is None
    assert not any("memory ran out" in note for note in outcome.notes)

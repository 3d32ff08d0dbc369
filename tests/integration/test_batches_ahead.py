"""Batches made one step ahead, as on a GPU: the same run as without."""

import threading

import pytest
import torch

from tests.training_support import Bench, Recorder, tiny_dataset
from tlcore.errors import RunCancelledError
from tlcore.spec import Budget
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


def test_where_a_backward_pass_runs_out_of_memory_the_next_batch_is_let_go(tmp_path, monkeypatch):
    """The step is done in parts, nothing is made ahead any more, and the weights are those of such a run without it."""
    bench = Bench(tmp_path, tiny_dataset(tmp_path, classes=3, per_class=20), budget=Budget(steps=6))
    made, seen, real = [], [], steps_module.logits

    def out_of_memory(_):
        seen.append(made[-1]._next is not None)
        raise torch.OutOfMemoryError("made up")

    def short(network, device, images):
        scores = real(network, device, images)
        if len(images) == 8 and made[-1].taken == 3:
            scores.register_hook(out_of_memory)
        return scores

    class Counted(Batches):
        taken = 0

        def take(self, step):
            self.taken += 1
            return super().take(step)

    monkeypatch.setattr(steps_module, "logits", short)
    for name, is_ahead in (("plain", False), ("ahead", True)):
        monkeypatch.setattr(
            steps_module, "Batches", lambda make, _, a=is_ahead: made.append(Counted(make, a)) or made[-1]
        )
        outcome = bench.run(bench.spec("fine_tuning"), name)
        assert any("memory ran out at optimiser step 3" in note for note in outcome.notes)
    assert seen == [False, True]
    assert (made[-1]._pool, made[-1]._next) == (None, None)
    require_same_network(bench, "plain", "ahead")


@pytest.mark.parametrize("augmentation", ["crop_flip", "trivial_augment"])
def test_a_run_with_batches_ahead_has_the_same_bits_also_when_it_was_stopped(tmp_path, monkeypatch, augmentation):
    bench = Bench(tmp_path, tiny_dataset(tmp_path, classes=3, per_class=20), budget=Budget(epochs=3))
    spec = bench.spec("staged_fine_tuning", overrides={"augmentation": augmentation})
    bench.run(spec, "plain")
    made = []

    def ahead(make, ahead):
        made.append(Batches(make, ahead=True))
        return made[-1]

    monkeypatch.setattr(steps_module, "Batches", ahead)
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

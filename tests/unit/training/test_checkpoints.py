"""The checkpoint on disk."""

import pickle

import pytest
import torch

from tlcore.errors import StorageError
from tlcore.results import EvaluationPoint, FrozenState, PartMetrics, PhaseReport
from tlcore.training.loop import checkpoints
from tlcore.training.loop.checkpoints import Best, State

CPU = torch.device("cpu")


def full_state() -> State:
    metrics = PartMetrics(num_images=3, accuracy=1 / 3, balanced_accuracy=0.1, loss=1.1)
    point = EvaluationPoint(
        step=4, epoch=1 / 3, images_seen=8, train_seconds=0.1, timestamp_ms=5, phase=0, learning_rates={"head": 0.1}
    )
    state = State(
        loss_sum=torch.tensor(1 / 3, dtype=torch.float64),
        hits=torch.tensor(7),
        step=5,
        seen=9,
        phase=1,
        begun=2.0,
        begun_step=2,
        train_seconds=1.5,
        history=(point,),
        best=Best(step=4, epoch=1 / 3, val=metrics, weights="best-4.safetensors"),
        last_val=metrics,
        frozen_before="abc",
        frozen_states=(FrozenState(phase=0, num_tensors=2, before="a", after="a"),),
        notes=("note",),
        stopped=((0, 2),),
        phases=(
            PhaseReport(
                phase=0, trainable="head", first_step=0, last_step=2, normalization=None, num_trainable=4, num_frozen=9
            ),
        ),
        trained=((0, 4),),
        micro_batch=4,
        evaluation_batch=16,
    )
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([{"params": [parameter], "name": "head", "base_lr": 0.1}], lr=0.1, momentum=0.9)
    parameter.grad = torch.ones(2)
    optimizer.step()
    state.optimizer = optimizer.state_dict()
    return state


def test_a_state_comes_back_as_it_was(tmp_path):
    state = full_state()
    checkpoints.save_last(tmp_path, "spec", state, {"w": torch.arange(3.0)})
    found, tensors = checkpoints.load_last(tmp_path, "spec", CPU)
    for name in State.__dataclass_fields__:
        if name != "optimizer":
            assert getattr(found, name) == getattr(state, name), name
    assert torch.equal(found.optimizer["state"][0]["momentum_buffer"], torch.ones(2))
    assert torch.equal(tensors["w"], torch.arange(3.0))


def test_no_checkpoint_is_no_state(tmp_path):
    assert checkpoints.load_last(tmp_path, "spec", CPU) is None


def test_another_runs_checkpoint_is_refused(tmp_path):
    checkpoints.save_last(tmp_path, "spec", full_state(), {})
    with pytest.raises(StorageError, match="belongs to another run"):
        checkpoints.load_last(tmp_path, "other", CPU)


def test_only_the_best_weights_that_the_checkpoint_names_are_kept(tmp_path):
    for step in (2, 4):
        checkpoints.save_best(tmp_path, step, {"w": torch.full((2,), float(step))})
    state = full_state()
    checkpoints.save_last(tmp_path, "spec", state, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best-4.safetensors", "last.pt"]
    assert torch.equal(checkpoints.load_best(tmp_path, state.best)["w"], torch.full((2,), 4.0))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fails(place):
        place.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="No space left"):
        checkpoints.write_atomically(path, fails)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("run",))

    torch.save({"format": 1, "spec": Evil()}, tmp_path / "last.pt")
    with pytest.raises(pickle.UnpicklingError):
        checkpoints.load_last(tmp_path, "spec", CPU)

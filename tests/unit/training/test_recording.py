"""When the passes of a phase are recorded; what recordings compute is tried on a GPU (`test_training_gpu.py`)."""

import gc
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from timm.models.tiny_vit import Attention

from tlcore.training.loop import recording
from tlcore.training.loop.recording import RECORD_AFTER, PassRecorder

LABELS = torch.zeros(4, dtype=torch.int64)


@pytest.fixture
def recorded(monkeypatch) -> list[tuple[torch.Size, int]]:
    """The batches of which recordings were made, and torch's seeds; what they are made of is left out."""
    found = []

    def recorded(self, images, labels, seed, undo):
        found.append((images.shape, seed))
        parts = SimpleNamespace(images=images, gradients=(), replay=lambda *_: torch.ones(3))
        return parts, (torch.ones(3), [])

    monkeypatch.setattr(PassRecorder, "_recorded", recorded)
    monkeypatch.setattr(recording, "_difference", lambda *_: 0.0)
    monkeypatch.setattr(recording, "Stopwatch", lambda _: None)
    make_up_gpu(monkeypatch)
    return found


def make_up_gpu(monkeypatch, peak: int = 1, reserved: int = 1, allocated: int = 1, free: int = 1) -> None:
    """Of which torch tells that so many bytes are in use."""
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: None)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: torch.no_grad())
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: peak)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: reserved)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: allocated)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free, 100))


def recorder(on: bool = True) -> PassRecorder:
    return PassRecorder(lambda images, labels: (images, images.sum()), [], [], on)


def images(number: int = 4) -> torch.Tensor:
    return torch.zeros(number, 3, 8, 8)


def test_a_phase_is_recorded_once_it_has_lasted(recorded):
    own = recorder()
    found = [own.find(images(), LABELS, seed) for seed in range(RECORD_AFTER + 3)]
    assert [one is not None for one in found] == [False] * RECORD_AFTER + [True] * 3
    assert recorded == [(images().shape, RECORD_AFTER)]


def test_nothing_is_recorded_without_a_gpu(recorded):
    own = recorder(on=False)
    assert [own.find(images(), LABELS, 0) for _ in range(RECORD_AFTER + 3)] == [None] * (RECORD_AFTER + 3)
    assert not recorded


def test_a_batch_of_another_size_is_not_sent_through_a_recording(recorded):
    own = recorder()
    for _ in range(RECORD_AFTER + 1):
        own.find(images(), LABELS, 0)
    assert own.find(images(3), LABELS, 0) is None
    assert own.find(images(), LABELS, 0) is not None


def test_what_was_given_up_is_not_made_again(recorded):
    own = recorder()
    for _ in range(RECORD_AFTER + 1):
        own.find(images(), LABELS, 0)
    assert own.give_up()
    assert not own.give_up()
    assert [own.find(images(), LABELS, 0) for _ in range(RECORD_AFTER + 3)] == [None] * (RECORD_AFTER + 3)
    assert len(recorded) == 1


def test_nothing_is_recorded_once_memory_ran_out(recorded):
    own = recorder()
    own.find(images(), LABELS, 0)
    assert not own.give_up()
    assert [own.find(images(), LABELS, 0) for _ in range(RECORD_AFTER + 3)] == [None] * (RECORD_AFTER + 3)
    assert not recorded


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"_difference": lambda *_: 0.5}, "scores of a replay differ by 0.5"),
        ({"_difference": lambda *_: float("nan")}, "differ by nan"),
    ],
)
def test_a_recording_that_computes_something_else_is_not_used(recorded, monkeypatch, caplog, fault, words):
    for name, value in fault.items():
        monkeypatch.setattr(recording, name, value)
    own = recorder()
    assert [own.find(images(), LABELS, 0) for _ in range(RECORD_AFTER + 3)] == [None] * (RECORD_AFTER + 3)
    assert len(recorded) == 1
    assert words in caplog.text


@pytest.mark.parametrize("error", [RuntimeError("called a synchronizing operation"), torch.OutOfMemoryError("none")])
def test_what_cannot_be_recorded_is_said_once_and_leaves_everything_as_it_was(monkeypatch, caplog, error):
    weight, statistic = torch.nn.Parameter(torch.ones(2)), torch.zeros(2)

    def fails(self, images, labels, seed, undo):
        weight.grad = torch.ones(2)
        statistic.add_(1)
        raise error

    monkeypatch.setattr(PassRecorder, "_recorded", fails)
    make_up_gpu(monkeypatch)
    own = PassRecorder(lambda images, labels: (images, images.sum()), [weight], [statistic], on=True)
    assert [own.find(images(), LABELS, 0) for _ in range(RECORD_AFTER + 3)] == [None] * (RECORD_AFTER + 3)
    assert caplog.text.count("cannot be recorded") == caplog.text.count(f": {error}\n") == 1
    assert weight.grad is None
    assert statistic.tolist() == [0, 0]


@pytest.mark.parametrize(("free", "recordings"), [(29, 0), (30, 1)])
def test_a_recording_is_made_where_memory_holds_the_passes_twice(recorded, monkeypatch, caplog, free, recordings):
    """They took 20 bytes beside 40 of weights and images, and 10 of those that torch has are in no use now."""
    make_up_gpu(monkeypatch, peak=60, reserved=50, allocated=40, free=free)
    own = recorder()
    for _ in range(RECORD_AFTER + 1):
        own.find(images(), LABELS, 0)
    assert len(recorded) == recordings
    assert ("of the passes twice" in caplog.text) is (recordings == 0)


def test_passes_that_draw_numbers_on_the_cpu_are_no_recording(monkeypatch):
    """A replay would use those of the recording again and again."""
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", lambda _: None)
    with recording._repeatable():
        torch.ones(3).sum()
    with pytest.raises(RuntimeError, match="draws random numbers on the CPU"), recording._repeatable():
        torch.rand(1)


def test_the_reason_is_what_went_wrong_first():
    assert recording._reason(RuntimeError()) == "RuntimeError"
    try:
        try:
            raise ValueError("the cause\nand more")
        finally:
            raise RuntimeError("an error before this one")
    except RuntimeError as error:
        assert recording._reason(error) == "the cause"


@pytest.mark.parametrize(
    ("version", "setting", "wanted"),
    [
        ("2.9.1", None, False), ("2.12.1+cu130", None, False), ("2.13.0", None, True), ("2.14.1+cpu", None, True),
        ("2.12.1", "1", True), ("2.14.1", "0", False),
    ],
)  # fmt: skip
def test_steps_are_recorded_where_torch_recovers_from_one_that_breaks_off_or_as_asked(
    monkeypatch, caplog, version, setting, wanted
):
    monkeypatch.setattr(torch, "__version__", type(torch.__version__)(version))
    monkeypatch.delenv("TLCORE_RECORD_STEPS", raising=False)
    if setting is not None:
        monkeypatch.setenv("TLCORE_RECORD_STEPS", setting)
    assert recording.is_wanted() is wanted
    assert ("TLCORE_RECORD_STEPS=1" in caplog.text) is (setting is None and not wanted), "nobody need wonder"


def test_what_a_network_keeps_for_itself_stays_for_a_recording():
    """timm's attention with biases keeps them in eval mode, and drops them wherever a mode is set."""
    layer, images = Attention(dim=16, key_dim=4, num_heads=2, resolution=(3, 3)), torch.randn(2, 9, 16)
    layer.eval()
    layer(images)
    with recording.Reads() as reads:
        layer(images).sum().backward()
    (kept,) = layer.attention_bias_cache.values()
    own = [*layer.parameters(), *layer.buffers(), images, kept]
    at, values = kept.untyped_storage().data_ptr(), kept.detach().clone()
    assert at in reads.found
    assert reads.found.keys() <= {tensor.untyped_storage().data_ptr() for tensor in own}, "and nothing that was made"
    shape = kept.shape
    layer.train()
    layer.eval()
    del kept, own
    gc.collect()
    others = [torch.full(shape, 7.0) for _ in range(50)]  # where memory that was freed would be used again
    still = torch.empty(0).set_(reads.found[at], 0, shape)
    assert torch.equal(still, values)
    assert all(other.untyped_storage().data_ptr() != at for other in others)


def test_a_recording_keeps_what_its_network_keeps_for_itself(monkeypatch):
    """The passes on a CPU; what makes a recording of them is left out."""
    make_up_gpu(monkeypatch)
    queue = SimpleNamespace(wait_stream=lambda other: None)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda *_: queue)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "graph", lambda *_: nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: SimpleNamespace(pool=lambda: None))
    monkeypatch.setattr(recording, "_queue", lambda device: queue)
    monkeypatch.setattr(recording, "_repeatable", nullcontext)
    layer = Attention(dim=16, key_dim=4, num_heads=2, resolution=(3, 3)).requires_grad_(False)
    layer.eval()
    trained = layer.proj.weight.requires_grad_()

    def forward(images, labels):
        scores = layer(images)
        return scores, scores.sum()

    own = PassRecorder(forward, [trained], [], on=True)
    made, (scores, (gradient,)) = own._recorded(torch.randn(2, 9, 16), LABELS, 0, lambda: None)
    (kept,) = layer.attention_bias_cache.values()
    assert kept.untyped_storage().data_ptr() in {memory.data_ptr() for memory in made.read}
    assert torch.equal(made.scores, scores)
    assert torch.equal(made.gradients[0][1], gradient)


def test_gradients_that_are_all_nought_are_the_same():
    assert recording._difference([torch.zeros(2)], [torch.zeros(2)]) == 0
    assert recording._difference([torch.zeros(2)], [torch.ones(2)]) > 1


def test_giving_a_recording_up_frees_the_gradients_in_its_memory(recorded):
    weight = torch.nn.Parameter(torch.ones(2))
    own = PassRecorder(lambda images, labels: (images, images.sum()), [weight], [], on=True)
    for _ in range(RECORD_AFTER + 1):
        own.find(images(), LABELS, 0)
    weight.grad = torch.ones(2)
    own.give_up()
    assert weight.grad is None


def test_the_difference_is_relative_and_no_number_where_one_is_none():
    plain = [torch.tensor([3.0, 4.0]), torch.tensor([0.0])]
    assert recording._difference(plain, [torch.tensor([3.0, 4.5]), torch.tensor([0.0])]) == pytest.approx(0.1)
    assert not recording._difference(plain, [torch.tensor([3.0, float("nan")]), torch.tensor([0.0])]) <= 1

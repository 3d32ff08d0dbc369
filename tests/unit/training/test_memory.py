"""The same work in smaller parts when memory runs out."""

import logging

import pytest
import torch

from tlcore.training.loop.memory import in_parts, remembered


def short_of(most, asked):
    def work(size):
        asked.append(size)
        if size > most:
            raise torch.OutOfMemoryError("simulated")
        return f"{size} at once"

    return work


@pytest.mark.parametrize(
    ("most", "tried"), [(64, [64]), (63, [64, 32]), (10, [64, 32, 16, 8]), (1, [64, 32, 16, 8, 4, 2, 1])]
)
def test_the_size_is_halved_until_it_fits(most, tried, caplog):
    asked, undone = [], []
    with caplog.at_level(logging.WARNING):
        found, size = in_parts(short_of(most, asked), 64, "step 3", undo=lambda: undone.append(1))
    assert asked == tried
    assert (found, size) == (f"{tried[-1]} at once", tried[-1])
    assert len(undone) == len(caplog.records) == len(tried) - 1
    assert all("step 3: out of memory" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("least", [1, 2])
def test_the_error_stays_where_nothing_smaller_is_left(least):
    asked = []
    with pytest.raises(torch.OutOfMemoryError):
        in_parts(short_of(0, asked), 8, "step", least)
    assert asked[-1] == least


def test_another_error_is_not_mistaken_for_it():
    def work(size):
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        in_parts(work, 8, "step")


def test_statistics_get_their_old_values_back():
    norm = torch.nn.BatchNorm2d(3).train()
    buffers = tuple(norm.buffers())
    before = [buffer.clone() for buffer in buffers]
    undo = remembered(buffers)
    norm(torch.rand(4, 3, 5, 5))
    assert not torch.equal(norm.running_mean, before[0])
    undo()
    assert all(torch.equal(now, old) for now, old in zip(buffers, before, strict=True))

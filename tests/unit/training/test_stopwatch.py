"""What a stopwatch counts, on a clock that the test moves."""

import pytest
import torch

from tlcore.training import stopwatch
from tlcore.training.stopwatch import Stopwatch


@pytest.fixture
def clock(monkeypatch):
    """A list whose only number is the time."""
    now = [100.0]
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: now[0])
    return now


def test_times_of_a_part_add_up_also_those_that_end_in_an_error(clock):
    watch = Stopwatch(torch.device("cpu"))
    for seconds in (2.0, 3.0):
        with watch.measure("forward"):
            clock[0] += seconds
    clock[0] += 50
    with pytest.raises(ValueError, match="stop"), watch.measure("backward"):
        clock[0] += 7
        raise ValueError("stop")
    assert watch.seconds == {"forward": 5.0, "backward": 7.0}


def test_what_an_earlier_process_measured_is_included(clock):
    watch = Stopwatch(torch.device("cpu"))
    with watch.measure("forward"):
        clock[0] += 1
    watch.include({"forward": 4.0, "decode": 2.0})
    assert watch.seconds == {"forward": 5.0, "decode": 2.0}

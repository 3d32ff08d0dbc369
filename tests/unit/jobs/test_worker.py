"""What a worker does with a run before it trains."""

import pytest

from tests.helpers_mlflow import make_spec
from tlcore import worker


@pytest.mark.parametrize(
    ("asked", "slot", "expected"),
    [
        ("auto", "cpu:0", "auto:cpu"),
        ("auto", "cuda:0", "auto:cuda:0"),
        ("auto", "cuda:1", "auto:cuda:1"),
        ("cuda", "cuda:0", "cuda:0"),
        ("cuda", "cuda:1", "cuda:1"),
        ("cuda", "cpu:0", "cuda"),
        ("cpu", "cpu:0", "cpu"),
        ("cuda:2", "cuda:2", "cuda:2"),
    ],
)
def test_a_run_stays_on_the_device_of_its_slot(asked: str, slot: str, expected: str) -> None:
    spec = make_spec(device=asked).runs()[0]
    assert worker.on_slot(spec, slot).device == expected

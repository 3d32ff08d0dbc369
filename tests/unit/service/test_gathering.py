"""Runs of several comparisons seen together: where they match, and why not where they do not."""

import pytest

from tests.pages.fakes import renamed
from tests.records import Example, example
from tlcore import tracking
from tlcore.analysis.statistics.estimates import all_right
from tlcore.analysis.verdict import verdict_of
from tlcore.errors import NotFoundError, SpecError
from tlcore.results import RunRecord
from tlcore.service import gathering

FIRST, SECOND = "a" * 32, "b" * 32


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> dict[str, Example]:
    """Comparisons by id, in place of MLflow."""
    found: dict[str, Example] = {}

    def load_run(settings: object, run_id: str) -> RunRecord:
        for known in found.values():
            for run in known.record.runs:
                if run.run_id == run_id:
                    return run
        raise NotFoundError(f"there is no run {run_id!r} in this store")

    monkeypatch.setattr(tracking, "load_run", load_run)
    monkeypatch.setattr(tracking, "load_comparison", lambda settings, i, with_history=True: found[i].record)
    return found


def put(store: dict[str, Example], comparison_id: str, **changes: object) -> list[str]:
    store[comparison_id] = renamed(example(**changes), comparison_id)
    return [run.run_id for run in store[comparison_id].record.runs]


def test_runs_of_two_comparisons_of_one_family_are_one_comparison(store: dict[str, Example]) -> None:
    one = put(store, FIRST, strategies=("fine_tuning",), seeds=(0, 1, 2))
    other = put(store, SECOND, strategies=("feature_extraction", "from_scratch"), seeds=(0, 1, 2))
    chosen = [*one, *other[:2]]
    found = gathering.gather(gathering.id_of(chosen))
    assert [run.run_id for run in found.runs] == chosen
    assert found.spec.strategies == ("fine_tuning", "feature_extraction", "from_scratch")
    assert not found.can_grow
    answers = {**store[FIRST].predictions, **store[SECOND].predictions}
    (pair,) = verdict_of(found, all_right({run_id: answers[run_id] for run_id in chosen})).pairs
    assert {pair.first, pair.second} == {"fine_tuning", "feature_extraction"}
    assert pair.num_seeds == 1, "the one seed that both have among the runs that were named"


def test_what_cannot_be_compared_is_refused_with_each_reason(store: dict[str, Example]) -> None:
    one = put(store, FIRST, strategies=("fine_tuning",), seeds=(0,))
    other = put(store, SECOND, strategies=("feature_extraction",), seeds=(0,), epochs=12, num_test=99)
    with pytest.raises(SpecError, match=r"cannot be compared: .*budget differs: .*6 epochs and 12 epochs"):
        gathering.gather(gathering.id_of([*one, *other]))


def test_the_same_run_done_twice_is_refused(store: dict[str, Example]) -> None:
    one = put(store, FIRST, strategies=("fine_tuning",), seeds=(0, 1))
    other = put(store, SECOND, strategies=("fine_tuning",), seeds=(1, 2))
    with pytest.raises(SpecError, match="two of these runs are fine_tuning · mobilenetv2_100 · seed 1: leave one"):
        gathering.gather(gathering.id_of([*one, *other]))


def test_unknown_and_no_runs_are_clear(store: dict[str, Example]) -> None:
    with pytest.raises(NotFoundError, match="there is no run 'nothing'"):
        gathering.gather("runs:nothing")
    with pytest.raises(SpecError, match="names no run"):
        gathering.gather("runs: , ")

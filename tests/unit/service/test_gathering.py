"""Runs of several comparisons seen together: where they match, and why not where they do not."""

import pytest

from tests.pages.fakes import renamed
from tests.records import Example, example
from tlcore import tracking
from tlcore.analysis.caveats import caveats
from tlcore.analysis.statistics.estimates import all_right
from tlcore.analysis.statistics.multiplicity import level_of_look
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


def put(store: dict[str, Example], comparison_id: str, looks: int = 1, **changes: object) -> list[str]:
    found = renamed(example(**changes), comparison_id)
    store[comparison_id] = Example(found.record.model_copy(update={"looks": looks}), found.predictions)
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


@pytest.mark.parametrize(
    ("first", "second", "looks"),
    [
        (("fine_tuning",), ("feature_extraction",), 3),  # each strategy from one comparison: the later look of the two
        (("fine_tuning", "feature_extraction"), ("fine_tuning",), 5),  # its seeds were added after all looks at others
    ],
)
def test_looks_at_the_comparisons_that_runs_come_from_count(
    store: dict[str, Example], first: tuple[str, ...], second: tuple[str, ...], looks: int
) -> None:
    one = put(store, FIRST, looks=2, strategies=first, seeds=(0, 1))
    seeds = (0, 1) if len(first) == 1 else (2, 3)
    other = put(store, SECOND, looks=3, strategies=second, seeds=seeds)
    found = gathering.gather(gathering.id_of([*one, *other]))
    assert found.looks == looks
    answers = {**store[FIRST].predictions, **store[SECOND].predictions}
    assert verdict_of(found, all_right(answers)).level == level_of_look(looks)


def test_the_grid_is_that_of_the_runs_alone(store: dict[str, Example]) -> None:
    names = put(store, FIRST, strategies=("fine_tuning", "feature_extraction"), models=("a", "b"), seeds=(0, 1))
    by_id = {run.run_id: run.spec for run in store[FIRST].record.runs}
    on_b = [name for name in names if by_id[name].model == "b"]
    found = gathering.gather(gathering.id_of(on_b))
    assert (found.spec.models, list(found.spec.weights)) == (("b",), ["b"])
    assert not any("of its grid" in line for line in caveats(found)), "it is whole"
    (partly,) = [line for line in caveats(gathering.gather(gathering.id_of(on_b[:3]))) if "of its grid" in line]
    assert partly.startswith("It has 3 of the 4 runs of its grid: means are over")
    assert "were added" not in partly, "runs were chosen, nothing tells of added seeds"


def test_random_starts_on_a_network_of_their_own_are_a_grid_too(store: dict[str, Example]) -> None:
    names = put(store, FIRST, strategies=("fine_tuning", "from_scratch"), models=("a", "b"), scratch_model="small")
    by_id = {run.run_id: run.spec for run in store[FIRST].record.runs}
    alone = gathering.gather(gathering.id_of([name for name in names if by_id[name].model == "small"]))
    assert (alone.spec.models, alone.spec.weights, alone.spec.scratch_model) == (("small",), {}, None)
    beside = gathering.gather(gathering.id_of([name for name in names if by_id[name].model != "a"]))
    assert (beside.spec.models, beside.spec.scratch_model) == (("b",), "small")


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

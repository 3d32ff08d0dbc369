"""How a comparison goes on: which strategies get more seeds, and which more time."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError

import pytest

from tests.records import FACTS, Example, example
from tests.unit.analysis.test_verdict import rising, with_wrong
from tlcore import jobs, tracking
from tlcore.analysis.statistics.estimates import all_right
from tlcore.analysis.verdict import judged
from tlcore.errors import SpecError
from tlcore.recipes import DataFacts, resolve
from tlcore.service import comparisons, growing, plans
from tlcore.spec import ComparisonSpec

TWO = ("feature_extraction", "fine_tuning")
THREE = (*TWO, "staged_fine_tuning")


def decided(found: Example):
    return judged(found.record, all_right(found.predictions)).decision


def test_only_those_in_contention_get_more_seeds_as_many_as_are_needed():
    built = with_wrong(example(THREE, range(3), num_test=600), dict(zip(THREE, (40, 46, 360), strict=True)), moved=9)
    more = growing.next_round(decided(built))
    assert {strategy for _, strategy in more.cells} == set(TWO)
    assert more.seeds[0] == 3
    assert growing.LEAST <= len(more.seeds) <= growing.MOST
    assert more.num_runs == 2 * len(more.seeds)


def test_a_settled_a_running_and_a_looked_at_comparison_get_none():
    settled = with_wrong(example(TWO, range(6)), {"feature_extraction": 60, "fine_tuning": 10}, moved=1)
    assert growing.next_round(decided(settled)) is None
    unclear = with_wrong(example(TWO, range(3)), {"feature_extraction": 11, "fine_tuning": 10}, moved=9)
    assert growing.next_round(decided(unclear)) is not None
    for changed in (
        {"status": "RUNNING"},
        {"status": "KILLED"},
        {"looks": growing.MAX_LOOKS},
        {"recorded_on": "1 Nov 2026"},
    ):
        record = unclear.record.model_copy(update=changed)
        assert growing.next_round(decided(Example(record, unclear.predictions))) is None


def of_status(found, status):
    return Example(found.record.model_copy(update={"status": status}), found.predictions)


def test_what_stands_in_the_way_of_more_seeds_is_said():
    settled = with_wrong(example(TWO, range(6)), {"feature_extraction": 60, "fine_tuning": 10}, moved=1)
    unclear = with_wrong(example(TWO, range(3)), {"feature_extraction": 11, "fine_tuning": 10}, moved=9)
    both = with_wrong(example(TWO, range(3)), {"feature_extraction": 12, "fine_tuning": 10}, moved=1)
    looked = unclear.record.model_copy(update={"looks": growing.MAX_LOOKS})
    assert growing.obstacle(decided(unclear)) is None
    for found, said in (
        (settled, "its verdict is settled"),
        (both, "no affordable number of seeds alone would settle it"),
        (Example(looked, unclear.predictions), f"it was looked at {growing.MAX_LOOKS} times"),
        (of_status(unclear, "RUNNING"), "it still runs"),
        (of_status(unclear, "FAILED"), "a run of it failed or was cancelled"),
        (of_status(unclear, "KILLED"), "a run of it failed or was cancelled"),
    ):
        assert said in growing.obstacle(decided(found))
        assert growing.next_round(decided(found)) is None


def test_folds_grow_by_whole_rounds():
    built = with_wrong(example(TWO, split="kfold:4"), {"feature_extraction": 12, "fine_tuning": 10})
    assert len(growing.next_round(decided(built)).seeds) % 4 == 0


def test_those_that_had_too_little_time_run_again_with_the_best_on_four_times_the_budget():
    built = with_wrong(example(THREE, range(3)), dict(zip(THREE, (10, 80, 75), strict=True)), moved=1)
    assert growing.more_time(decided(built)) is None, "all had time enough"
    late = rising(built, "fine_tuning", (0.3, 0.35, 0.4, 0.48, 0.5, 0.56))
    spec = growing.more_time(decided(late))
    assert spec.strategies == TWO, "the one that lost fairly is left out"
    assert spec.budget.epochs == 24
    assert spec.seeds == (0, 1, 2)


@pytest.mark.parametrize("strategy", TWO)
def test_a_narrowed_grid_takes_along_what_its_strategies_need_and_no_more(strategy):
    spec = example(
        (*TWO, "from_scratch"), models=("mobilenetv2_100",), scratch_model="resnet18",
        overrides={"fine_tuning": {"weight_decay": 0.0}, "from_scratch": {"weight_decay": 0.1}},
    ).record.spec  # fmt: skip
    narrow = spec.narrowed([strategy], seeds=(7,))
    assert isinstance(narrow, ComparisonSpec)
    assert (narrow.strategies, narrow.seeds, narrow.scratch_model) == ((strategy,), (7,), None)
    assert set(narrow.overrides) == ({"fine_tuning"} if strategy == "fine_tuning" else set())
    alone = spec.narrowed(["from_scratch"])
    assert (alone.models, alone.scratch_model, alone.weights) == (("resnet18",), None, {})
    assert {run.model for run in alone.runs()} == {"resnet18"}
    assert {run.family for run in narrow.runs()} == {run.family for run in spec.runs()}


def test_where_no_number_of_seeds_would_do_none_are_added_but_one_seed_cannot_know():
    few = with_wrong(example(TWO, range(3)), {"feature_extraction": 12, "fine_tuning": 10}, moved=1)
    assert decided(few).needed.seeds is None, "153 images cannot show a point"
    assert growing.next_round(decided(few)) is None
    one = with_wrong(example(TWO, (0,)), {"feature_extraction": 12, "fine_tuning": 10})
    assert len(growing.next_round(decided(one)).seeds) == growing.LEAST
    won = with_wrong(example(TWO, (0,)), {"feature_extraction": 60, "fine_tuning": 10})
    assert decided(won).status == "winner"
    assert growing.next_round(decided(won)).num_runs == 2 * growing.LEAST, "one network is no strategy"


class Together:
    """A comparison in place of MLflow's, which two who read it at once would both find as it was."""

    def __init__(self, found: Example, monkeypatch: pytest.MonkeyPatch) -> None:
        self.record, self.queued, self.looks = found.record, [], []
        self.readers = Barrier(2)
        monkeypatch.setattr(tracking, "load_comparison", self.load)
        monkeypatch.setattr(tracking, "load_all_predictions", lambda settings, whole: found.predictions)
        monkeypatch.setattr(tracking, "extend_comparison", self.extend)
        monkeypatch.setattr(tracking, "create_run", lambda settings, comparison, run, dataset, owner: run.name)
        monkeypatch.setattr(jobs, "submit_runs", self.submit)
        monkeypatch.setattr(comparisons, "require_same_tests", lambda existing: None)
        monkeypatch.setattr(plans, "make_plan", self.plan)

    def plan(self, spec: ComparisonSpec) -> plans.Plan:
        data = DataFacts(num_train=194, short_side=224)
        recipes = {(r.model, r.strategy): resolve(r.entry, data, FACTS, overrides=r.settings) for r in spec.runs()}
        return plans.Plan(spec, self.record.dataset, "cpu", "", dict.fromkeys(spec.all_models, FACTS), recipes)

    def load(self, settings: object, comparison_id: str):
        before = self.record
        with suppress(BrokenBarrierError):
            self.readers.wait(timeout=1)
        return before

    def extend(self, settings: object, comparison_id: str, spec: ComparisonSpec, dataset: object, looks: int) -> None:
        runs = [run.model_copy(update={"status": "SCHEDULED", "spec": asked, "outcome": None})
                for run, asked in zip(self.record.runs * 9, spec.runs(), strict=False)]  # fmt: skip
        self.looks.append(looks)
        self.record = self.record.model_copy(update={"spec": spec, "runs": tuple(runs), "looks": looks})

    def submit(self, settings: object, comparison_id: str, made: list[tuple[str, object]], device: str) -> None:
        self.queued += [name for name, _ in made]

    def press(self, action) -> list[BaseException | None]:
        """Two at once; what each was told."""

        def one(_):
            try:
                action()
            except SpecError as error:
                return error
            return None

        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(one, range(2)))


def unclear() -> Example:
    return with_wrong(example(TWO, range(3)), {"feature_extraction": 11, "fine_tuning": 10}, moved=9)


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> Together:
    return Together(unclear(), monkeypatch)


def test_two_who_press_at_once_queue_the_seeds_once(together: Together) -> None:
    seen = decided(unclear())
    more = growing.next_round(seen)
    assert together.press(lambda: growing.add_round(seen, more)) == [None, None], "the second sees those of the first"
    assert len(together.queued) == len(set(together.queued)) == more.num_runs
    assert together.looks == [2], "one look was used"


def test_two_who_add_the_same_seed_by_hand_add_it_once_and_the_second_is_told(together: Together) -> None:
    plan = together.plan(together.record.spec.narrowed(TWO, seeds=(3,)))
    told = together.press(lambda: comparisons.submit(plan, add_to=together.record.comparison_id))
    assert len(together.queued) == len(set(together.queued)) == 2
    (error,) = [each for each in told if each is not None]
    assert "has all of these runs already: name another seed" in str(error)

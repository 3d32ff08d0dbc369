"""What has to be beaten: answers without any training, over the seeds of a model and fraction of the images."""

from collections.abc import Sequence
from statistics import fmean, stdev

from tlcore.analysis.groups import Group, groups_of
from tlcore.analysis.statistics.estimates import estimate_of_tests
from tlcore.analysis.statistics.intervals import Interval, wilson_interval
from tlcore.results import ComparisonRecord, Floor, FloorName, FloorResult, Value

LABELS: dict[FloorName, str] = {
    "majority_class": "Floor: majority class",
    "nearest_class_mean": "Floor: pretrained network as it is (nearest class mean)",
}


class FloorRow(Value):
    """One floor of a model and fraction; accuracies in [0, 1], means over the seeds that recorded it.

    seeds_asked: of the comparison. model_name, ci95, test_spread: as of `leaderboard.LeaderboardRow`.
    """

    model: str
    model_name: str
    fraction: float
    name: FloorName
    label: str
    num_seeds: int
    seeds_asked: int
    test_accuracy: float
    ci95: Interval | None
    test_spread: float | None
    val_accuracy: float


def floors_of(record: ComparisonRecord) -> list[FloorRow]:
    """The floors that finished runs recorded, in the order of `groups_of`: whole data first, then model as asked.

    Runs of one model, seed and fraction have the same floors, whatever their strategy; the first one is taken.
    """
    found: dict[tuple[float, str, FloorName], tuple[Group, dict[int, Floor]]] = {}
    for group in groups_of(record):
        for run in group.finished:
            for floor in run.outcome.floors if run.outcome else ():
                _, seeds = found.setdefault((group.fraction, group.model, floor.name), (group, {}))
                seeds.setdefault(run.spec.seed, floor)
    names = list(LABELS)
    places = list(dict.fromkeys((fraction, model) for fraction, model, _ in found))
    keys = sorted(found, key=lambda key: (places.index(key[:2]), names.index(key[2])))
    return [_row(record, *found[key]) for key in keys]


def floor_results(record: ComparisonRecord) -> tuple[FloorResult, ...]:
    """The same for the JSON contract."""
    return tuple(
        FloorResult(
            model=row.model,
            fraction=row.fraction,
            name=row.name,
            label=row.label,
            num_seeds=row.num_seeds,
            test_accuracy_mean=row.test_accuracy,
            test_accuracy_ci95=row.ci95,
        )
        for row in floors_of(record)
    )


def _row(record: ComparisonRecord, group: Group, seeds: dict[int, Floor]) -> FloorRow:
    floors: Sequence[Floor] = tuple(seeds.values())
    tests = [floor.test for floor in floors]
    estimate = estimate_of_tests(record, tests)
    images = wilson_interval(round(estimate.mean * tests[0].num_images), tests[0].num_images)
    # All seeds meet the same images: as in `intervals`, the variance does not fall below either part.
    fixed = record.spec.split_plan.is_fixed
    interval = max(images, estimate.interval, key=_width) if fixed and estimate.interval else estimate.interval
    return FloorRow(
        model=group.model,
        model_name=group.model_name,
        fraction=group.fraction,
        name=floors[0].name,
        label=LABELS[floors[0].name],
        num_seeds=len(floors),
        seeds_asked=len(record.spec.seeds),
        test_accuracy=estimate.mean,
        ci95=interval,
        test_spread=stdev(test.accuracy for test in tests) if len(tests) > 1 else None,
        val_accuracy=fmean(floor.val.accuracy for floor in floors),
    )


def _width(interval: Interval) -> float:
    return interval[1] - interval[0]

"""Floors over seeds, in the table, the report, the terminal and the contract, counted again from the records."""

import json
from statistics import fmean

import pytest
from statsmodels.stats.proportion import proportion_confint

from tests.records import Example, before, example
from tlcore.analysis import charts
from tlcore.analysis.comparison import leaderboard, leaderboard_table, result_of
from tlcore.analysis.floors import floors_of
from tlcore.analysis.report import as_html, document_of
from tlcore.cli.output import show_result
from tlcore.results import ComparisonResult

MAJORITY, MEANS = "Floor: majority class", "Floor: pretrained network as it is (nearest class mean)"
NUM_TEST = 153


@pytest.fixture(scope="module")
def whole() -> Example:
    return example()


def recorded(found: Example, name: str) -> dict[int, float]:
    """Test accuracy by seed, of the runs themselves."""
    return {
        run.spec.seed: floor.test.accuracy
        for run in found.record.runs
        for floor in run.outcome.floors
        if floor.name == name
    }


def test_a_floor_is_the_mean_over_seeds_and_each_seed_counts_once(whole: Example) -> None:
    rows = {row.name: row for row in floors_of(whole.record)}
    assert list(rows) == ["majority_class", "nearest_class_mean"]
    for name, row in rows.items():
        assert row.num_seeds == 3
        assert row.test_accuracy == pytest.approx(fmean(recorded(whole, name).values()))


def test_seeds_that_agree_promise_no_certainty(whole: Example) -> None:
    majority = floors_of(whole.record)[0]
    hits = round(majority.test_accuracy * NUM_TEST)
    assert majority.test_spread == 0
    assert majority.ci95 == pytest.approx(proportion_confint(hits, NUM_TEST, method="wilson"))


def test_seeds_that_differ_widen_the_interval(whole: Example) -> None:
    from scipy.stats import sem, t

    accuracies = list(recorded(whole, "nearest_class_mean").values())
    low, high = t.interval(0.95, len(accuracies) - 1, fmean(accuracies), sem(accuracies))
    assert floors_of(whole.record)[1].ci95 == pytest.approx((max(0, low), min(1, high)))


def test_the_table_ends_with_the_floors_and_dashes(whole: Example) -> None:
    rows, floors = leaderboard(whole.record, whole.predictions), floors_of(whole.record)
    table = leaderboard_table(rows, floors)
    assert list(table["Strategy"])[-2:] == [MAJORITY, MEANS]
    assert len(table) == len(rows) + 2
    last = table.iloc[-1]
    assert last["Test accuracy (%)"] == round(100 * floors[1].test_accuracy, 1)
    assert (last["Learned"], last["Frozen part"], last["Seeds"]) == ("–", "–", "3 of 3")
    assert table["Training time (s)"].isna().sum() == table["Parameters trained"].isna().sum() == 2


def test_the_dot_plot_has_each_floor_as_a_thin_line_with_its_label(whole: Example) -> None:
    rows, floors = leaderboard(whole.record, whole.predictions), floors_of(whole.record)
    figure = charts.accuracy_intervals(rows, floors=floors)
    lines = [t for t in figure.data if t.mode == "lines"]
    assert [t.line.dash for t in lines] == ["dot", "dash"]
    for line, floor in zip(lines, floors, strict=True):
        assert set(line.x) == {floor.test_accuracy, None}
        assert (min(y for y in line.y if y is not None), len(line.x)) == (-0.5, 3 * len(rows))
        assert floor.label in line.customdata[0]
    means = [trace for trace in figure.data if trace.text]
    places = {id(trace): place for place, trace in enumerate(figure.data)}
    assert max(places[id(t)] for t in lines) < min(places[id(t)] for t in means), "lines lie below the numbers"
    assert all("#ffffff" in trace.textfont.shadow for trace in means)
    said = [a.text for a in figure.layout.annotations]
    assert said == [
        f"{name} {100 * floor.test_accuracy:.1f}\u00a0%"
        for name, floor in zip(("largest class", "pretrained as it is"), floors, strict=True)
    ]
    assert "Thin lines: floors" in figure.layout.title.subtitle.text
    assert not [t for t in charts.accuracy_intervals(rows).data if t.mode == "lines"]


def test_each_row_of_the_dot_plot_stands_beside_its_own_floor() -> None:
    found = example(models=("a", "b"), strategies=("fine_tuning", "lora"), seeds=(0,))
    rows = leaderboard(found.record, found.predictions)
    raised = [f.model_copy(update={"test_accuracy": 0.9 if f.model == "a" else 0.8}) for f in floors_of(found.record)]
    figure = charts.accuracy_intervals(rows, floors=[f for f in raised if f.name == "nearest_class_mean"])
    (line,) = [t for t in figure.data if t.mode == "lines"]
    assert list(line.x[::3]) == [0.9 if row.model == "a" else 0.8 for row in rows]
    assert figure.layout.annotations[0].text == "pretrained as it is 80.0 to 90.0\u00a0%"


def test_the_cost_figure_has_the_floors_across_on_the_most_data() -> None:
    found = example(strategies=("fine_tuning", "transfer_learning"), fractions=(0.5, 1.0), seeds=(0,))
    rows, floors = leaderboard(found.record, found.predictions), floors_of(found.record)
    figure = charts.pareto(rows, floors=floors)
    most = [floor for floor in floors if floor.fraction == 1.0]
    assert [shape.y0 for shape in figure.layout.shapes] == [
        floor.test_accuracy for floor in most if floor.test_accuracy >= figure.layout.yaxis.range[0]
    ]
    assert figure.data[-1].name.startswith("pretrained as it is "), "the legend labels it"
    assert (figure.data[-1].line.dash, figure.layout.shapes[-1].line.dash) == ("dash", "dash")


def test_a_floor_far_below_does_not_press_the_accuracies_together() -> None:
    found = example(strategies=("fine_tuning", "transfer_learning"), seeds=(0,))
    rows, floors = leaderboard(found.record, found.predictions), floors_of(found.record)
    deep = [f.model_copy(update={"test_accuracy": 0.1}) for f in floors[:1]]
    dots, costs = charts.accuracy_intervals(rows, floors=deep), charts.pareto(rows, floors=deep)
    assert dots.layout.xaxis.range == charts.accuracy_intervals(rows).layout.xaxis.range
    assert dots.layout.annotations[0].text == "← largest class 10.0\u00a0%"
    assert costs.layout.yaxis.range == charts.pareto(rows).layout.yaxis.range
    assert costs.data[-1].name == "largest class 10.0\u00a0% (below the plot)"
    assert not costs.layout.shapes


def test_every_model_and_fraction_has_its_own(whole: Example) -> None:
    found = example(models=("mobilenetv2_100", "resnet18"), fractions=(1.0, 0.1), seeds=(0,))
    places = [(row.fraction, row.model, row.name) for row in floors_of(found.record)]
    names = ("majority_class", "nearest_class_mean")
    models = ("mobilenetv2_100", "resnet18")
    assert places == [(f, m, n) for f in (1.0, 0.1) for m in models for n in names]


def test_a_random_start_alone_has_no_pretrained_floor() -> None:
    assert [row.name for row in floors_of(example(strategies=("from_scratch",)).record)] == ["majority_class"]


def test_older_recordings_have_none(whole: Example) -> None:
    old = before(whole)
    assert floors_of(old.record) == []
    assert result_of(old.record, old.predictions).floors == ()


def test_contract_report_and_terminal_have_them(whole: Example, capsys: pytest.CaptureFixture[str]) -> None:
    result = result_of(whole.record, whole.predictions)
    data = json.loads(result.model_dump_json())
    assert {"model", "fraction", "name", "num_seeds", "test_accuracy_mean", "test_accuracy_ci95"} <= set(
        data["floors"][0]
    )
    assert ComparisonResult.model_validate(data).floors[1].name == "nearest_class_mean"
    assert {run["model_bytes"] for run in data["runs"]} == {8_900_000}
    assert {run["latency_ms"] for run in data["runs"]} == {12.5}
    assert {run["images_per_second"] for run in data["runs"]} == {40.0, 300.0}
    html = as_html(document_of(whole.record, whole.predictions))
    assert MAJORITY in html
    assert MEANS in html
    show_result(result)
    said = [line for line in capsys.readouterr().out.splitlines() if "Floor: " in line]
    assert [f"{100 * floor.test_accuracy_mean:.1f}" in line for floor, line in zip(result.floors, said, strict=True)]


def test_rows_have_what_the_network_costs_in_use(whole: Example) -> None:
    rows = {row.strategy: row for row in leaderboard(whole.record, whole.predictions)}
    assert (rows["fine_tuning"].model_bytes, rows["fine_tuning"].latency_ms) == (8_900_000, 12.5)
    assert rows["fine_tuning"].images_per_second == 40.0
    assert rows["feature_extraction"].images_per_second == 300.0

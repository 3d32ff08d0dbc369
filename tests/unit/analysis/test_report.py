"""The report as a file: whole, offline, safe, and its command true."""

import argparse
import json
import re
import shlex
from html.parser import HTMLParser

import pytest

from tests.records import example
from tlcore.analysis.caveats import caveats, command_of
from tlcore.analysis.report import report_html, report_json
from tlcore.spec import Budget


@pytest.fixture(scope="module")
def page():
    built = example(seeds=[0], status={("fine_tuning", 0): "FAILED"})
    return built.record, report_html(built.record, built.predictions)


class Outline(HTMLParser):
    """Headings, links to anywhere, and ids of runs in code elements."""

    def __init__(self):
        super().__init__()
        self.sources, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name in {"src", "href"}]
        if tag in {"section", "table", "ul", "dl", "pre", "script", "style"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in {"section", "table", "ul", "dl", "pre", "script", "style"}:
            assert self.open.pop() == tag


def test_one_file_needs_nothing_from_outside(page):
    _, html = page
    outline = Outline()
    outline.feed(html)
    assert outline.sources == []
    assert outline.open == []
    assert html.count("plotly.js v") == 1
    assert html.count('class="plotly-graph-div"') == 9


def test_it_says_everything(page):
    record, html = page
    text = re.sub(r"<script.*?</script>", "", html, flags=re.S)
    for heading in ("Result", "The data", "Settings", "Accuracy", "Cost", "Learning curves", "Class by class",
                    "What differs between the runs", "Caveats", "How to reproduce it", "MLflow runs"):  # fmt: skip
        assert f"<h2>{heading}</h2>" in text
    assert all(run.run_id in text for run in record.runs)
    assert "failed: the loss became nan" in text
    assert "not tested" in text


def test_names_cannot_bring_markup():
    bad = '<img src=x onerror="alert(1)">'
    built = example(classes=(bad, "</script><script>alert(2)</script>"), seeds=[0])
    dataset = built.record.dataset.model_copy(update={"name": bad})
    html = report_html(built.record.model_copy(update={"dataset": dataset}), built.predictions)
    assert "<img" not in re.sub(r'<script type="text/javascript">/\*\*.*?</script>', "", html, count=1, flags=re.S)
    assert "<script>alert" not in html


def test_a_comparison_without_results_has_a_report():
    built = example(strategies=["fine_tuning"], seeds=[0], status={("fine_tuning", 0): "SCHEDULED"})
    html = report_html(built.record, {})
    assert "no run has finished" in html
    assert "plotly" not in html


def test_json_is_the_contract():
    built = example(seeds=[0])
    data = json.loads(report_json(built.record, built.predictions))
    assert data["comparison_id"] == built.record.comparison_id


def parsed(command):
    words = shlex.split(command)
    assert words[:4] == ["python", "-m", "tlcore", "compare"]
    parser = argparse.ArgumentParser(exit_on_error=False)
    for name in ("--model", "--weights", "--strategy", "--set"):
        parser.add_argument(name, action="append", default=[])
    options = "dataset seeds epochs steps seconds fractions image-size batch-size num-threads device"
    for name in options.split():
        parser.add_argument(f"--{name}")
    return parser.parse_args(words[4:])


def test_the_command_makes_the_same_comparison():
    record = example(models=("a b", "c"), fractions=(0.05, 1.0)).record
    spec = record.spec.model_copy(
        update={
            "budget": Budget(seconds=2.5),
            "image_size": 96,
            "num_threads": 3,
            "overrides": {"fine_tuning": {"learning_rate": 3e-05, "nesterov": False, "optimizer": "adamw"}},
        }
    )
    args = parsed(command_of(spec, record.dataset))
    assert args.dataset == record.dataset.id
    assert args.model == ["a b", "c"]
    assert args.weights == [f"{m}={spec.weights[m]}" for m in spec.models]
    assert tuple(args.strategy) == spec.strategies
    assert tuple(int(s) for s in args.seeds.split(",")) == spec.seeds
    assert tuple(float(f) for f in args.fractions.split(",")) == spec.fractions
    assert (float(args.seconds), args.epochs, args.steps) == (2.5, None, None)
    assert (args.image_size, args.batch_size, args.num_threads, args.device) == ("96", None, "3", "cpu")
    assert dict(item.split("=") for item in args.set) == {
        "fine_tuning.learning_rate": "3e-05", "fine_tuning.nesterov": "false", "fine_tuning.optimizer": "adamw",
    }  # fmt: skip


def test_the_command_is_short_where_defaults_do():
    record = example(strategies=["from_scratch"], seeds=[0]).record
    args = parsed(command_of(record.spec, record.dataset))
    assert args.weights == []
    assert args.fractions is None


def test_caveats_name_missing_runs_and_few_seeds():
    lines = caveats(example(seeds=[0], status={("fine_tuning", 0): "KILLED"}).record)
    assert any("1 of 5 runs have no result" in line for line in lines)
    assert any(line.startswith("One seed") for line in lines)
    assert any("6 epochs" in line for line in lines)
    assert any(line.startswith("3 seeds are few") for line in caveats(example().record))

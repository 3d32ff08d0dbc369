"""The report as a file: whole, offline, safe, and its command true."""

import argparse
import io
import json
import re
import shlex
from functools import reduce
from html import escape
from html.parser import HTMLParser

import pandas as pd
import pytest

from tests.records import example
from tlcore.analysis.additions import parts_of
from tlcore.analysis.caveats import caveats, command_of, commands_of
from tlcore.analysis.comparison import result_of
from tlcore.analysis.groups import groups_of, largest_fraction
from tlcore.analysis.leaderboard import leaderboard
from tlcore.analysis.report import as_data, as_html, as_markdown, document_of, figure_sections, runs_csv
from tlcore.analysis.report.blocks import Code, Drawing, Grid, Heading, Words, cell_text
from tlcore.analysis.report.closer import calibration_section
from tlcore.analysis.report.markdown import plain
from tlcore.analysis.report.parts import table
from tlcore.results import GATHERED
from tlcore.service.joining import union
from tlcore.spec import Budget
from tlcore.strategies import CORE, STRATEGIES


@pytest.fixture(scope="module")
def page():
    built = example(seeds=[0], status={("fine_tuning", 0): "FAILED"})
    return built.record, as_html(document_of(built.record, built.predictions))


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
    assert html.count('class="plotly-graph-div"') == 15


def test_it_says_everything(page):
    record, html = page
    text = re.sub(r"<script.*?</script>", "", html, flags=re.S)
    for heading in ("Verdict", "The data", "Settings", "Accuracy", "Cost", "Learning curves", "Class by class",
                    "What differs between the runs", "Caveats", "How to reproduce it", "MLflow runs"):  # fmt: skip
        assert f"<h2>{heading}</h2>" in text
    assert all(run.run_id in text for run in record.runs)
    assert "failed: the loss became nan" in text
    assert "Not distinguishable" in text or "wins at a budget" in text


def test_names_cannot_bring_markup():
    bad = '<img src=x onerror="alert(1)">'
    built = example(classes=(bad, "</script><script>alert(2)</script>"), seeds=[0])
    dataset = built.record.dataset.model_copy(update={"name": bad})
    html = as_html(document_of(built.record.model_copy(update={"dataset": dataset}), built.predictions))
    assert "<img" not in re.sub(r'<script type="text/javascript">/\*\*.*?</script>', "", html, count=1, flags=re.S)
    assert "<script>alert" not in html


def test_a_comparison_without_results_has_a_report():
    built = example(strategies=["fine_tuning"], seeds=[0], status={("fine_tuning", 0): "SCHEDULED"})
    html = as_html(document_of(built.record, {}))
    assert "No run has finished" in html
    assert "plotly" not in html


def test_markdown_says_what_the_page_says_but_for_the_figures():
    built = example(classes=("ants", "bees|[x](y)"), seeds=[0])
    document = document_of(built.record, built.predictions, health=["25 exact copies: they count twice"])
    text = as_markdown(document)
    html = re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style).*?</\1>", "", as_html(document), flags=re.S))
    titles = [part.title for part in document.sections if not all(isinstance(b, Drawing) for b in part.blocks)]
    assert [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")] == titles
    for part in document.sections:
        for block in part.blocks:
            if isinstance(block, Words | Code):
                assert plain(block.text) in text or block.text in text
                assert escape(block.text).replace(" %", "&nbsp;%")[:60] in html.replace("\u00a0", "&nbsp;")
    table = next(chunk for chunk in text.split("\n\n") if chunk.startswith("| Strategy"))
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
    assert len(widths) == 1, "every row has all cells"
    assert "- 25 exact copies: they count twice" in text
    assert "bees\\|\\[x\\](y)" in text


def test_csv_has_a_row_for_every_run_and_no_formula():
    built = example(seeds=(0, 1), status={("fine_tuning", 1): "FAILED"})
    first = built.record.runs[0].model_copy(update={"error": "=HYPERLINK(1)"})
    record = built.record.model_copy(update={"runs": (first, *built.record.runs[1:])})
    table = pd.read_csv(io.StringIO(runs_csv(result_of(record, built.predictions))))
    assert len(table) == 10
    by_id = table.set_index("run_id")
    for run in record.runs:
        row = by_id.loc[run.run_id]
        expected = run.outcome.test.accuracy if run.outcome else float("nan")
        assert row["test_accuracy"] == pytest.approx(expected, nan_ok=True)
        if run.outcome:
            assert json.loads(row["seconds_by_part"]) == run.outcome.seconds_by_part
    assert by_id.loc[first.run_id, "error"] == "'=HYPERLINK(1)"
    assert runs_csv(result_of(record.model_copy(update={"runs": ()}), {})) == "run_id\n"


def test_the_verdict_comes_first_with_its_pairs_and_what_it_speaks_of():
    built = example()
    document = document_of(built.record, built.predictions, margin=0.03)
    first = document.sections[0]
    said = [block.text for block in first.blocks if isinstance(block, Words)]
    assert first.title == "Verdict"
    assert said[0].startswith("Not distinguishable at a budget of 6 epochs")
    assert said[1].startswith("3 seeds: the intervals cover")
    pairs = [block for block in first.blocks if isinstance(block, Grid)][1]
    assert len(pairs.rows) == 6
    assert any("A difference within 3 points does not matter" in text.replace("\n", " ") for text in said)


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


def test_caveats_name_missing_runs_and_the_budget():
    lines = caveats(example(seeds=[0], status={("fine_tuning", 0): "KILLED"}).record)
    assert any("1 of 5 runs have no result" in line for line in lines)
    assert any("6 epochs" in line for line in lines)


def test_caveats_say_where_some_strategies_have_more_seeds():
    record = example(strategies=["fine_tuning", "from_scratch"]).record
    assert not any("of its grid" in line for line in caveats(record))
    fewer = record.model_copy(update={"runs": record.runs[:-1]})
    assert any(line.startswith("It has 5 of the 6 runs of its grid") for line in caveats(fewer))


def kept(record, wanted):
    return record.model_copy(update={"runs": tuple(run for run in record.runs if wanted(run.spec))})


def places(runs):
    return {(run.model, run.strategy, run.seed, run.fraction) for run in runs}


@pytest.mark.parametrize(
    ("wanted", "number"),
    [
        (lambda run: run.seed < 2 or run.strategy != "fine_tuning", 2),
        (lambda run: run.seed < 2 or (run.fraction == 1 and run.model in {"a", "small"}), 2),
        (lambda run: run.seed < 2 or (run.model, run.strategy) in {("a", "fine_tuning"), ("b", "lora")}, 3),
        (lambda run: run.seed < 1 or run.strategy == "lora" or (run.seed < 3 and run.strategy == "fine_tuning"), 3),
        (lambda run: True, 1),
    ],
    ids=["a strategy", "a model and a fraction", "cells", "two rounds", "all"],
)
def test_the_commands_make_the_runs_that_there_are_and_no_other(wanted, number):
    whole = example(
        ("fine_tuning", "lora", "from_scratch"), range(4), ("a", "b"), (0.5, 1.0), scratch_model="small",
        overrides={"fine_tuning": {"nesterov": False}},
    ).record  # fmt: skip
    record = kept(whole, wanted)
    parts = parts_of(record)
    joined = reduce(union, parts)
    assert set().union(*(places(part.runs()) for part in parts)) == places([run.spec for run in record.runs])
    assert {run.family for part in parts for run in part.runs()} == {record.runs[0].spec.family}
    assert places(joined.runs()) >= places([run.spec for run in record.runs])
    commands = commands_of(record)
    assert len(commands) == number
    assert [command.endswith(" --add-to COMPARISON") for command in commands] == [False] + [True] * (number - 1)
    assert commands[0].split(" --add-to")[0] == command_of(parts[0], record.dataset)
    assert not any("the whole grid" in line for line in caveats(record))
    text = as_markdown(document_of(record, {}))
    assert all(command in text for command in commands)
    assert ("COMPARISON is the id that the first command prints" in text) == (number > 1)


def test_where_no_grids_have_just_these_runs_the_whole_grid_is_run_and_it_is_said():
    whole = example(("fine_tuning", "lora"), (0, 1), fractions=(0.5, 1.0)).record
    record = kept(whole, lambda run: run.seed == 0 or (run.strategy == "lora") == (run.fraction == 1))
    assert parts_of(record) is None
    assert commands_of(record) == [command_of(record.spec, record.dataset)]
    assert any("the command for making it again runs the whole grid" in line for line in caveats(record))


def test_the_report_says_where_more_looks_were_taken_than_its_commands_take():
    record = kept(example(("fine_tuning", "lora"), range(4)).record, lambda run: run.seed < 2 or run.strategy == "lora")
    looked = record.model_copy(update={"looks": 4})
    assert "looked at 4 times while seeds were added; made again so, at most 2 times" in as_markdown(
        document_of(looked, {})
    )
    whole = example(("fine_tuning", "lora"), range(4)).record.model_copy(update={"looks": 2})
    assert "looked at 2 times while seeds were added; made again so, once" in as_markdown(document_of(whole, {}))
    assert "was looked at" not in as_markdown(document_of(record, {}))


def test_the_closer_looks_are_data_too_and_json_can_hold_them():
    built = example(fractions=(0.5, 1.0))
    rows = leaderboard(built.record, built.predictions)
    found = {section.title: section for section in as_data(figure_sections(built.record, rows, built.predictions))}
    assert {"Cost", "What transfer brings", "How much data", "Calibration"} <= set(found)
    assert not {"Accuracy", "Learning curves"} & set(found), "figures alone are no data"
    (table,) = found["Calibration"].tables
    assert [row["Strategy"] for row in table] == [STRATEGIES[name].short_label for name in CORE]
    assert all(isinstance(row["NLL before (nats)"], float) for row in table)
    text = json.dumps([section.model_dump(mode="json") for section in found.values()], allow_nan=False)
    assert "points" in text


def test_the_report_tells_where_the_time_went():
    built = example(("feature_extraction", "fine_tuning"), fractions=(0.5, 1.0))
    rows = leaderboard(built.record, built.predictions)
    (found,) = [s for s in figure_sections(built.record, rows, built.predictions) if s.title == "Where the time went"]
    tables = [block for block in found.blocks if isinstance(block, Grid)]
    assert len(tables) == len([block for block in found.blocks if isinstance(block, Heading)]) == 2, "per panel"
    assert [row["Part"] for row in tables[0].rows][-2:] == ["All", "Images per second"]
    assert len([block for block in found.blocks if isinstance(block, Drawing)]) == 1
    old = tuple(
        run.model_copy(update={"outcome": run.outcome.model_copy(update={"seconds_by_part": {}})})
        for run in built.record.runs
    )
    sections = figure_sections(built.record.model_copy(update={"runs": old}), rows, built.predictions)
    (section,) = [s for s in sections if s.title == "Where the time went"]
    assert section.blocks == [Words("It was not measured in these runs.")]


def test_the_closer_looks_are_at_the_most_data_that_has_finished_runs():
    built = example(fractions=(0.5, 1.0), strategies=("fine_tuning", "transfer_learning"))
    going = tuple(
        run.model_copy(update={"status": "RUNNING", "outcome": None}) if run.spec.fraction == 1 else run
        for run in built.record.runs
    )
    record = built.record.model_copy(update={"runs": going, "status": "RUNNING"})
    assert largest_fraction(groups_of(built.record)) == 1
    assert largest_fraction(groups_of(record)) == 0.5
    assert largest_fraction([]) == 1
    (section,) = as_data([calibration_section(record, built.predictions)])
    assert len(section.tables[0]) == 2, "those that are through on half of the images"


def test_whatever_is_wider_than_the_page_says_so_and_figures_fit_on_paper(page):
    _, html = page
    text = re.sub(r"<script.*?</script>", "", html, flags=re.S)
    wide = len(re.findall(r'<div class="(?:wide|drawing)">', text))
    assert text.count('<p class="hint">It goes on to the right') == wide
    assert len(re.findall(r'</p><div class="(?:wide|drawing)">', text)) == wide, "the script looks right before it"
    assert 'addEventListener("beforeprint"' in html
    assert 'style="min-width:760px"' in text, "matrices side by side need their room"
    assert 'style="min-width:0px"' in text, "what suits a phone is drawn for it"


def test_cells_write_counts_whole_and_intervals_below():
    assert cell_text(-0.8) == "−0.8"
    assert cell_text(-3) == "−3"
    built = example(seeds=[0])
    leaders = document_of(built.record, built.predictions).sections[0].blocks
    (first, *_) = [block for block in leaders if isinstance(block, Grid)]
    counts = [row["Parameters trained"] for row in first.rows]
    assert all(isinstance(count, int) for count in counts[:5])
    assert counts[5:] == [None, None], "the floors train nothing"
    html = table([{"Strategy": "LoRA (rank 2)", "Start": "+3.3 (−4.9 to 11.6)", "p": "4.1e-07"}], ["Strategy"])
    assert ">4.1e−07<" in html, "a hyphen would end the line"
    assert '<td class="text">LoRA (rank 2)</td>' in html
    assert "+3.3<br>(−4.9 to 11.6)" in html


def test_runs_seen_together_have_no_parent_that_is_no_run():
    built = example(seeds=[0], strategies=["fine_tuning", "lora"])
    ids = [run.run_id for run in built.record.runs]
    first = built.record.runs[0].model_copy(update={"comparison_id": "b" * 32})
    record = built.record.model_copy(
        update={"comparison_id": GATHERED + ",".join(ids), "runs": (first, *built.record.runs[1:])}
    )
    text = as_markdown(document_of(record, built.predictions))
    assert GATHERED not in text
    assert "2 runs of 2 comparisons, seen together, finished." in text
    assert [line.split(" | ")[2] for line in text.splitlines() if line[2:34] in ids] == ["b" * 32, "c0ffee" + "0" * 26]
    assert f"Parent run: {built.record.comparison_id}" in as_markdown(document_of(built.record, built.predictions))

"""Files of a comparison that goes on while they are written."""

import json

import pytest
from typer.testing import CliRunner

from tests.records import example
from tlcore.cli import app as cli
from tlcore.service import comparisons


def test_all_that_one_command_writes_is_of_one_moment(home, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    names, running = ("fine_tuning", "transfer_learning"), {("transfer_learning", 0): "RUNNING"}
    moments = [example(names, seeds=(0,), status=running), example(names, seeds=(0,))]
    reads = iter([moments[0].record, *(moments[1].record for _ in range(9))])
    monkeypatch.setattr(comparisons, "record", lambda given: next(reads))
    monkeypatch.setattr(comparisons, "all_predictions", lambda record: moments[1].predictions)
    to = {form: tmp_path / f"r.{form}" for form in ("html", "md", "csv", "json")}
    options = [part for form, path in to.items() for part in (f"--{form}", str(path))]
    done = CliRunner().invoke(cli.app, ["report", "c", *options])
    assert done.exit_code == 0, done.output
    result = json.loads(to["json"].read_text())
    assert [run["status"] for run in result["runs"]] == ["FINISHED", "RUNNING"]
    assert "RUNNING" in to["csv"].read_text()
    assert "| running |" in to["md"].read_text()
    assert result["verdict"]["text"] in done.output
    assert "nothing to judge it by" in result["verdict"]["text"]
    assert "nothing to judge it by" in to["html"].read_text()

"""The command line as a whole: its help needs none of what the commands need, and says what they say themselves."""

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from tlcore.cli import app as cli
from tlcore.cli.compare import watch
from tlcore.service import comparisons

HEAVY = ("pandas", "numpy", "pydantic", "plotly", "mlflow", "torch", "scipy", "tlcore.service", "tlcore.cli.compare")


HELP = "from tlcore.cli.app import app; app(['--help'], standalone_mode=False)"


@pytest.mark.parametrize("code", ["import tlcore", HELP])
def test_the_package_and_its_help_load_nothing_heavy(code: str) -> None:
    loaded = f"{code}; import sys; print(sorted(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_first_line_of_help_is_that_of_the_command(name: str) -> None:
    listed = " ".join(CliRunner().invoke(cli.app, ["--help"], terminal_width=300).output.split())
    own = " ".join(CliRunner().invoke(cli.app, [name, "--help"], terminal_width=300).output.split())
    assert cli.COMMANDS[name].help in own
    assert cli.COMMANDS[name].help in listed
    assert f"Usage: tlcore {name}" in own


def test_a_near_name_is_suggested_and_nothing_else_is_called() -> None:
    done = CliRunner().invoke(cli.app, ["compar"])
    assert done.exit_code == 2
    assert "Did you mean 'compare'?" in " ".join(done.output.split())


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_ctrl_c_anywhere_ends_with_the_code_that_shells_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparisons, "list_comparisons", interrupted)
    monkeypatch.setattr(sys, "argv", ["tlcore", "runs"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130


def test_ctrl_c_while_runs_are_watched_cancels_them_and_says_where_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cancelled: list[str] = []
    monkeypatch.setattr(comparisons, "watch", interrupted)
    monkeypatch.setattr(comparisons, "cancel", cancelled.append)
    with pytest.raises(typer.Exit) as ended:
        watch("c0ffee")
    assert (ended.value.exit_code, cancelled) == (130, ["c0ffee"])
    assert capsys.readouterr().err.splitlines() == [
        "cancelled; finished runs are kept",
        "runs: python -m tlcore runs c0ffee",
        "report: python -m tlcore report c0ffee --html report.html",
        "go on: python -m tlcore retry c0ffee",
    ]

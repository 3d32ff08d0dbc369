"""The command line as a whole: its help needs none of what the commands need, and says what they say themselves."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from tlcore.cli import app as cli

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
